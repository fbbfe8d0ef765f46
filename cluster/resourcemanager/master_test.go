package resourcemanager

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
)

// registering registers a master of the term, and returns where the outcome will arrive.
func (r *reign) registering(ctx context.Context, term leader.TermID) <-chan error {
	f := r.w.net.master("etl")
	done := make(chan error, 1)
	go func() {
		done <- r.RegisterJobMaster(ctx, gateway.MasterRegistration{Term: term, MasterLocation: f.at})
	}()
	synctest.Wait()
	return done
}

func TestAMasterWaitsUntilItsLeaderIsKnown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		w.leaders.set(leader.TermID{})
		done := r.registering(t.Context(), r.elected.ID())
		pass(DefaultJobLeaderWait - time.Second)
		select {
		case err := <-done:
			t.Fatalf("the registration ended with %v before a leader was known", err)
		default:
		}
		w.leaders.set(r.elected.ID())
		if err := <-done; err != nil {
			t.Errorf("registered with %v, want nil once the leader is known", err)
		}
		synctest.Wait()
		r.needs("etl", need(1))
	})
}

func TestAMasterOfAnotherLeaderIsNotRegistered(t *testing.T) {
	own := func(r *reign) leader.TermID { return r.elected.ID() }
	older := func(r *reign) leader.TermID { return leader.TermID{SessionID: "older", Epoch: r.elected.Epoch() - 1} }
	newer := func(r *reign) leader.TermID { return leader.TermID{SessionID: "newer", Epoch: r.elected.Epoch() + 1} }
	nobody := func(*reign) leader.TermID { return leader.TermID{} }
	for name, c := range map[string]struct {
		retrieved, master func(r *reign) leader.TermID
		after             time.Duration
		want              error
	}{
		"the leader is newer":       {newer, own, 0, gateway.ErrNotLeaderYet},
		"the leader is still older": {older, own, DefaultHeartbeatTimeout / heartbeatsPerTimeout, gateway.ErrNotLeaderYet},
		"no leader comes":           {nobody, own, DefaultJobLeaderWait, gateway.ErrNotLeaderYet},
		"this manager is older":     {newer, newer, 0, gateway.ErrFencingToken},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := w.lead()
				w.leaders.set(c.retrieved(r))
				begun := time.Now()
				err := <-r.registering(t.Context(), c.master(r))
				if !errors.Is(err, c.want) || time.Since(begun) != c.after {
					t.Errorf("%v after %s, want %v after %s", err, time.Since(begun), c.want, c.after)
				}
				if err := r.DeclareNeeds(t.Context(), r.elected.ID(), "etl", nil); !errors.Is(err, gateway.ErrNotRegistered) {
					t.Errorf("declare needs: %v, want ErrNotRegistered", err)
				}
			})
		})
	}
}

func TestAWaitingMasterGoesWithItsCallerAndWithTheTerm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		w.leaders.set(leader.TermID{})
		ctx, cancel := context.WithCancel(t.Context())
		done := r.registering(ctx, r.elected.ID())
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the caller's", err)
		}
		done = r.registering(t.Context(), r.elected.ID())
		_ = r.end(nil)
		if err := <-done; !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("%v, want ErrNotLeader", err)
		}
	})
}

func TestCallsOfAnotherTermAreFenced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.register(w.net.worker("w1", "i1"))
		r.master("etl", need(1))
		former := r.elected.ID()
		former.Epoch--
		for what, err := range map[string]error{
			"declare needs": r.DeclareNeeds(t.Context(), former, "etl", nil),
			"disconnect":    r.DisconnectJobMaster(t.Context(), former, "etl", "late"),
		} {
			if !errors.Is(err, gateway.ErrFencingToken) {
				t.Errorf("%s: %v, want ErrFencingToken", what, err)
			}
		}
		r.needs("etl", need(2)) // still registered
	})
}

func TestNeedsThatCannotBeMetByAnyWorkerAreRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.master("etl")
		for want, n := range map[string]gateway.Need{
			"-1 slots are needed": need(-1),
			"label \"a b\"":       need(1, "a b", "c"),
		} {
			err := r.DeclareNeeds(t.Context(), r.elected.ID(), "etl", []gateway.Need{n})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}

func TestAMasterThatRegistersAgainDeclaresItsNeedsAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.master("etl", need(1))
		if err := <-r.registering(t.Context(), r.elected.ID()); err != nil {
			t.Fatal(err)
		}
		f := w.net.worker("w1", "i1")
		r.register(f)
		if got := f.has("etl"); got != 0 {
			t.Errorf("the job has %d slots, want none before its master declares its needs", got)
		}
		r.needs("etl", need(1))
		if got := f.has("etl"); got != 1 {
			t.Errorf("the job has %d slots, want 1", got)
		}
		if n := w.net.connections(); n != 2 {
			t.Errorf("%d connections, want one to the worker and one to the master", n)
		}
	})
}

func TestARegistrationThatWasGivenUpDoesNotTakeTheNeedsOfALaterOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.master("etl", need(1))
		ctx, giveUp := context.WithCancel(t.Context())
		w.net.onMaster = giveUp // as the answer of its connection arrives
		if err := <-r.registering(ctx, r.elected.ID()); !errors.Is(err, context.Canceled) {
			t.Errorf("the registration ended with %v, want that it was given up", err)
		}
		w.net.onMaster = nil
		worker := w.net.worker("w1", "i1")
		r.register(worker)
		synctest.Wait()
		if got := worker.has("etl"); got != 1 {
			t.Errorf("the job got %d slots, want the one that it needs", got)
		}
	})
}
