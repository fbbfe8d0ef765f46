package retrievaltest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// patience is how long something that must happen may take.
const patience = 30 * time.Second

// component is what most cases follow.
const component = "x"

// scene is what a case has started.
type scene struct {
	running sync.WaitGroup
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{}
	// The contexts of all that runs end with t's.
	t.Cleanup(func() { await(t, "what the case started to end", s.running.Wait) })
	return s
}

// record is what a driver has reported to one Follow.
type record struct {
	mu      sync.Mutex
	seen    []retrieval.Observation
	changed chan struct{}
}

// follow starts a Follow of the driver, and checks what it reports.
func (s *scene) follow(t *testing.T, f Follower, component string) *record {
	t.Helper()
	r := &record{changed: make(chan struct{})}
	var inside, over atomic.Bool
	s.running.Go(func() {
		err := f.Driver().Follow(t.Context(), component, func(o retrieval.Observation) {
			if !inside.CompareAndSwap(false, true) {
				t.Error("observe was called while another call was under way")
			}
			if over.Load() {
				t.Error("observe was called after Follow had returned")
			}
			r.add(t, o, component)
			inside.Store(false)
		})
		over.Store(true)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v, want the context's error", err)
		}
	})
	return r
}

func (r *record) add(t *testing.T, o retrieval.Observation, component string) {
	t.Helper()
	switch {
	case o.Status == retrieval.StatusKnown && (o.Info.SessionID == "" || o.Info.Component != component || o.Index <= 0):
		t.Errorf("observed %+v, want a leader of %s with its term and an index", o, component)
	case o.Status != retrieval.StatusKnown && o.Info != leader.Info{}:
		t.Errorf("observed %+v, want no info with this status", o)
	case !answers(o) && o.Index != 0:
		t.Errorf("observed %+v, want no index with this status", o)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, o)
	close(r.changed)
	r.changed = make(chan struct{})
}

// answers says whether the observation is an answer of the backend.
func answers(o retrieval.Observation) bool {
	return o.Status == retrieval.StatusKnown || o.Status == retrieval.StatusNone
}

// all returns what was observed, and a channel that is closed when there is more.
func (r *record) all() ([]retrieval.Observation, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen, r.changed
}

// until waits for the newest observation to be as wanted.
func (r *record) until(t *testing.T, what string, wanted func(retrieval.Observation) bool) retrieval.Observation {
	t.Helper()
	late := time.After(patience)
	for {
		seen, changed := r.all()
		if n := len(seen); n > 0 && wanted(seen[n-1]) {
			return seen[n-1]
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited %s for %s; observed %+v", patience, what, seen)
		}
	}
}

func (r *record) untilKnown(t *testing.T, info leader.Info) retrieval.Observation {
	t.Helper()
	return r.until(t, "the leader of epoch "+info.Epoch.String(), func(o retrieval.Observation) bool {
		return o.Status == retrieval.StatusKnown && o.Info == info
	})
}

func (r *record) untilStatus(t *testing.T, s retrieval.Status) retrieval.Observation {
	t.Helper()
	return r.until(t, "the status "+s.String(), func(o retrieval.Observation) bool { return o.Status == s })
}

// answered returns what was observed first that is an answer.
func (r *record) answered(t *testing.T) retrieval.Observation {
	t.Helper()
	r.until(t, "an answer", answers)
	seen, _ := r.all()
	return seen[slices.IndexFunc(seen, answers)]
}

// retriever starts a Retriever over the follower's driver.
func (s *scene) retriever(t *testing.T, f Follower) *retrieval.Retriever {
	t.Helper()
	r, err := retrieval.New(retrieval.Config{Driver: f.Driver(), Component: component})
	if err != nil {
		t.Fatal(err)
	}
	s.running.Go(func() {
		if err := r.Run(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
	})
	return r
}

// untilLeader waits for a retriever to know the leader.
func untilLeader(t *testing.T, r *retrieval.Retriever, info leader.Info) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := r.Wait(ctx, func(st retrieval.State) bool {
		return st.Status == retrieval.StatusKnown && st.Info == info
	})
	if err != nil {
		t.Fatalf("waited %s for the leader of epoch %d; the state is %+v", patience, info.Epoch, got)
	}
}

// await calls f and fails the test when it does not return.
func await(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
	}
}
