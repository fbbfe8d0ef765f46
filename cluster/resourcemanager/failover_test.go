package resourcemanager

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// asking asks for the holders of a job, and returns where they will arrive.
func (r *reign) asking(id job.ID) <-chan []gateway.Worker {
	on := make(chan []gateway.Worker, 1)
	go func() {
		defer close(on)
		if all, err := r.Holders(context.Background(), id); err == nil {
			on <- all
		}
	}()
	synctest.Wait()
	return on
}

func TestHoldersAreKnownOnceEveryWorkerHasRegistered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		a, b := w.net.worker("a", "i1"), w.net.worker("b", "i1")
		r.register(a)
		r.master("etl", need(2))
		r.register(b)
		_ = r.end(election.ErrSessionExpired)

		r = w.lead()
		r.wantState("a", gateway.WorkerExpected)
		on := r.asking("etl")
		begun := time.Now()
		r.register(b)
		select {
		case got := <-on:
			t.Fatalf("holders %v before the holder has registered", got)
		default:
		}
		r.register(a)
		if got := <-on; !reflect.DeepEqual(got, []gateway.Worker{a.Worker}) || time.Since(begun) > 0 {
			t.Errorf("holders %v after %s, want worker a, at once", got, time.Since(begun))
		}
	})
}

func TestAWorkerThatIsGoneDelaysARecoveryAsLittleAsItCan(t *testing.T) {
	for name, c := range map[string]struct {
		health health
		after  time.Duration
	}{
		"its host refuses":         {dead, 0},
		"its host does not answer": {paused, DefaultHeartbeatTimeout},
		"it does not register":     {alive, DefaultHeartbeatTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := w.lead()
				f := w.net.worker("w1", "i1")
				r.register(f)
				_ = r.end(election.ErrSessionExpired)
				f.set(c.health)
				begun := time.Now()
				r = w.lead()
				if on := <-r.asking("etl"); len(on) > 0 || time.Since(begun) != c.after {
					t.Errorf("holders %v after %s, want none after %s", on, time.Since(begun), c.after)
				}
				synctest.Wait()
				r.wantState("w1", "")
				if got := r.stored(); len(got) > 0 {
					t.Errorf("stored %v, want nothing", got)
				}
				f.set(alive)
				r.register(f)
				r.wantState("w1", gateway.WorkerReady)
			})
		})
	}
}

func TestHoldersEndWithTheTerm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.register(w.net.worker("w1", "i1"))
		_ = r.end(election.ErrSessionExpired)
		r = w.lead()
		on := r.asking("etl")
		_ = r.end(election.ErrSessionExpired)
		if got, answered := <-on; answered {
			t.Errorf("holders %v of a term that is over, want an error", got)
		}
	})
}

func TestADrainedWorkerIsDrainedByTheNextLeaderToo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		if err := r.Drain(t.Context(), "nobody"); !errors.Is(err, gateway.ErrNoWorker) {
			t.Errorf("drain of an unknown worker: %v, want ErrNoWorker", err)
		}
		if err := r.Drain(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.wantState("w1", gateway.WorkerDraining)
		if said := f.heard(); !reflect.DeepEqual(said, []string{"drain"}) {
			t.Errorf("the worker was told %q, want to drain, once", said)
		}
		_ = r.end(election.ErrSessionExpired)

		r = w.lead()
		f.change(func() { f.draining = false }) // it was restarted at once, say
		f.Instance = "i2"
		if reply := r.register(f); !reply.Drain {
			t.Errorf("reply %+v, want that it drains", reply)
		}
		r.master("etl", need(1))
		pass(time.Minute)
		if got := f.has("etl"); got != 0 {
			t.Errorf("job etl has %d slots of a draining worker, want none", got)
		}
		r.wantState("w1", gateway.WorkerDraining)
		if err := r.DisconnectWorker(t.Context(), f.Worker, "drained", true); err != nil {
			t.Fatal(err)
		}
		f.change(func() { f.draining = false })
		if reply := r.register(f); reply.Drain {
			t.Error("a worker that had drained and stopped is to drain again when it is back")
		}
	})
}

func TestAWorkerThatCouldNotBeToldToDrainIsToldWithAHeartbeat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		f.change(func() { f.refusesDrain = true })
		if err := r.Drain(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		f.change(func() { f.refusesDrain = false })
		pass(5 * time.Second)
		f.heard()
		if !f.report().Draining {
			t.Error("the worker does not drain")
		}
		r.wantState("w1", gateway.WorkerDraining)
		pass(time.Minute)
		if said := f.heard(); len(said) > 0 {
			t.Errorf("a worker that drains was told %q", said)
		}
	})
}

func TestAWorkerThatDrainsByItselfGetsNoSlots(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		f := w.net.worker("w1", "i1")
		r.register(f)
		f.change(func() { f.draining = true })
		pass(5 * time.Second)
		r.master("etl", need(1))
		r.wantState("w1", gateway.WorkerDraining)
		if got := f.has("etl"); got != 0 || r.stored()["w1"].drain {
			t.Errorf("job etl has %d slots, drain is stored: %v; want neither", got, r.stored()["w1"].drain)
		}
	})
}

func TestAJobIsReleasedWhenAllWorkersHaveReleasedIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		a, b := w.net.worker("a", "i1"), w.net.worker("b", "i1")
		r.register(a)
		r.register(b)
		_ = r.end(election.ErrSessionExpired)
		r = w.lead()
		r.register(a)
		if err := r.ReleaseJob(t.Context(), "etl"); err == nil {
			t.Error("released, though worker b has not registered")
		}
		r.register(b)
		b.set(failed)
		if err := r.ReleaseJob(t.Context(), "etl"); !errors.Is(err, errBroken) {
			t.Errorf("released with %v, though worker b has failed", err)
		}
		b.set(alive)
		a.heard()
		if err := r.ReleaseJob(t.Context(), "etl"); err != nil {
			t.Errorf("released with %v, want nil", err)
		}
		for _, f := range []*fakeWorker{a, b} {
			if said := f.heard(); !reflect.DeepEqual(said, []string{"release etl"}) {
				t.Errorf("worker %s was told %q, want to release the job", f.ID, said)
			}
		}
	})
}

func TestARecordThatCannotBeReadIsDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		r.register(w.net.worker("good", "i1"))
		driver := r.node.Store()
		for path, data := range map[string]string{"workers/bad": "garbage", "workers/.hidden": "x"} {
			if err := driver.Commit(t.Context(), r.tenure.Guard(), txn.Op{Kind: txn.Create, Path: path, Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
		}
		_ = r.end(election.ErrSessionExpired)
		r = w.lead()
		r.wantState("bad", "")
		r.wantState("good", gateway.WorkerExpected)
		names, err := r.node.Store().List(t.Context(), r.tenure.Guard(), "workers")
		if err != nil || len(names) != 2 {
			t.Errorf("stored %q, %v; want the good one, and the node that is not coordd's", names, err)
		}
	})
}

func TestARecordOfANewerReleaseEndsTheTerm(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		data, err := envelope.Seal(map[string]any{"v": recordFormat + 2, "id": "w1"})
		if err != nil {
			t.Fatal(err)
		}
		op := txn.Op{Kind: txn.Create, Path: "workers/w1", Data: data}
		if err := r.node.Store().Commit(t.Context(), r.tenure.Guard(), op); err != nil {
			t.Fatal(err)
		}
		_ = r.end(election.ErrSessionExpired)
		r = w.elect()
		r.start()
		r.over = true
		err = <-r.done
		if !errors.Is(err, envelope.ErrNewerFormat) || !errors.Is(err, ErrEnded) {
			t.Errorf("the term ended with %v, want ErrNewerFormat", err)
		}
		if _, err := r.contender.Manager(); !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("a manager is there: %v", err)
		}
	})
}

func TestAManagerStartsOnlyAfterItsPredecessorHasEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := w.lead()
		if got := r.elected.published; len(got) != 1 || got[0].RPCAddress != "node-1:1" {
			t.Errorf("published %+v, want its address, once", got)
		}
		f := w.net.worker("w1", "i1")
		r.register(f)
		f.set(paused) // so that the farewell takes its time
		second := &fakeTerm{guard: leader.NewGuard(r.elected.Epoch()+1, "none"), session: "second"}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.contender.lead(ctx, second) }()
		synctest.Wait()
		if m, err := r.contender.Manager(); err != nil || m != r.Manager {
			t.Errorf("the manager is %p, %v; want the first, as long as it is there", m, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a term that ended before its turn returned %v, want nil", err)
		}
		go func() { done <- r.contender.lead(t.Context(), second) }()
		_ = r.end(election.ErrResigned)
		if err := <-done; !errors.Is(err, ErrEnded) { // its guard is nobody's
			t.Errorf("the second term ended with %v, want ErrEnded", err)
		}
	})
}

func TestRegistrationsAreSafeWhereverALeaderIsStruck(t *testing.T) {
	// One list, and six changes of which two find a record that is there.
	const calls = 1 + 6 + 2
	struck := 0
	for k := range calls {
		for _, after := range []bool{false, true} {
			inWorld(t, func(t *testing.T, w *world) {
				if strikeAt(t, w, k, after) {
					struck++
				}
			})
		}
	}
	if want := 14; struck != want {
		t.Errorf("%d strikes hit a call, want %d", struck, want)
	}
}

// strikeAt lets workers come and go, ends the term at its k-th call of the store, before
// or after the effect, and compares what the next term finds with what was acknowledged.
// It reports whether there was such a call.
func strikeAt(t *testing.T, w *world, k int, after bool) bool {
	t.Helper()
	r := w.elect()
	hit := false
	w.backend.Inject(embedded.Fault{
		Participant: "node-1", Skip: k, Times: 1, After: after, Err: txn.ErrUnknownOutcome,
		Hook: func() { hit = true; r.node.Expire() },
	})
	r.start()
	synctest.Wait()
	select {
	case <-r.done: // struck before it served
		r.over = true
		return hit
	default:
		r.await()
	}
	// Each worker's fate as far as it is known: the instance that the store must have, ""
	// for none, and what it may have besides.
	must, may := make(map[string]string), make(map[string][]string)
	note := func(id, instance string, err error) {
		if err == nil {
			must[id], may[id] = instance, nil
		} else {
			may[id] = append(may[id], instance)
		}
	}
	a, b := w.net.worker("a", "i1"), w.net.worker("b", "i1")
	for _, f := range []*fakeWorker{a, b} {
		_, err := r.RegisterWorker(t.Context(), f.registration())
		note(f.ID, f.Instance, err)
	}
	drained := r.Drain(t.Context(), "a") == nil
	a2 := w.net.worker("a", "i2")
	_, err := r.RegisterWorker(t.Context(), a2.registration())
	note("a", "i2", err)
	note("b", "", r.DisconnectWorker(t.Context(), b.Worker, "stopped", true))
	_ = r.end(election.ErrSessionExpired)

	found := w.lead().stored()
	for id, instance := range must {
		if got := found[id].Instance; got != instance && !slices.Contains(may[id], got) {
			t.Errorf("call %d, after %v: worker %s is stored as %q, want %q, or one of %q", k, after, id, got, instance, may[id])
		}
	}
	if got, there := found["a"]; there && drained && !got.drain {
		t.Errorf("call %d, after %v: the acknowledged drain is lost", k, after)
	}
	return hit
}
