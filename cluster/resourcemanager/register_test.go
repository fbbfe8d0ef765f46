package resourcemanager

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
)

func TestAWorkerIsRegisteredAndItsSlotsGoToAJob(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1", "gpu", "true")
		reply := r.register(f)
		if reply.HeartbeatTimeout != DefaultHeartbeatTimeout || reply.Drain {
			t.Errorf("reply %+v, want the time-out of %s and no drain", reply, DefaultHeartbeatTimeout)
		}
		r.master("etl", need(1, "gpu", "true"), need(5, "gpu", "false"))
		if got := f.has("etl"); got != 1 {
			t.Errorf("job etl has %d slots, want 1", got)
		}
		s := r.status("w1")
		want := gateway.WorkerStatus{
			ID: "w1", Instance: "i1", Address: "host-w1:1", State: gateway.WorkerReady, Labels: f.labels,
			Slots: 2, FreeSlots: 1, Since: s.Since, LastHeartbeat: s.LastHeartbeat, Release: "v1",
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("status %+v, want %+v", s, want)
		}
		pass(DefaultHeartbeatTimeout)
		if got := r.status("w1").LastHeartbeat; time.Since(got) > DefaultHeartbeatTimeout/heartbeatsPerTimeout {
			t.Errorf("the last heartbeat was %s ago, want one in %s", time.Since(got), DefaultHeartbeatTimeout/heartbeatsPerTimeout)
		}
		if got := r.stored()["w1"]; got.Worker != f.Worker || got.epoch != r.elected.Epoch() {
			t.Errorf("stored %+v, want this instance", got)
		}
	})
}

func TestARegistrationIsNotAnsweredBeforeItIsStored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		remove := w.backend.Inject(embedded.Fault{Op: "create", Path: "workers/w1", Err: errBroken})
		if _, err := r.RegisterWorker(t.Context(), f.registration()); !errors.Is(err, errBroken) {
			t.Fatalf("registered with %v, want the store's error", err)
		}
		r.wantState("w1", "")
		remove()
		r.register(f)
		r.wantState("w1", gateway.WorkerReady)
	})
}

func TestARegistrationThatCanNeverBeRightIsRejected(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		for name, change := range map[string]func(*gateway.WorkerRegistration){
			"ID":       func(g *gateway.WorkerRegistration) { g.Worker.ID = "../w" },
			"instance": func(g *gateway.WorkerRegistration) { g.Worker.Instance = "" },
			"address":  func(g *gateway.WorkerRegistration) { g.Worker.Address = "" },
			"labels":   func(g *gateway.WorkerRegistration) { g.Labels = map[string]string{"a b": "c"} },
			"slots":    func(g *gateway.WorkerRegistration) { g.Report.Slots = -1 },
		} {
			reg := w.net.worker("w1", "i1").registration()
			change(&reg)
			if _, err := r.RegisterWorker(t.Context(), reg); !errors.Is(err, gateway.ErrRejected) {
				t.Errorf("wrong %s: %v, want ErrRejected", name, err)
			}
		}
	})
}

func TestAWorkerThatCannotBeReachedIsNotRegistered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		f.set(failed)
		_, err := r.RegisterWorker(t.Context(), f.registration())
		if err == nil || errors.Is(err, gateway.ErrRejected) || !strings.Contains(err.Error(), f.Address) {
			t.Errorf("%v, want an error that names the address and may be tried again", err)
		}
		if got := r.stored(); len(got) > 0 {
			t.Errorf("stored %v, want nothing", got)
		}
	})
}

func TestRegisteringTheSameInstanceAgainChangesNothingInTheStore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(2))
		before := len(w.backend.Commits(0))
		since := r.status("w1").Since
		pass(time.Minute)
		r.register(f)
		if n := len(w.backend.Commits(before)); n != 0 {
			t.Errorf("%d transactions, want none for an instance that is stored", n)
		}
		if got := r.status("w1"); got.FreeSlots != 0 || !got.Since.Equal(since) {
			t.Errorf("%d slots are free, known since %s; want none, as its report says, and %s", got.FreeSlots, got.Since, since)
		}
		if said := m.heard(); len(said) > 0 {
			t.Errorf("the master was told %q, want nothing: nothing was lost", said)
		}
		if n := w.net.connections(); n != 2 {
			t.Errorf("%d connections, want one to the worker and one to the master", n)
		}
	})
}

