package resourcemanager

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

func TestAPanicEndsTheTerm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(1))
		if err := r.do(t.Context(), func(*state) error { panic("broken") }); err == nil {
			t.Error("what panicked returned nil")
		}
		r.over = true
		err := <-r.done
		p, panicked := errors.AsType[*rpc.PanicError](err)
		if !panicked || p.Value != "broken" || !errors.Is(err, ErrEnded) {
			t.Errorf("the term ended with %v, want the panic", err)
		}
		if _, err := r.Workers(t.Context()); !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("a call afterwards: %v, want ErrNotLeader", err)
		}
		if said := append(f.heard(), m.heard()...); len(said) > 0 || w.net.connections() > 0 {
			t.Errorf("peers were told %q, and %d connections are open; want neither", said, w.net.connections())
		}
	})
}

func TestAPanicEndsTheElector(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()
		node := w.backend.Participant("node-1")
		running.Go(func() { _ = node.Run(ctx) })
		c, err := New(Config{
			Network: w.net, Records: node.Store(), Leaders: w.leaders, checked: true,
			Hooks: Hooks{OnDecision: func(time.Duration, int) { panic("broken") }},
		})
		if err != nil {
			t.Fatal(err)
		}
		elector, err := election.New(election.Config{ID: "node-1", Driver: node.Election(), Component: leader.ResourceManager})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		running.Go(func() { ended <- elector.Run(ctx, c) })
		synctest.Wait()
		m, err := c.Manager()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = m.RegisterWorker(ctx, w.net.worker("w1", "i1").registration()) // it is decided upon
		synctest.Wait()
		select {
		case err := <-ended:
			if _, panicked := errors.AsType[*rpc.PanicError](err); !panicked {
				t.Errorf("the elector ended with %v, want the panic", err)
			}
		default:
			t.Error("the elector goes on after a panic")
		}
	})
}

func TestAPanicWhileSomethingIsStoredEndsTheCallToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		_, err := perform(t.Context(), r.Manager, func(context.Context) (int, error) { panic("broken") })
		if !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("the call ended with %v, want ErrNotLeader", err)
		}
		r.over = true
		if _, panicked := errors.AsType[*rpc.PanicError](<-r.done); !panicked {
			t.Error("the term did not end with the panic")
		}
	})
}

func TestCallsFailDifferentlyBeforeAndAfterATerm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.elect()
		r.done <- nil // its contender does not lead
		m, err := NewManager(r.contender.cfg, Term{ID: r.elected.ID(), Guard: r.elected.Guard()})
		if err != nil {
			t.Fatal(err)
		}
		calls := func(want error) {
			t.Helper()
			_, registered := m.RegisterWorker(t.Context(), w.net.worker("w1", "i1").registration())
			_, holders := m.Holders(t.Context(), "etl")
			for what, err := range map[string]error{
				"register worker": registered, "holders": holders,
				"register master": m.RegisterJobMaster(t.Context(), gateway.MasterRegistration{Term: r.elected.ID()}),
				"declare needs":   m.DeclareNeeds(t.Context(), r.elected.ID(), "etl", nil),
				"drain":           m.Drain(t.Context(), "w1"),
				"release":         m.ReleaseJob(t.Context(), "etl"),
			} {
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
			}
		}
		calls(rpc.ErrNotStarted)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		<-m.Started()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want its context's error", err)
		}
		calls(gateway.ErrNotLeader)
		if err := m.Run(t.Context()); !errors.Is(err, errStartedTwice) {
			t.Errorf("a second Run returned %v, want that it was started before", err)
		}
	})
}

func TestAMasterThatHasEndedIsForgottenAndNotLost(t *testing.T) {
	for name, answer := range map[string]error{
		"it has stopped":        gateway.ErrStopped,
		"nothing is there":      rpc.ErrNoEndpoint,
		"it is not registered":  gateway.ErrNotRegistered,
		"it is of another term": gateway.ErrFencingToken,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				lost := 0
				w.hooks.OnMasterLost = func() { lost++ }
				r := w.lead()
				f := w.net.worker("w1", "i1")
				m := r.master("etl", need(1))
				m.end(answer)
				pass(DefaultHeartbeatTimeout / heartbeatsPerTimeout)
				if err := r.DeclareNeeds(t.Context(), r.elected.ID(), "etl", nil); !errors.Is(err, gateway.ErrNotRegistered) {
					t.Errorf("declare needs: %v, want ErrNotRegistered", err)
				}
				r.register(f)
				pass(time.Minute)
				if said := m.heard(); len(said) > 0 || lost > 0 || f.has("etl") > 0 {
					t.Errorf("the master was told %q, %d are lost, the job got %d slots; want nothing", said, lost, f.has("etl"))
				}
				if w.warned.Len() > 0 {
					t.Errorf("logged %q, want no warning", w.warned.String())
				}
			})
		})
	}
}
