package retrievaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// news is what one ListenLeader was told: leaders, and the zero Info for nobody.
type news struct {
	mu      sync.Mutex
	told    []leader.Info
	changed chan struct{}
}

// listen starts a ListenLeader, and checks that nothing is told twice and no epoch
// goes back.
func (s *scene) listen(t *testing.T, r *retrieval.Retriever) *news {
	t.Helper()
	n := &news{changed: make(chan struct{})}
	s.running.Go(func() {
		err := r.ListenLeader(t.Context(), func(info leader.Info, leads bool) { n.add(t, info, leads) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ListenLeader returned %v, want the context's error", err)
		}
	})
	return n
}

func (n *news) add(t *testing.T, info leader.Info, leads bool) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if leads == (info == leader.Info{}) {
		t.Errorf("announced %+v with leads %v", info, leads)
	}
	if last := len(n.told) - 1; last >= 0 && n.told[last] == info {
		t.Errorf("announced %+v twice in a row", info)
	}
	for _, former := range n.told {
		if leads && info.Epoch < former.Epoch {
			t.Errorf("announced epoch %d after epoch %d", info.Epoch, former.Epoch)
		}
	}
	n.told = append(n.told, info)
	close(n.changed)
	n.changed = make(chan struct{})
}

// all returns what was announced, and a channel that is closed when there is more.
func (n *news) all() ([]leader.Info, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.told, n.changed
}

// until waits for the newest announcement to be the wanted one.
func (n *news) until(t *testing.T, want leader.Info) {
	t.Helper()
	late := time.After(patience)
	for {
		told, changed := n.all()
		if last := len(told) - 1; last >= 0 && told[last] == want {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited %s for the announcement of %+v; announced were %+v", patience, want, told)
		}
	}
}

// wantOnce fails unless the leader was announced exactly once.
func (n *news) wantOnce(t *testing.T, info leader.Info) {
	t.Helper()
	times := 0
	told, _ := n.all()
	for _, i := range told {
		if i.SessionID == info.SessionID && i.Epoch == info.Epoch {
			times++
		}
	}
	if times != 1 {
		t.Errorf("the leader of epoch %d was announced %d times in %+v, want once", info.Epoch, times, told)
	}
}

// away cuts the follower off for the time of f, in which it has lost the backend.
func away(t *testing.T, f Follower, r *retrieval.Retriever, during func()) {
	t.Helper()
	f.Disconnect(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if st, err := r.Wait(ctx, func(st retrieval.State) bool { return st.Status == retrieval.StatusUnknown }); err != nil {
		t.Fatalf("waited %s for the loss of the backend; the state is %+v", patience, st)
	}
	during()
	f.Reconnect(t)
}

func sameAfterReconnect(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	r := s.retriever(t, f)
	n := s.listen(t, r)
	n.until(t, leader.Info{})
	first, _ := h.Publish(t, component, "http://same")
	n.until(t, first)
	for range 2 {
		away(t, f, r, func() {})
		untilLeader(t, r, first)
	}
	second, _ := h.Publish(t, component, "http://same")
	n.until(t, second)
	n.wantOnce(t, first)
}

func sameInNewSession(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	r := s.retriever(t, f)
	n := s.listen(t, r)
	first, _ := h.Publish(t, component, "http://same")
	n.until(t, first)
	f.Expire(t)
	second, _ := h.Publish(t, component, "http://same")
	n.until(t, second)
	n.wantOnce(t, first)
}

func announcedOnce(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	r := s.retriever(t, f)
	n := s.listen(t, r)
	first, _ := h.Publish(t, component, "http://same")
	n.until(t, first)
	var last leader.Info
	away(t, f, r, func() {
		h.Publish(t, component, "http://between")
		last, _ = h.Publish(t, component, "http://same")
	})
	n.until(t, last)
	away(t, f, r, func() {})
	untilLeader(t, r, last)
	n.wantOnce(t, first)
	n.wantOnce(t, last)
}

func goneOnce(t *testing.T, s *scene, h Harness) {
	t.Helper()
	f := h.Follower(t)
	r := s.retriever(t, f)
	n := s.listen(t, r)
	first, withdraw := h.Publish(t, component, "http://a")
	n.until(t, first)
	away(t, f, r, withdraw)
	n.until(t, leader.Info{})
	away(t, f, r, func() {})
	second, _ := h.Publish(t, component, "http://b")
	n.until(t, second)
	n.wantOnce(t, first)
}

func olderLeader(t *testing.T, s *scene, h Forger) {
	t.Helper()
	f := h.Follower(t)
	raw, r := s.follow(t, f, component), s.retriever(t, f)
	n := s.listen(t, r)
	first, _ := h.Publish(t, component, "http://a")
	n.until(t, first)
	second, _ := h.Publish(t, component, "http://b")
	n.until(t, second)
	h.Forge(t, first)
	raw.untilKnown(t, first) // the driver reports what is there
	third, _ := h.Publish(t, component, "http://c")
	n.until(t, third)
	n.wantOnce(t, first)
}

func olderAfterReconnect(t *testing.T, s *scene, h Forger) {
	t.Helper()
	f := h.Follower(t)
	raw, r := s.follow(t, f, component), s.retriever(t, f)
	n := s.listen(t, r)
	first, _ := h.Publish(t, component, "http://a")
	n.until(t, first)
	second, _ := h.Publish(t, component, "http://b")
	n.until(t, second)
	away(t, f, r, func() { h.Forge(t, first) })
	raw.untilKnown(t, first)
	if st := r.Current(); st.Status == retrieval.StatusKnown || st.Info != second {
		t.Errorf("the state is %+v, want what was known before, not confirmed by an older leader", st)
	}
	third, _ := h.Publish(t, component, "http://c")
	n.until(t, third)
	n.wantOnce(t, first)
}

func olderInNewSession(t *testing.T, s *scene, h Forger) {
	t.Helper()
	f := h.Follower(t)
	raw, r := s.follow(t, f, component), s.retriever(t, f)
	n := s.listen(t, r)
	first, _ := h.Publish(t, component, "http://a")
	n.until(t, first)
	second, _ := h.Publish(t, component, "http://b")
	n.until(t, second)
	h.Forge(t, first)
	f.Expire(t)
	raw.untilKnown(t, first)
	third, _ := h.Publish(t, component, "http://c")
	n.until(t, third)
	n.wantOnce(t, first)
}

// manyListeners has listeners of both kinds on several followers. Each must come to
// the newest leader, and hear of no epoch that is older than one before.
func manyListeners(t *testing.T, s *scene, h Harness) {
	t.Helper()
	const followers, listeners, terms = 3, 20, 5
	var all []*news
	for range followers {
		r := s.retriever(t, h.Follower(t))
		for i := range listeners {
			if i%2 == 0 {
				all = append(all, s.listen(t, r))
				continue
			}
			n := &news{changed: make(chan struct{})}
			all = append(all, n)
			s.running.Go(func() {
				_ = r.Listen(t.Context(), retrieval.ListenerFunc(func(st retrieval.State) {
					if told, _ := n.all(); st.Status == retrieval.StatusKnown && (len(told) == 0 || told[len(told)-1] != st.Info) {
						n.add(t, st.Info, true)
					}
				}))
			})
		}
	}
	for i := range terms {
		h.Publish(t, component, fmt.Sprintf("http://%d", i))
	}
	final, _ := h.Publish(t, component, "http://final")
	for _, n := range all {
		n.until(t, final)
	}
}
