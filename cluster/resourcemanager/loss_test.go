package resourcemanager

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
)

// TestAWorkerThatDoesNotAnswerIsLostOnce tries the ways not to answer, and when each is
// noticed.
func TestAWorkerThatDoesNotAnswerIsLostOnce(t *testing.T) {
	const interval = DefaultHeartbeatTimeout / heartbeatsPerTimeout
	for _, c := range []struct {
		name   string
		health health
		after  time.Duration
	}{
		{"paused", paused, DefaultHeartbeatTimeout},
		{"failing", failed, 2 * interval},
		{"dead", dead, 2 * interval},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				lost := 0
				w.hooks.OnWorkerLost = func() { lost++ }
				r := w.lead()
				f, other := w.net.worker("w1", "i1"), w.net.worker("w2", "i1")
				r.register(f)
				holder := r.master("holder", need(2))
				r.register(other)
				bystander := r.master("bystander", need(1))
				if f.has("holder") != 2 || other.has("bystander") != 1 {
					t.Fatalf("the slots are elsewhere: %v, %v", f.allocated, other.allocated)
				}
				f.set(c.health)
				pass(c.after - interval/2)
				r.wantState("w1", gateway.WorkerReady)
				pass(interval)
				r.wantState("w1", "")
				pass(time.Minute)
				if said := holder.heard(); !reflect.DeepEqual(said, []string{"lost w1/i1"}) {
					t.Errorf("the master with slots there was told %q, want the loss, once", said)
				}
				if said := bystander.heard(); len(said) > 0 {
					t.Errorf("a master without slots there was told %q, want nothing", said)
				}
				if lost != 1 || len(r.stored()) != 1 {
					t.Errorf("%d losses, stored %v; want one, and the other worker alone", lost, r.stored())
				}
				if got := other.has("holder"); got != 1 {
					t.Errorf("the job has %d slots on the other worker, want the free one", got)
				}
			})
		})
	}
}

func TestOneFailedHeartbeatIsNoLoss(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		for range 5 {
			f.set(failed)
			pass(2 * time.Second)
			f.set(alive)
			pass(2 * time.Second)
			f.set(paused)
			pass(DefaultHeartbeatTimeout - 3*time.Second)
			f.set(alive)
			pass(5 * time.Second)
		}
		r.wantState("w1", gateway.WorkerReady)
	})
}

func TestAPausedWorkerThatComesBackHasWhatItReports(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		f.slots = 4
		r.register(f)
		kept, dropped := r.master("kept", need(2)), r.master("dropped", need(2))
		f.set(paused)
		pass(time.Minute)
		r.wantState("w1", "")
		for _, m := range []*fakeMaster{kept, dropped} {
			if said := m.heard(); !reflect.DeepEqual(said, []string{"lost w1/i1"}) {
				t.Errorf("master of %s was told %q, want the loss", m.at.Job, said)
			}
		}
		r.needs("kept")
		r.needs("dropped")
		f.set(alive)
		// One job's attempts it has stopped meanwhile.
		f.change(func() {
			for slot, owner := range f.allocated {
				if owner == "dropped" {
					delete(f.allocated, slot)
				}
			}
		})
		r.register(f)
		if got := r.status("w1"); got.State != gateway.WorkerReady || got.FreeSlots != 2 {
			t.Errorf("status %+v, want READY with 2 free slots", got)
		}
		for id, want := range map[job.ID]int{"kept": 1, "dropped": 0} {
			if on, err := r.Holders(t.Context(), id); err != nil || len(on) != want {
				t.Errorf("holders of %s: %v, %v; want %d", id, on, err, want)
			}
		}
		if got := r.stored()["w1"]; got.Instance != "i1" {
			t.Errorf("stored %+v, want the worker again", got)
		}
	})
}

