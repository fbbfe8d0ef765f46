package taskexecutor

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// ask is a request for a slot, as RequestSlot makes it.
func request(s *slots, id job.ID) *waiter {
	w := &waiter{job: id, grant: make(chan gateway.Slot, 1)}
	s.request(w)
	return w
}

func attemptOf(id job.ID, epoch leader.Epoch, n int) *attempt {
	return newAttempt(gateway.Deployment{Attempt: gateway.AttemptID{Job: id, Task: "t", Epoch: epoch, N: n}}, hclog.NewNullLogger())
}

func TestSlotsAreGrantedInOrder(t *testing.T) {
	s := newSlots("w", 2)
	ws := []*waiter{request(s, "a"), request(s, "b"), request(s, "c"), request(s, "d"), request(s, "e")}
	s.withdraw(ws[3])
	s.free(ws[1].granted)
	s.free(ws[0].granted)
	s.free(ws[0].granted) // again: it is c's turn no more
	for i, want := range []bool{true, true, true, false, true} {
		if got := ws[i].granted != ""; got != want {
			t.Errorf("request %d granted: %v, want %v", i, got, want)
		}
	}
	if s.vacant != 0 || len(s.held) != 2 {
		t.Errorf("%d vacant and %d held slots, want 0 and 2", s.vacant, len(s.held))
	}
}

func TestWithdrawnGrantGoesToTheNext(t *testing.T) {
	s := newSlots("w", 1)
	first, second := request(s, "a"), request(s, "b")
	s.withdraw(first)
	if second.granted == "" {
		t.Error("the slot of a caller who had gone was lost")
	}
}

func TestSlotFreedUnderAnAttemptIsVacantWhenItEnds(t *testing.T) {
	s := newSlots("w", 1)
	w := request(s, "a")
	a := attemptOf("a", 1, 1)
	if err := s.deploy(w.granted, a); err != nil {
		t.Fatal(err)
	}
	next := request(s, "b")
	s.free(w.granted)
	if next.granted != "" {
		t.Fatal("a slot was granted while an attempt ran in it")
	}
	if err := s.deploy(w.granted, attemptOf("a", 1, 2)); !errors.Is(err, gateway.ErrNoSlot) {
		t.Errorf("deployment into a freed slot got %v, want ErrNoSlot", err)
	}
	s.ended(a)
	if next.granted == "" {
		t.Error("the slot was lost")
	}
}

func TestDeployIsRefused(t *testing.T) {
	s := newSlots("w", 3)
	one, two, foreign := request(s, "a"), request(s, "a"), request(s, "b")
	if err := s.deploy(one.granted, attemptOf("a", 5, 1)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		slot gateway.Slot
		a    *attempt
		want error
	}{
		"unknown slot":     {"w-9", attemptOf("a", 5, 2), gateway.ErrNoSlot},
		"busy slot":        {one.granted, attemptOf("a", 5, 2), gateway.ErrNoSlot},
		"another job's":    {foreign.granted, attemptOf("a", 5, 2), gateway.ErrNoSlot},
		"older epoch":      {two.granted, attemptOf("a", 4, 2), gateway.ErrFencingToken},
		"the same attempt": {two.granted, attemptOf("a", 5, 1), nil},
	} {
		err := s.deploy(c.slot, c.a)
		if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if s.running() != 1 {
		t.Errorf("%d attempts run, want 1", s.running())
	}
	if err := s.deploy(foreign.granted, attemptOf("b", 3, 1)); err != nil {
		t.Errorf("another job's epoch was compared: %v", err)
	}
}

func TestEpochsAreRememberedInBoundedSpace(t *testing.T) {
	e := epochs{seen: map[job.ID]leader.Epoch{}}
	for i := range 3 * maxEpochs {
		if _, ok := e.admit(job.ID(strconv.Itoa(i)), leader.Epoch(i+1)); !ok {
			t.Fatalf("epoch %d was refused", i+1)
		}
	}
	if len(e.seen) > maxEpochs {
		t.Errorf("%d jobs are remembered, want at most %d", len(e.seen), maxEpochs)
	}
	if newest, ok := e.admit("0", 1); ok {
		t.Errorf("an old epoch was admitted after its job was forgotten (floor %d)", newest)
	}
}

func TestRequestSlotGivesUpWithItsContext(t *testing.T) {
	e, _ := start(t, Config{})
	held := slotFor(t, e, "a")
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := e.RequestSlot(ctx, "b")
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	e.FreeSlot(held)
	slotFor(t, e, "c") // hangs if the slot was given to b
}
