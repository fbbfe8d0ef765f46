package retrievaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func noneAtFirst(t *testing.T, s *scene, h Harness) {
	t.Helper()
	if o := s.follow(t, h.Follower(t), component).answered(t); o.Status != retrieval.StatusNone {
		t.Errorf("the first answer is %+v, want none", o)
	}
}

func announced(t *testing.T, s *scene, h Harness) {
	t.Helper()
	r := s.follow(t, h.Follower(t), component)
	none := r.untilStatus(t, retrieval.StatusNone)
	info, _ := h.Publish(t, component, "http://a")
	if o := r.untilKnown(t, info); o.Index <= none.Index {
		t.Errorf("index %d of the leader after index %d of none, want a larger one", o.Index, none.Index)
	}
}

func thereAlready(t *testing.T, s *scene, h Harness) {
	t.Helper()
	info, _ := h.Publish(t, component, "http://a")
	f := h.Follower(t)
	for range 3 {
		if o := s.follow(t, f, component).answered(t); o.Status != retrieval.StatusKnown || o.Info != info {
			t.Errorf("the first answer is %+v, want %+v", o, info)
		}
	}
}

func replaced(t *testing.T, s *scene, h Harness) {
	t.Helper()
	r := s.follow(t, h.Follower(t), component)
	first, _ := h.Publish(t, component, "http://a")
	before := r.untilKnown(t, first)
	second, _ := h.Publish(t, component, "http://b")
	if after := r.untilKnown(t, second); after.Index <= before.Index || second.Epoch <= first.Epoch {
		t.Errorf("index %d after %d, epoch %d after %d; want both to grow", after.Index, before.Index, second.Epoch, first.Epoch)
	}
}

func withdrawn(t *testing.T, s *scene, h Harness) {
	t.Helper()
	r := s.follow(t, h.Follower(t), component)
	for range 5 {
		info, withdraw := h.Publish(t, component, "http://a")
		known := r.untilKnown(t, info)
		withdraw()
		withdraw()
		if none := r.untilStatus(t, retrieval.StatusNone); none.Index <= known.Index {
			t.Errorf("index %d of none after index %d of the leader, want a larger one", none.Index, known.Index)
		}
	}
}

func sameAddress(t *testing.T, s *scene, h Harness) {
	t.Helper()
	r := s.follow(t, h.Follower(t), component)
	first, _ := h.Publish(t, component, "http://same")
	r.untilKnown(t, first)
	second, _ := h.Publish(t, component, "http://same")
	r.untilKnown(t, second)
	if first.SessionID == second.SessionID {
		t.Errorf("two terms share the session ID %s", first.SessionID)
	}
}

func otherComponents(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	x, y := s.follow(t, f, component), s.follow(t, f, "y")
	x.untilStatus(t, retrieval.StatusNone)
	info, _ := h.Publish(t, "y", "http://y")
	y.untilKnown(t, info)
	if o := s.follow(t, f, component).answered(t); o.Status != retrieval.StatusNone {
		t.Errorf("the first answer is %+v while only y has a leader, want none", o)
	}
	info, _ = h.Publish(t, component, "http://x")
	x.untilKnown(t, info) // every observation is checked for its component
}

func quickChanges(t *testing.T, s *scene, h Harness) {
	t.Helper()
	r := s.follow(t, h.Follower(t), component)
	r.untilStatus(t, retrieval.StatusNone)
	var newest leader.Info
	for i := range 20 {
		info, withdraw := h.Publish(t, component, fmt.Sprintf("http://%d", i))
		if i%3 == 0 {
			withdraw()
			continue
		}
		newest = info
	}
	r.untilKnown(t, newest)
	seen, _ := r.all()
	var epoch leader.Epoch
	for _, o := range seen {
		if o.Status == retrieval.StatusKnown {
			if o.Info.Epoch < epoch {
				t.Errorf("observed epoch %d after epoch %d", o.Info.Epoch, epoch)
			}
			epoch = o.Info.Epoch
		}
	}
}

func lostBackend(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	record, r := s.follow(t, f, component), s.retriever(t, f)
	info, _ := h.Publish(t, component, "http://a")
	record.untilKnown(t, info)
	untilLeader(t, r, info)
	f.Disconnect(t)
	record.untilStatus(t, retrieval.StatusUnknown)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	st, err := r.Wait(ctx, func(st retrieval.State) bool { return st.Status == retrieval.StatusUnknown })
	if err != nil || st.Info != info {
		t.Errorf("the state without backend is %+v (%v), want unknown with the last leader", st, err)
	}
	f.Reconnect(t)
	record.untilKnown(t, info)
	untilLeader(t, r, info)
}

func changeWhileAway(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	record, r := s.follow(t, f, component), s.retriever(t, f)
	first, _ := h.Publish(t, component, "http://same")
	record.untilKnown(t, first)
	f.Disconnect(t)
	h.Publish(t, component, "http://between")
	last, _ := h.Publish(t, component, "http://same")
	f.Reconnect(t)
	record.untilKnown(t, last)
	untilLeader(t, r, last)
}

func withdrawWhileAway(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	record := s.follow(t, f, component)
	info, withdraw := h.Publish(t, component, "http://a")
	record.untilKnown(t, info)
	f.Disconnect(t)
	record.untilStatus(t, retrieval.StatusUnknown)
	withdraw()
	f.Reconnect(t)
	record.untilStatus(t, retrieval.StatusNone)
}

func startsAway(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	before := s.follow(t, f, component)
	before.answered(t)
	f.Disconnect(t)
	before.untilStatus(t, retrieval.StatusUnknown)
	info, _ := h.Publish(t, component, "http://a")
	record := s.follow(t, f, component)
	record.untilStatus(t, retrieval.StatusUnknown)
	if seen, _ := record.all(); slices.ContainsFunc(seen, func(o retrieval.Observation) bool { return o.Status != retrieval.StatusUnknown }) {
		t.Errorf("observed %+v while the backend was away, want that nothing is known", seen)
	}
	f.Reconnect(t)
	record.untilKnown(t, info)
}

func endsWithContext(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan struct{}, 1)
	ended := make(chan error, 1)
	s.running.Go(func() {
		ended <- f.Driver().Follow(ctx, component, func(retrieval.Observation) {
			select {
			case answered <- struct{}{}:
			default:
			}
		})
	})
	await(t, "a first observation", func() { <-answered })
	cancel()
	for range 2 {
		var err error
		await(t, "Follow to end", func() { err = <-ended })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v, want context.Canceled", err)
		}
		// Once more, with a context that has ended before.
		s.running.Go(func() { ended <- f.Driver().Follow(ctx, component, func(retrieval.Observation) {}) })
	}
	var err error
	await(t, "Follow to end", func() { err = <-ended })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow with an ended context returned %v, want context.Canceled", err)
	}

	// And without an answer: the backend is away.
	f.Disconnect(t)
	ctx, cancel = context.WithCancel(t.Context())
	s.running.Go(func() { ended <- f.Driver().Follow(ctx, component, func(retrieval.Observation) {}) })
	cancel()
	await(t, "Follow without a backend to end", func() { err = <-ended })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Follow without a backend returned %v, want context.Canceled", err)
	}
	f.Reconnect(t)
}
