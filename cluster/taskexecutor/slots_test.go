package taskexecutor

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestSlotsAreGivenAsFarAsTheyGo(t *testing.T) {
	c := newScene(t, 3)
	a := c.allocate(t, "a", 2)
	b, err := c.request(gateway.SlotRequest{Term: termOf(term(7)), Job: "b", Count: 5})
	if err != nil || len(b) != 1 {
		t.Fatalf("got %v, %v; want the one slot that was left", b, err)
	}
	none, err := c.request(gateway.SlotRequest{Term: termOf(term(7)), Job: "c", Count: 1})
	if err != nil || len(none) != 0 {
		t.Errorf("got %v, %v of a full worker; want nothing, and no error", none, err)
	}
	c.freeNamed([]gateway.Slot{a[0], a[0], "unknown"})
	again := c.allocate(t, "c", 1)
	if slices.Contains(a, again[0]) || again[0] == b[0] {
		t.Errorf("the name %s was used again", again[0])
	}
	c.freeNamed([]gateway.Slot{a[0]}) // late, by who held it before
	if c.vacant() != 0 {
		t.Error("a slot was freed by a name that it does not have")
	}
}

func TestSlotFreedUnderAnAttemptIsVacantWhenItEnds(t *testing.T) {
	c := newScene(t, 1)
	slots := c.allocate(t, "a", 1)
	if err := c.place(function("f", theAttempt("a", 0), slots[0])); err != nil {
		t.Fatal(err)
	}
	c.freeNamed(slots)
	if c.vacant() != 0 {
		t.Fatal("a slot is vacant while an attempt runs in it")
	}
	if err := c.place(function("f", theAttempt("a", 1), slots[0])); !errors.Is(err, gateway.ErrNoSlot) {
		t.Errorf("deployment into a freed slot got %v, want ErrNoSlot", err)
	}
	c.finish(c.launched[0], nil)
	if c.vacant() != 1 {
		t.Error("the slot was lost")
	}
}

func TestDeploymentIsRefusedOneByOne(t *testing.T) {
	c := newScene(t, 3)
	own, foreign := c.allocate(t, "a", 2), c.allocate(t, "b", 1)
	first := function("f", theAttempt("a", 0), own[0])
	another := theAttempt("a", 1)
	older := another
	older.Epoch = 6
	refused, err := c.deploy(termOf(term(7)), []gateway.Deployment{
		first,
		function("f", another, "unknown"),
		function("f", another, own[0]),
		function("f", another, foreign[0]),
		function("f", older, own[1]),
		function("f", theAttempt("a", 0), own[1]),
		function("f", another, own[1]),
		function("f", theAttempt("b", 0), foreign[0]),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []error
	for _, r := range refused {
		got = append(got, r.Err)
	}
	want := []error{gateway.ErrNoSlot, gateway.ErrNoSlot, gateway.ErrNoSlot, gateway.ErrFencingToken, nil}
	if len(got) != len(want) {
		t.Fatalf("refused %v, want %d", got, len(want))
	}
	for i := range want {
		if want[i] != nil && !errors.Is(got[i], want[i]) {
			t.Errorf("refusal %d is %v, want %v", i, got[i], want[i])
		}
	}
	if len(c.launched) != 3 {
		t.Errorf("%d attempts were started, want 3", len(c.launched))
	}
}

func TestDeploymentMayBeRepeated(t *testing.T) {
	c := newScene(t, 1)
	slot := c.allocate(t, "a", 1)[0]
	d := function("f", theAttempt("a", 0), slot)
	again := func(when string) {
		t.Helper()
		if err := c.place(d); err != nil {
			t.Errorf("the deployment was refused %s: %v", when, err)
		}
		if len(c.launched) != 1 {
			t.Fatalf("the attempt was started again %s", when)
		}
	}
	again("at first")
	again("while it runs")
	c.finish(c.launched[0], nil)
	again("while its end is kept")
	c.settle(c.tenants["a"], c.keptEnd(d.Attempt))
	if err := c.place(d); err == nil || len(c.launched) != 1 {
		t.Errorf("an attempt whose end was settled: error %v, %d starts; want a refusal", err, len(c.launched))
	}
	d.Attempt.N++
	if err := c.place(d); err != nil {
		t.Errorf("the next attempt was refused: %v", err)
	}
}

func TestDrainGivesBackWhatIsEmptyAndThenTheRest(t *testing.T) {
	c := newScene(t, 3)
	slots := c.allocate(t, "a", 2)
	if err := c.place(function("f", theAttempt("a", 0), slots[0])); err != nil {
		t.Fatal(err)
	}
	c.drain()
	c.drain()
	if _, err := c.request(gateway.SlotRequest{Term: termOf(term(7)), Job: "a", Count: 1}); !errors.Is(err, gateway.ErrStopped) {
		t.Errorf("slot request got %v, want ErrStopped", err)
	}
	if r := c.report(nil); !r.Draining || len(r.Allocated) != 1 || r.Allocated[0].Slot != slots[0] {
		t.Errorf("report %+v, want draining with %s allocated", r, slots[0])
	}
	if c.over() {
		t.Error("the worker ends while an attempt runs")
	}
	c.finish(c.launched[0], nil)
	if c.over() {
		t.Error("the worker ends with an end that is not settled")
	}
	c.settle(c.tenants["a"], c.keptEnd(theAttempt("a", 0)))
	if !c.over() || c.err != nil {
		t.Errorf("over: %v, error %v; want the end of an empty worker", c.over(), c.err)
	}
}

func TestJobsOfWhichOnlyFoldersAreLeftAreBounded(t *testing.T) {
	c := newScene(t, 1)
	for i := range maxIdle + 10 {
		c.clock = c.clock.Add(time.Millisecond)
		c.freeNamed(c.allocate(t, job.ID(strconv.Itoa(i)), 1))
	}
	if len(c.tenants) != maxIdle || len(c.removed) != 10 || c.removed[0] != "0" || c.removed[9] != "9" {
		t.Errorf("%d jobs are known and %v were removed, want %d and the 10 oldest", len(c.tenants), c.removed, maxIdle)
	}
}

func TestReleasedJobLeavesNothing(t *testing.T) {
	c := newScene(t, 4)
	slots := c.allocate(t, "a", 3)
	for i := range 2 {
		if err := c.place(function("f", theAttempt("a", i), slots[i])); err != nil {
			t.Fatal(err)
		}
	}
	c.finish(c.launched[0], nil)
	removable, err := c.release(termOf(term(7)), "a")
	if err != nil || removable {
		t.Errorf("released: removable %v, error %v; want the folders kept while an attempt is killed", removable, err)
	}
	if a := c.launched[1]; !a.dying || c.vacant() != 3 || c.kept.ends != 0 {
		t.Errorf("killed %v, %d vacant, %d ends kept; want true, 3, 0", a.dying, c.vacant(), c.kept.ends)
	}
	c.finish(c.launched[1], nil)
	if c.vacant() != 4 || c.kept.ends != 0 || len(c.tenants) != 0 || !slices.Equal(c.removed, []job.ID{"a"}) {
		t.Errorf("%d vacant, %d ends kept, %d jobs known, removed %v; want 4, 0, 0, [a]",
			c.vacant(), c.kept.ends, len(c.tenants), c.removed)
	}
	if removable, err := c.release(termOf(term(7)), "a"); !removable || err != nil {
		t.Errorf("released again: removable %v, error %v; want true, nil", removable, err)
	}
}