func TestANewInstanceTakesThePlaceOfTheFormer(t *testing.T) {
	for name, move := range map[string]func(w *world, former, fresh *fakeWorker){
		"at the same address": func(*world, *fakeWorker, *fakeWorker) {},
		"elsewhere, the former dead": func(w *world, former, fresh *fakeWorker) {
			fresh.Address = "host-w1:2"
			w.net.listen(fresh.Address, fresh)
			former.set(dead)
		},
		"elsewhere, the former paused": func(w *world, former, fresh *fakeWorker) {
			fresh.Address = "host-w1:2"
			w.net.listen(fresh.Address, fresh)
			former.set(paused)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := w.lead()
				former := w.net.worker("w1", "i1")
				r.register(former)
				m := r.master("etl", need(1))
				fresh := w.net.worker("w1", "i2")
				move(w, former, fresh)
				r.register(fresh)
				if said := m.heard(); !reflect.DeepEqual(said, []string{"lost w1/i1"}) {
					t.Errorf("the master was told %q, want that the former instance is lost", said)
				}
				if got := fresh.has("etl"); got != 1 {
					t.Errorf("job etl has %d slots of the new instance, want 1", got)
				}
				if got := r.stored()["w1"]; got.Instance != "i2" {
					t.Errorf("stored instance %q, want i2", got.Instance)
				}
				pass(time.Minute)
				if said := m.heard(); len(said) > 0 {
					t.Errorf("the master was told %q afterwards, want nothing", said)
				}
				r.wantState("w1", gateway.WorkerReady)
			})
		})
	}
}

func TestTwoLiveWorkersOfOneIDAreRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.net.worker("w1", "i1")
		second := w.net.worker("w1", "i2")
		second.Address = "host-w1:2"
		w.net.listen(first.Address, first)
		w.net.listen(second.Address, second)
		r := w.lead()
		r.register(first)
		check := func(r *reign, what string) {
			t.Helper()
			_, err := r.RegisterWorker(t.Context(), second.registration())
			if !errors.Is(err, gateway.ErrRejected) || !strings.Contains(err.Error(), first.Address) || !strings.Contains(err.Error(), second.Address) {
				t.Errorf("%s: %v, want ErrRejected with both addresses", what, err)
			}
			if got := r.status("w1").Instance; got != "i1" {
				t.Errorf("%s: instance %q is known, want i1", what, got)
			}
		}
		check(r, "registered")
		first.change(func() { first.forgetful = true })
		check(r, "registered, and about to register again")
		if err := r.end(nil); err != nil {
			t.Fatal(err)
		}
		check(w.lead(), "expected")
	})
}

func TestALaterRegistrationSupersedesOneUnderWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		slow := w.net.worker("w1", "i1")
		slow.set(paused)
		done := make(chan error, 1)
		go func() {
			_, err := r.RegisterWorker(t.Context(), slow.registration())
			done <- err
		}()
		synctest.Wait()
		fresh := w.net.worker("w1", "i2")
		r.register(fresh)
		if err := <-done; !errors.Is(err, errSuperseded) {
			t.Errorf("the former call ended with %v, want that it was superseded", err)
		}
		slow.set(alive)
		pass(time.Minute)
		if got := r.status("w1").Instance; got != "i2" {
			t.Errorf("instance %q is known, want i2", got)
		}
	})
}

func TestAWorkerThatStopsIsForgottenDurably(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(1))
		other := f.Worker
		other.Instance = "i0"
		if err := r.DisconnectWorker(t.Context(), other, "late", true); err != nil {
			t.Fatal(err)
		}
		r.wantState("w1", gateway.WorkerReady)
		if err := r.DisconnectWorker(t.Context(), f.Worker, "drained", true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := r.stored(); len(got) > 0 {
			t.Errorf("stored %v, want nothing", got)
		}
		if said := m.heard(); !reflect.DeepEqual(said, []string{"lost w1/i1"}) {
			t.Errorf("the master was told %q, want that the worker is gone", said)
		}
		if said := f.heard(); len(said) > 0 {
			t.Errorf("the worker was told %q, want nothing", said)
		}
	})
}