func TestAWorkerThatIsBackIsNotForgottenBelatedly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		remove := w.backend.Inject(embedded.Fault{Op: "remove", Path: "workers/w1", Err: errBroken})
		f.set(dead)
		pass(DefaultHeartbeatTimeout)
		r.wantState("w1", "")
		f.set(alive)
		r.register(f)
		remove()
		pass(time.Minute)
		r.wantState("w1", gateway.WorkerReady)
		if got := r.stored()["w1"]; got.Worker != f.Worker {
			t.Errorf("stored %+v, want the worker that is back", got)
		}
		remove = w.backend.Inject(embedded.Fault{Op: "remove", Path: "workers/w1", Err: errBroken})
		f.set(dead)
		pass(time.Minute)
		remove()
		pass(maxPause)
		if got := r.stored(); len(got) > 0 {
			t.Errorf("stored %v, want nothing once the store works again", got)
		}
	})
}

func TestAWorkerThatIsRegardedAsGoneIsToldSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		f.change(func() { f.forgetful = true })
		pass(time.Minute)
		said := f.heard()
		if len(said) != 1 || !strings.HasPrefix(said[0], "disconnect: no heartbeat") {
			t.Errorf("the worker was told %q, want once that it is regarded as gone", said)
		}
	})
}

func TestAMasterThatDoesNotAnswerLosesItsNeedsAndKeepsItsSlots(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lost := 0
		w.hooks.OnMasterLost = func() { lost++ }
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(1))
		pass(3 * time.Second)
		m.set(paused)
		pass(time.Minute)
		m.set(alive)
		if err := r.DeclareNeeds(t.Context(), r.elected.ID(), "etl", nil); err == nil {
			t.Error("needs of a lost master were taken")
		}
		if got := f.has("etl"); got != 1 || lost != 1 {
			t.Errorf("the job has %d slots after %d losses, want it to keep its one, and one loss", got, lost)
		}
		m = r.master("etl", need(2))
		if got := f.has("etl"); got != 2 {
			t.Errorf("the job has %d slots after its master came again, want 2", got)
		}
		if err := r.DisconnectJobMaster(t.Context(), r.elected.ID(), "etl", "finished"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if said := m.heard(); len(said) > 0 || lost != 1 {
			t.Errorf("the master was told %q, and %d were lost; want nothing more", said, lost)
		}
	})
}

func TestAMasterHearsOfALossEvenIfItDoesNotAnswerAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(1))
		pass(time.Second)
		f.set(dead)
		pass(2 * time.Second)
		m.set(failed)
		pass(1500 * time.Millisecond)
		m.set(paused)
		pass(4 * time.Second)
		r.wantState("w1", "")
		m.set(alive)
		pass(4 * time.Second)
		if said := m.heard(); !slices.Contains(said, "lost w1/i1") {
			t.Errorf("the master was told %q, want the loss", said)
		}
	})
}

func TestPeersAreToldOfAnOrderlyEndOnlyAndNothingIsWritten(t *testing.T) {
	for name, c := range map[string]struct {
		cause error
		told  []string
	}{
		"resigned": {election.ErrResigned, []string{"disconnect: the leader resigned"}},
		"expired":  {election.ErrSessionExpired, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := w.lead()
				f, silent := w.net.worker("w1", "i1"), w.net.worker("w2", "i1")
				r.register(f)
				r.register(silent)
				m := r.master("etl", need(1))
				silent.set(paused)
				before, begun := len(w.backend.Commits(0)), time.Now()
				if err := r.end(c.cause); err != nil {
					t.Errorf("the term ended with %v, want nil", err)
				}
				if took := time.Since(begun); took > farewell {
					t.Errorf("the end took %s, want at most %s", took, farewell)
				}
				if n := len(w.backend.Commits(before)); n != 0 {
					t.Errorf("%d transactions at the end, want none", n)
				}
				if got, also := f.heard(), m.heard(); !reflect.DeepEqual(got, c.told) || !reflect.DeepEqual(also, c.told) {
					t.Errorf("worker and master were told %q and %q, want %q", got, also, c.told)
				}
				if _, err := r.Workers(t.Context()); err == nil {
					t.Error("a manager whose term is over answers")
				}
			})
		})
	}
}
