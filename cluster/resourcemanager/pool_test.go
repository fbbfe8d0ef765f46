package resourcemanager

import (
	"fmt"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestSlotsAreSharedEquallyAndNobodyGetsMoreThanItNeeds(t *testing.T) {
	f := newField()
	f.worker("w1", 6)
	f.worker("w2", 6)
	f.needs("small", need(2))
	f.needs("a", need(100))
	f.needs("b", need(100))
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"small": 2, "a": 5, "b": 5})
}

func TestSlotsSpreadEvenlyOverWorkers(t *testing.T) {
	f := newField()
	f.worker("large", 8)
	f.worker("small", 4)
	f.needs("a", need(6))
	f.settle(t)
	if large, small := len(f.slots["large"]), len(f.slots["small"]); large != 4 || small != 2 {
		t.Errorf("%d of 8 and %d of 4 slots are used, want half of each", large, small)
	}
}

func TestOnlyWorkersWithAllLabelsAreAsked(t *testing.T) {
	f := newField()
	f.worker("plain", 4)
	f.worker("gpu", 4, "gpu", "true")
	f.worker("north", 4, "gpu", "true", "zone", "north")
	f.needs("a", need(3, "gpu", "true", "zone", "north"), need(1, "gpu", "false"))
	f.settle(t)
	if got := f.has("a", "north"); got != 3 || f.has("a") != 3 {
		t.Errorf("job a has %d slots, %d on the worker with both labels; want 3 there alone", f.has("a"), got)
	}
}

func TestWorkersWithLabelsStayFreeForThoseWhoRequireThem(t *testing.T) {
	f := newField()
	f.worker("a-gpu", 2, "gpu", "true")
	f.worker("plain", 2)
	f.needs("a", need(1))
	f.settle(t)
	if got := f.has("a", "plain"); got != 1 {
		t.Errorf("job a has %d slots on the worker without labels, want its one", got)
	}
}

func TestSlotsAreCountedForTheNeedsThatOnlyTheyCanMeet(t *testing.T) {
	f := newField()
	f.worker("both", 1, "gpu", "true", "zone", "north")
	f.needs("a", need(1, "gpu", "true"), need(1, "zone", "north"))
	f.settle(t) // the one slot is good for either need
	f.worker("gpu", 1, "gpu", "true", "zz", "1")
	f.settle(t)
	if got := f.has("a"); got != 2 || f.jobs["a"].used() != 2 {
		t.Errorf("job a has %d slots, of which %d count, want the 2 with which both needs are met", got, f.jobs["a"].used())
	}
}

func TestASlotWithLabelsServesOneNeedOnly(t *testing.T) {
	f := newField()
	f.worker("gpu", 2, "gpu", "true")
	f.needs("a", need(2))
	f.settle(t) // both slots of the worker, which the need could also have had elsewhere
	f.worker("plain", 4)
	f.needs("a", need(2), need(1, "gpu", "true"))
	f.settle(t)
	if got := f.has("a"); got != 3 || f.has("a", "plain") != 1 {
		t.Errorf("job a has %d slots, %d on the plain worker; want 3, and 1 there", got, f.has("a", "plain"))
	}
}

func TestAWorkerThatFailsIsAskedAgainAfterAPause(t *testing.T) {
	f := newField()
	f.worker("w", 4)
	f.failing["w"] = true
	f.needs("a", need(2))
	begun := f.now
	for f.now.Sub(begun) < time.Minute {
		d := f.round()
		again := f.decide(f.now).again
		if len(d.requests) == 0 || !again.After(f.now) {
			t.Fatalf("after %s: %d requests, next at %s; want one request, and a later time", f.now.Sub(begun), len(d.requests), again)
		}
		f.now = again
	}
	if f.sent < 10 || f.sent > 20 {
		t.Errorf("%d requests in a minute, want a few at first and then one in %s", f.sent, maxPause)
	}
	f.failing["w"] = false
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"a": 2})
}

func TestAnotherWorkerTakesOverWhatOneDoesNotGive(t *testing.T) {
	f := newField()
	f.worker("w1", 4)
	f.worker("w2", 4)
	f.failing["w1"] = true
	f.needs("a", need(3))
	f.round()
	f.round()
	if got := f.has("a", "w2"); got != 3 {
		t.Errorf("job a has %d slots of the worker that works, want 3 after two rounds", got)
	}
}

func TestAJobThatRefusesSlotsIsNotOfferedThemInALoop(t *testing.T) {
	f := newField()
	f.worker("w", 4)
	f.needs("a", need(2))
	begun := f.now
	for f.now.Sub(begun) < time.Minute {
		f.round()
		for slot := range f.slots["w"] {
			f.giveUp("w", slot)
		}
		if again := f.decide(f.now).again; again.IsZero() {
			f.pass(time.Second)
		} else {
			f.now = again
		}
	}
	if f.sent < 5 || f.sent > 30 {
		t.Errorf("%d requests in a minute for a job that refuses all slots, want a few", f.sent)
	}
}

func TestADrainingWorkerGetsNoRequests(t *testing.T) {
	f := newField()
	f.worker("w1", 4)
	f.worker("w2", 4)
	f.close("w1", true)
	f.needs("a", need(8))
	f.settle(t)
	if f.has("a", "w1") != 0 || f.has("a") != 4 {
		t.Errorf("a has %d slots on the draining worker and %d in all, want 0 and 4", f.has("a", "w1"), f.has("a"))
	}
}

