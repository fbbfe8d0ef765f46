package embedded_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/retrieval/retrievaltest"
)

func TestRetrievalDriver(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		newStage := func(t *testing.T) *stage {
			t.Helper()
			b := newBackend(t, config(t))
			return &stage{backend: b, leader: started(t, b, "leader")}
		}
		retrievaltest.Run(t, func(t *testing.T) retrievaltest.Harness { t.Helper(); return newStage(t) })
		retrievaltest.RunForged(t, func(t *testing.T) retrievaltest.Forger { t.Helper(); return newStage(t) })
	})
}

// stage is a backend with one participant that leads term after term.
type stage struct {
	backend *embedded.Backend
	leader  *embedded.Participant
	// withdraw ends the newest term.
	withdraw func()
}

var _ retrievaltest.Forger = (*stage)(nil)

func (s *stage) Follower(t *testing.T) retrievaltest.Follower {
	t.Helper()
	return follower{started(t, s.backend, "follower")}
}

func (s *stage) Publish(t *testing.T, component, address string) (published leader.Info, withdraw func()) {
	t.Helper()
	if s.withdraw != nil {
		s.withdraw()
	}
	tenure := campaign(t, s.leader)
	published = info("leader", tenure)
	published.Component, published.Address, published.SessionID = component, address, leader.NewSessionID()
	if err := tenure.Publish(t.Context(), published); err != nil {
		t.Fatal(err)
	}
	s.withdraw = release(t, tenure)
	return published, s.withdraw
}

func release(t *testing.T, tenure election.Tenure) func() {
	t.Helper()
	return func() {
		if err := tenure.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func (s *stage) Forge(_ *testing.T, forged leader.Info) { s.backend.Forge(forged) }

type follower struct{ p *embedded.Participant }

func (f follower) Driver() retrieval.Driver { return f.p.Retrieval() }
func (f follower) Disconnect(*testing.T)    { f.p.Disconnect() }
func (f follower) Reconnect(*testing.T)     { f.p.Reconnect() }
func (f follower) Expire(*testing.T)        { f.p.Expire() }

// follow collects what a follower of the dispatcher sees.
func follow(t *testing.T, p *embedded.Participant) (next func() retrieval.Observation) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan retrieval.Observation, 100)
	done := make(chan error, 1)
	go func() {
		done <- p.Retrieval().Follow(ctx, leader.Dispatcher, func(o retrieval.Observation) { seen <- o })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow ended with %v, want its context's error", err)
		}
	})
	return func() retrieval.Observation {
		t.Helper()
		synctest.Wait()
		select {
		case o := <-seen:
			return o
		default:
			t.Fatal("nothing new was observed")
			return retrieval.Observation{}
		}
	}
}

func TestAFollowerSeesLeadersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{})
		watcher := b.Participant("w")
		next := follow(t, watcher)
		if o := next(); o != (retrieval.Observation{}) {
			t.Errorf("before the participant runs: %+v, want unknown", o)
		}
		run(t, watcher)
		none := next()
		if none.Status != retrieval.StatusNone || none.Index == 0 {
			t.Errorf("without a leader: %+v, want none with an index", none)
		}
		p := started(t, b, "a")
		first := campaign(t, p)
		if err := first.Publish(t.Context(), info("a", first)); err != nil {
			t.Fatal(err)
		}
		known := next()
		if known.Info != info("a", first) || known.Index <= none.Index {
			t.Errorf("with a leader: %+v, want what was published, newer than %d", known, none.Index)
		}

		watcher.Disconnect()
		if o := next(); o != (retrieval.Observation{}) {
			t.Errorf("cut off: %+v, want unknown", o)
		}
		watcher.Reconnect()
		if o := next(); o != known {
			t.Errorf("back again: %+v, want %+v", o, known)
		}

		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		gone := next()
		if gone.Status != retrieval.StatusNone || gone.Index <= known.Index {
			t.Errorf("after the release: %+v, want none, newer than %d", gone, known.Index)
		}
		second := campaign(t, p)
		if err := second.Publish(t.Context(), info("a", second)); err != nil {
			t.Fatal(err)
		}
		if o := next(); o.Info != info("a", second) || o.Index <= gone.Index {
			t.Errorf("with the next leader: %+v, want what it published, newer than %d", o, gone.Index)
		}
	})
}
