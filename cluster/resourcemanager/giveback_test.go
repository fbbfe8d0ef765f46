package resourcemanager

import (
	"fmt"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
)

func TestAJobWithMoreThanItsShareIsAskedOnceToGiveBack(t *testing.T) {
	f := newField()
	f.worker("w", 8)
	f.needs("first", need(8))
	f.settle(t)
	f.stuck["first"] = true
	f.needs("second", need(8))
	for range 5 {
		f.round()
		f.pass(time.Second)
	}
	if f.asks != 4 {
		t.Fatalf("asked for %d slots, want the 4 of the other's share, once", f.asks)
	}
	f.stuck["first"] = false
	f.giveOne(giveBack{job: "first"})
	f.round()
	f.wantHas(t, map[job.ID]int{"first": 7, "second": 1})
	for range 3 {
		f.giveOne(giveBack{job: "first"})
	}
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"first": 4, "second": 4})
	if f.asks != 4 {
		t.Errorf("asked for %d slots in all, want 4", f.asks)
	}
}

func TestWhatIsLostWithItsWorkerIsAskedForAgain(t *testing.T) {
	f := newField()
	f.worker("w1", 4)
	f.needs("first", need(4))
	f.settle(t)
	f.stuck["first"] = true
	f.needs("second", need(4))
	f.round()
	if f.asks != 2 {
		t.Fatalf("asked for %d slots, want 2", f.asks)
	}
	f.dropNeeds("second")
	f.dropWorker("w1")
	delete(f.slots, "w1")
	f.worker("w2", 4)
	f.pass(time.Second)
	f.settle(t)
	f.stuck["first"] = false
	f.needs("second", need(4))
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"first": 2, "second": 2})
}

func TestWhatAWorkerThatDrainsStillHoldsCountsForNobody(t *testing.T) {
	f := newField()
	f.worker("w1", 4)
	f.needs("first", need(4))
	f.settle(t)
	f.stuck["first"] = true
	f.needs("second", need(4))
	f.round() // asks the first for two slots, which will not help any more
	f.close("w1", true)
	f.dropNeeds("second")
	f.worker("w2", 4)
	f.needs("third", need(4))
	f.settle(t)
	f.needs("second", need(4))
	f.settle(t)
	f.wantHas(t, map[job.ID]int{"first": 4, "second": 2, "third": 2})
}

func TestNoSlotIsAskedForWhileAWorkerOnlyRests(t *testing.T) {
	f := newField()
	f.worker("w1", 2)
	f.needs("first", need(2))
	f.settle(t)
	f.worker("w2", 2)
	f.failing["w2"] = true
	f.needs("second", need(2))
	f.round()
	f.round()
	if f.asks != 0 {
		t.Errorf("asked for %d slots, want none: there are free ones, of a worker that rests", f.asks)
	}
}

func TestOnlySlotsThatHelpAreAskedFor(t *testing.T) {
	f := newField()
	f.worker("plain", 8)
	f.worker("gpu", 2, "gpu", "true")
	f.needs("rich", need(8))
	f.settle(t)
	f.needs("other", need(2))
	f.settle(t)
	asked := f.asks
	f.worker("north", 2, "zone", "north")
	f.needs("picky", need(4, "zone", "north"))
	f.settle(t)
	if f.asks != asked || f.has("picky") != 2 {
		t.Errorf("%d slots were asked for and picky has %d, want none, as nobody else has one that helps, and 2", f.asks-asked, f.has("picky"))
	}
}

func TestWithMoreJobsThanSlotsEachGetsItsTurn(t *testing.T) {
	f := newField()
	f.worker("w", 2)
	served := make(map[job.ID]bool)
	for i := range 6 {
		f.needs(job.ID(fmt.Sprintf("job-%d", i)), need(3))
	}
	for range 6 {
		for range 12 {
			f.round()
			f.pass(time.Second)
		}
		for _, owner := range f.slots["w"] {
			served[owner] = true
		}
	}
	if len(served) != 6 {
		t.Errorf("after a minute %d of 6 jobs had a slot: %v", len(served), served)
	}
}

func TestWhoHasWaitedLongestForALabelComesFirst(t *testing.T) {
	f := newField()
	f.worker("plain", 4)
	f.worker("gpu", 1, "gpu", "true")
	f.needs("holder", need(1, "gpu", "true"))
	f.settle(t)
	f.stuck["holder"] = true
	f.needs("rich", need(4), need(1, "gpu", "true"))
	f.settle(t)
	f.pass(time.Second)
	f.needs("poor", need(1, "gpu", "true"))
	for range 15 {
		f.round()
		f.pass(time.Second)
	}
	if f.asks != 1 {
		t.Errorf("asked for %d slots, want the one with the label", f.asks)
	}
	f.stuck["holder"] = false
	f.giveOne(giveBack{job: "holder", need: need(1, "gpu", "true")})
	f.round()
	if f.has("rich", "gpu") != 1 {
		t.Errorf("the slot is held by %v, want the job that has waited longest for its label", f.slots["gpu"])
	}
}