func TestAWorkerThatDisconnectsKeepsItsSlotsUntilItIsBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		m := r.master("etl", need(1))
		if err := r.DisconnectWorker(t.Context(), f.Worker, "no heartbeat", false); err != nil {
			t.Fatal(err)
		}
		r.wantState("w1", gateway.WorkerExpected)
		r.needs("etl", need(2))
		if on, err := r.Holders(t.Context(), "etl"); err != nil || len(on) != 1 || f.has("etl") != 1 {
			t.Errorf("holders %v, %v, slots %d; want it to keep its one slot and get none", on, err, f.has("etl"))
		}
		pass(DefaultHeartbeatTimeout - time.Second)
		r.register(f)
		pass(time.Minute)
		if said := m.heard(); len(said) > 0 || f.has("etl") != 2 {
			t.Errorf("the master was told %q, and has %d slots; want nothing, and 2", said, f.has("etl"))
		}
		if err := r.DisconnectWorker(t.Context(), f.Worker, "no heartbeat", false); err != nil {
			t.Fatal(err)
		}
		pass(DefaultHeartbeatTimeout)
		r.wantState("w1", "")
		if said := m.heard(); !reflect.DeepEqual(said, []string{"lost w1/i1"}) || len(r.stored()) > 0 {
			t.Errorf("the master was told %q and %v is stored, want one loss and nothing", said, r.stored())
		}
	})
}

func TestACallerThatGoesAwayDoesNotBreakOffWhatIsBeingStored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		storing, go1 := make(chan struct{}), make(chan struct{})
		w.backend.Inject(embedded.Fault{Op: "create", Path: "workers/w1", Times: 1, Hook: func() { close(storing); <-go1 }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := r.RegisterWorker(ctx, f.registration())
			done <- err
		}()
		<-storing
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v, want its context's error", err)
		}
		close(go1)
		synctest.Wait()
		r.wantState("w1", gateway.WorkerReady)
	})
}

func TestACallerThatGoesAwayIsNotConnectedTo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		f.set(paused)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.RegisterWorker(ctx, f.registration()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call ended with %v, want its context's error", err)
		}
		synctest.Wait()
		f.set(alive)
		synctest.Wait()
		r.wantState("w1", "")
	})
}

func TestSlotsThatAreFreedGoToOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		first := r.master("first", need(2))
		r.master("second", need(2))
		if said := first.heard(); !reflect.DeepEqual(said, []string{"give back 1 map[]"}) {
			t.Fatalf("the first master was told %q, want to give one slot back", said)
		}
		pass(5 * time.Second)
		f.change(func() { delete(f.allocated, "w1.i1.1") })
		if err := r.SlotsFreed(t.Context(), f.Worker, []gateway.Slot{"w1.i1.1"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if f.has("first") != 1 || f.has("second") != 1 {
			t.Errorf("the jobs have %d and %d slots, want one each", f.has("first"), f.has("second"))
		}
		// What a heartbeat tells counts as well.
		f.change(func() { delete(f.allocated, "w1.i1.2") })
		pass(5 * time.Second)
		on, err := r.Holders(t.Context(), "first")
		if err != nil || f.has("first")+f.has("second") != 2 || len(on) != min(f.has("first"), 1) {
			t.Errorf("the jobs have %d and %d slots, holders of the first %v, %v; want both slots in use", f.has("first"), f.has("second"), on, err)
		}
		former := f.Worker
		former.Instance = "i0"
		if err := r.SlotsFreed(t.Context(), former, nil); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("slots of another instance: %v, want ErrNotRegistered", err)
		}
	})
}

func TestAMasterThatCannotBeAskedIsAskedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.register(w.net.worker("w1", "i1"))
		first := r.master("first", need(2))
		first.set(failed)
		r.master("second", need(2))
		first.set(alive)
		pass(5 * time.Second)
		if said := first.heard(); !reflect.DeepEqual(said, []string{"give back 1 map[]"}) {
			t.Errorf("the first master was told %q, want to give one slot back, once", said)
		}
	})
}

func TestALateAnswerOfAForgottenWorkerIsIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		first, second := make(chan struct{}), make(chan struct{})
		f.hold = first
		r.register(f)
		r.master("etl", need(2))
		f.change(func() { f.hold, f.allocated = second, make(map[gateway.Slot]job.ID) })
		r.register(f)
		counts := func() (held, waiting int) {
			if err := r.do(t.Context(), func(st *state) error {
				held, waiting = len(st.pool.workers["w1"].held), st.pool.workers["w1"].waiting
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return held, waiting
		}
		close(first) // the answer to the request before, which means nothing any more
		synctest.Wait()
		if held, waiting := counts(); held != 0 || waiting != 2 {
			t.Errorf("%d slots are held and %d expected after a late answer, want 0 and 2", held, waiting)
		}
		close(second)
		synctest.Wait()
		if held, waiting := counts(); held != 2 || waiting != 0 || f.has("etl") != 2 {
			t.Errorf("%d slots are held and %d expected, the worker has %d; want 2, 0 and 2", held, waiting, f.has("etl"))
		}
	})
}