func TestReportsAreReconciledAndOldOnesUndoNothing(t *testing.T) {
	f := newField()
	f.worker("w", 4)
	asked := f.tick
	f.needs("a", need(1))
	f.settle(t) // slot-000001, allocated since the worker was asked
	f.report("w", asked, gateway.WorkerReport{Slots: 4}, f.now)
	if got := f.workers["w"].free(); got != 3 {
		t.Errorf("an old report freed a newer slot: %d are free, want 3", got)
	}
	asked = f.tick
	f.giveUp("w", "slot-000001")
	f.needs("a")
	f.report("w", asked, gateway.WorkerReport{Slots: 4, Allocated: []gateway.Allocation{{Slot: "slot-000001", Job: "a"}}}, f.now)
	if got := f.workers["w"].free(); got != 4 {
		t.Errorf("an old report brought a freed slot back: %d are free, want 4", got)
	}
	f.report("w", f.tick, gateway.WorkerReport{Slots: 5, Allocated: []gateway.Allocation{{Slot: "other", Job: "b"}}}, f.now)
	if got := f.holders("b"); !reflect.DeepEqual(got, []string{"w"}) || f.workers["w"].free() != 4 {
		t.Errorf("holders of b: %v, free %d; want w, whose report says so, and 4 of 5", got, f.workers["w"].free())
	}
	f.report("w", f.tick, gateway.WorkerReport{Slots: 5}, f.now)
	if got := f.holders("b"); len(got) > 0 || f.jobs["b"] != nil {
		t.Errorf("holders of b: %v, want none, and the job forgotten", got)
	}
}

func TestASlotFreedBeforeItsAnswerIsNotHeld(t *testing.T) {
	f := newField()
	f.worker("w", 4)
	f.needs("a", need(1))
	d := f.decide(f.now)
	f.freed("w", []gateway.Slot{"early"}, f.now)
	f.answered("w", "a", d.requests[0].n, []gateway.Slot{"early"}, f.now)
	if got := f.workers["w"].used(); got != 0 {
		t.Errorf("%d slots are used, want none: it was freed before the answer came", got)
	}
}

func TestJobsThatWaitForAFirstWorkerShareItInTheOrderInWhichTheyCame(t *testing.T) {
	f := newField()
	for _, id := range []job.ID{"b", "c", "a"} {
		f.needs(id, need(2))
		if d := f.round(); len(d.requests) > 0 || len(d.asks) > 0 || !d.again.IsZero() {
			t.Errorf("without a worker it was decided upon %+v, want nothing, and no further decision", d)
		}
		f.pass(time.Second)
	}
	f.worker("w1", 2)
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"b": 1, "c": 1, "a": 0})
}

func TestALostWorkerTakesItsSlotsWithIt(t *testing.T) {
	f := newField()
	f.worker("w1", 2)
	f.worker("w2", 2)
	f.needs("a", need(4))
	f.settle(t)
	if got := f.dropWorker("w1"); !reflect.DeepEqual(got, []job.ID{"a"}) {
		t.Errorf("affected jobs: %v, want a", got)
	}
	f.answered("w1", "a", 1, []gateway.Slot{"late"}, f.now)
	f.worker("w1", 2)
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"a": 4})
	f.dropNeeds("a")
	f.dropWorker("w1")
	f.dropWorker("w2")
	if len(f.jobs) != 0 || len(f.kinds) != 0 {
		t.Errorf("%d jobs and %d kinds are left of nothing", len(f.jobs), len(f.kinds))
	}
}

// TestLargeDecisionsAreQuick: 1,000 jobs, 100 workers, 10,000 slots. BenchmarkDecide has
// the times, some milliseconds; this bounds the work, also under the race detector.
func TestLargeDecisionsAreQuick(t *testing.T) {
	f := large()
	begun := cpuTime(t)
	d := f.round()
	n := 0
	for _, r := range d.requests {
		n += r.n
	}
	if n != 10_000 {
		t.Errorf("%d slots were requested, want all 10,000", n)
	}
	for range 10 {
		f.decide(f.now)
	}
	if took := cpuTime(t) - begun; took > 10*time.Second {
		t.Errorf("giving 10,000 slots, and ten decisions with nothing to give, took %s of the processor", took)
	}
}

// cpuTime is how long the process has computed, which does not depend on others.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func large() *field {
	f := newField()
	for i := range 100 {
		f.worker(fmt.Sprintf("worker-%d", i), 100, "rack", fmt.Sprint(i%10))
	}
	for i := range 1000 {
		f.needs(job.ID(fmt.Sprintf("job-%d", i)), need(5), need(10, "rack", fmt.Sprint(i%10)))
	}
	return f
}

func BenchmarkDecide(b *testing.B) {
	b.Run("give 10,000 slots", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			f := large()
			b.StartTimer()
			f.decide(f.now)
		}
	})
	b.Run("no worker", func(b *testing.B) {
		f := newField()
		for i := range 10_000 {
			f.needs(job.ID(fmt.Sprintf("job-%d", i)), need(5))
		}
		for b.Loop() {
			f.decide(f.now)
		}
	})
	b.Run("nothing to give", func(b *testing.B) {
		f := large()
		f.round()
		for b.Loop() {
			f.decide(f.now)
		}
	})
}
