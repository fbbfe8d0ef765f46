package batch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
)

func TestWhoLeavesTheQueueHasSentNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		calls := queue(t, d, guard(1), []txn.Op{create("a")}, []txn.Op{create("b")})
		calls[0].cancel()
		calls[0].fails(t, context.Canceled)
		if errors.Is(calls[0].err, txn.ErrUnknownOutcome) {
			t.Errorf("error %v says that the outcome is unknown; nothing was sent", calls[0].err)
		}
		first.answer <- nil
		one.fails(t, nil)
		next := <-tw.flights
		if got := next.paths(); got != "b" {
			t.Errorf("the flight carries %q, want only the one that stayed", got)
		}
		next.answer <- nil
		calls[1].fails(t, nil)
	})
}

func TestWhoLeavesAFlightDisturbsNobodyAboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		calls := queue(t, d, guard(1), []txn.Op{create("a")}, []txn.Op{create("b")})
		first.answer <- nil
		one.fails(t, nil)
		next := <-tw.flights
		calls[0].cancel()
		calls[0].fails(t, txn.ErrUnknownOutcome)
		calls[0].fails(t, context.Canceled)
		if next.toldToEnd() {
			t.Error("the flight was told to end when one of two left")
		}
		next.answer <- nil
		calls[1].fails(t, nil)
		if tw.stored["a"] == "" {
			t.Error("what was aboard was not stored because its caller left")
		}
	})
}

func TestTheLastToLeaveEndsTheFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		waiting := queue(t, d, guard(1), []txn.Op{create("a")})
		one.cancel()
		one.fails(t, txn.ErrUnknownOutcome)
		one.fails(t, context.Canceled)
		if !first.toldToEnd() {
			t.Error("the flight goes on though nobody waits for it")
		}
		(<-tw.flights).answer <- nil
		waiting[0].fails(t, nil)
	})
}

func TestWhoLeftARefusedFlightIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{MaxQueued: 1})
		tw.stored["taken"] = "theirs"
		calls := queue(t, d, guard(1), []txn.Op{create("taken")}, []txn.Op{create("a")}, []txn.Op{create("b")})
		first.answer <- nil
		one.fails(t, nil)
		next := <-tw.flights
		calls[1].cancel()
		calls[1].fails(t, txn.ErrUnknownOutcome)
		next.answer <- nil
		calls[0].fails(t, txn.ErrExists)
		again := <-tw.flights
		if got := again.paths(); got != "b" {
			t.Errorf("the next flight carries %q, want only who still waits", got)
		}
		last := commit(t.Context(), d.Bounded(), guard(1), create("last"))
		synctest.Wait()
		if last.ended() {
			t.Errorf("a bounded commit ended with %v though nothing waits", last.err)
		}
		again.answer <- nil
		calls[2].fails(t, nil)
		(<-tw.flights).answer <- nil
		last.fails(t, nil)
	})
}
