package retrievaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func noneAtFirst(t *testing.T, s *scene) {
	t.Helper()
	if o := s.follow(t, s.Follower(t), component).answered(t); o.Status != retrieval.StatusNone {
		t.Errorf("the first answer is %+v, want none", o)
	}
}

func announced(t *testing.T, s *scene) {
	t.Helper()
	r := s.follow(t, s.Follower(t), component)
	none := r.untilStatus(t, retrieval.StatusNone)
	info, _ := s.Publish(t, component, "http://a")
	if o := r.untilKnown(t, info); o.Index <= none.Index {
		t.Errorf("index %d of the leader after index %d of none, want a larger one", o.Index, none.Index)
	}
}

func thereAlready(t *testing.T, s *scene) {
	t.Helper()
	info, _ := s.Publish(t, component, "http://a")
	f := s.Follower(t)
	for range 3 {
		if o := s.follow(t, f, component).answered(t); o.Status != retrieval.StatusKnown || o.Info != info {
			t.Errorf("the first answer is %+v, want %+v", o, info)
		}
	}
}

func replaced(t *testing.T, s *scene) {
	t.Helper()
	r := s.follow(t, s.Follower(t), component)
	first, _ := s.Publish(t, component, "http://a")
	before := r.untilKnown(t, first)
	second, _ := s.Publish(t, component, "http://b")
	if after := r.untilKnown(t, second); after.Index <= before.Index || second.Epoch <= first.Epoch {
		t.Errorf("index %d after %d, epoch %d after %d; want both to grow", after.Index, before.Index, second.Epoch, first.Epoch)
	}
}

func withdrawn(t *testing.T, s *scene) {
	t.Helper()
	r := s.follow(t, s.Follower(t), component)
	for range 5 {
		info, withdraw := s.Publish(t, component, "http://a")
		known := r.untilKnown(t, info)
		withdraw()
		withdraw()
		if none := r.untilStatus(t, retrieval.StatusNone); none.Index <= known.Index {
			t.Errorf("index %d of none after index %d of the leader, want a larger one", none.Index, known.Index)
		}
	}
}

func sameAddress(t *testing.T, s *scene) {
	t.Helper()
	r := s.follow(t, s.Follower(t), component)
	first, _ := s.Publish(t, component, "http://same")
	r.untilKnown(t, first)
	second, _ := s.Publish(t, component, "http://same")
	r.untilKnown(t, second)
	if first.SessionID == second.SessionID {
		t.Errorf("two terms share the session ID %s", first.SessionID)
	}
}

func otherComponents(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	x, y := s.follow(t, f, component), s.follow(t, f, "y")
	x.untilStatus(t, retrieval.StatusNone)
	info, _ := s.Publish(t, "y", "http://y")
	y.untilKnown(t, info)
	if o := s.follow(t, f, component).answered(t); o.Status != retrieval.StatusNone {
		t.Errorf("the first answer is %+v while only y has a leader, want none", o)
	}
	info, _ = s.Publish(t, component, "http://x")
	x.untilKnown(t, info) // every observation is checked for its component
}

func quickChanges(t *testing.T, s *scene) {
	t.Helper()
	r := s.follow(t, s.Follower(t), component)
	r.untilStatus(t, retrieval.StatusNone)
	var newest leader.Info
	for i := range 20 {
		info, withdraw := s.Publish(t, component, fmt.Sprintf("http://%d", i))
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

func olderLeader(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	raw, r := s.follow(t, f, component), s.retriever(t, f)
	var mu sync.Mutex
	var heard []leader.Epoch
	s.running.Go(func() {
		_ = r.Listen(t.Context(), retrieval.ListenerFunc(func(st retrieval.State) {
			mu.Lock()
			defer mu.Unlock()
			if st.Status == retrieval.StatusKnown {
				heard = append(heard, st.Info.Epoch)
			}
		}))
	})
	first, _ := s.Publish(t, component, "http://a")
	untilLeader(t, r, first)
	second, _ := s.Publish(t, component, "http://b")
	untilLeader(t, r, second)
	s.Forge(t, first)
	raw.untilKnown(t, first) // the driver reports what is there
	third, _ := s.Publish(t, component, "http://c")
	untilLeader(t, r, third)

	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < len(heard); i++ {
		if heard[i] < heard[i-1] {
			t.Errorf("announced the epochs %v, want none older than the one before", heard)
		}
	}
}

func lostBackend(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	record, r := s.follow(t, f, component), s.retriever(t, f)
	info, _ := s.Publish(t, component, "http://a")
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

func changeWhileAway(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	record, r := s.follow(t, f, component), s.retriever(t, f)
	first, _ := s.Publish(t, component, "http://same")
	record.untilKnown(t, first)
	f.Disconnect(t)
	s.Publish(t, component, "http://between")
	last, _ := s.Publish(t, component, "http://same")
	f.Reconnect(t)
	record.untilKnown(t, last)
	untilLeader(t, r, last)
}

func withdrawWhileAway(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	record := s.follow(t, f, component)
	info, withdraw := s.Publish(t, component, "http://a")
	record.untilKnown(t, info)
	f.Disconnect(t)
	record.untilStatus(t, retrieval.StatusUnknown)
	withdraw()
	f.Reconnect(t)
	record.untilStatus(t, retrieval.StatusNone)
}

func startsAway(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
	f.Disconnect(t)
	info, _ := s.Publish(t, component, "http://a")
	record := s.follow(t, f, component)
	f.Reconnect(t)
	record.untilKnown(t, info)
}

func endsWithContext(t *testing.T, s *scene) {
	t.Helper()
	f := s.Follower(t)
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

func manyListeners(t *testing.T, s *scene) {
	t.Helper()
	const followers, listeners, terms = 3, 20, 5
	var told sync.WaitGroup
	last := make(chan leader.SessionID, followers*listeners)
	final := make(chan struct{})
	var finalSession leader.SessionID // set before final is closed
	for range followers {
		r := s.retriever(t, s.Follower(t))
		for range listeners {
			told.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				var epoch leader.Epoch
				var session leader.SessionID
				_ = r.Listen(ctx, retrieval.ListenerFunc(func(st retrieval.State) {
					if st.Status != retrieval.StatusKnown {
						return
					}
					if st.Info.Epoch < epoch {
						t.Errorf("a listener heard of epoch %d after epoch %d", st.Info.Epoch, epoch)
					}
					epoch, session = st.Info.Epoch, st.Info.SessionID
					if st.Info.Address != "http://final" {
						return
					}
					<-final
					if session == finalSession {
						cancel()
					}
				}))
				last <- session
			})
		}
	}
	for i := range terms {
		s.Publish(t, component, fmt.Sprintf("http://%d", i))
	}
	info, _ := s.Publish(t, component, "http://final")
	finalSession = info.SessionID
	close(final)
	await(t, "all listeners to hear of the newest leader", told.Wait)
	for range followers * listeners {
		if got := <-last; got != info.SessionID {
			t.Errorf("a listener ended with the leader %q, want the newest, %s", got, info.SessionID)
		}
	}
}
