package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
)

// flying starts a driver whose first flight, of the path "first", is in the air.
func flying(t *testing.T, cfg batch.Config) (*tower, *batch.Driver, *arrival, *call) {
	t.Helper()
	tw := newTower()
	tw.flights = make(chan *arrival)
	cfg.Storage = tw
	d := newDriver(t, cfg)
	first := commit(t.Context(), d, guard(1), create("first"))
	return tw, d, <-tw.flights, first
}

// queue starts commits one after the other, so that they queue in this order.
func queue(t *testing.T, d batch.Storage, g leader.Guard, transactions ...[]txn.Op) []*call {
	t.Helper()
	var calls []*call
	for _, ops := range transactions {
		calls = append(calls, commit(t.Context(), d, g, ops...))
		synctest.Wait()
	}
	return calls
}

func TestCommitsThatComeDuringAFlightShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		calls := queue(t, d, guard(1), []txn.Op{create("a"), create("b")}, []txn.Op{create("c")})
		if got := first.paths(); got != "first" {
			t.Errorf("the first flight carries %q, want it alone and at once", got)
		}
		first.answer <- nil
		one.fails(t, nil)
		next := <-tw.flights
		if got := next.paths(); got != "a b c" {
			t.Errorf("the next flight carries %q, want all that had come", got)
		}
		synctest.Wait()
		if calls[0].ended() {
			t.Error("a commit returned while its flight was in the air")
		}
		next.answer <- nil
		for _, c := range calls {
			c.fails(t, nil)
		}
		if data, err := d.Get(t.Context(), guard(1), "c"); err != nil || string(data) != "data of c" {
			t.Errorf("get c: %q, %v", data, err)
		}
	})
}

func TestFlightsAreBoundedByOperationsAndBytes(t *testing.T) {
	large := func(path string) []txn.Op { return []txn.Op{put(path, strings.Repeat("x", 1000))} }
	for name, c := range map[string]struct {
		cfg  batch.Config
		want []string
	}{
		"transactions": {batch.Config{MaxOps: 2}, []string{"a b", "c d"}},
		"bytes":        {batch.Config{MaxBytes: 3 * 1200}, []string{"a b c", "d"}},
		"too small for any": {
			batch.Config{MaxBytes: 10}, []string{"a", "b", "c", "d"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tw, d, first, one := flying(t, c.cfg)
				for _, path := range []string{"a", "b", "c", "d"} {
					tw.stored[path] = ""
				}
				calls := queue(t, d, guard(1), large("a"), large("b"), large("c"), large("d"))
				first.answer <- nil
				one.fails(t, nil)
				for _, want := range c.want {
					f := <-tw.flights
					if got := f.paths(); got != want {
						t.Errorf("a flight carries %q, want %q", got, want)
					}
					f.answer <- nil
				}
				for _, c := range calls {
					c.fails(t, nil)
				}
			})
		})
	}
}

func TestFlightsCountOperationsAndNotTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{MaxOps: 5})
		calls := queue(t, d, guard(1), []txn.Op{create("a"), create("b")}, []txn.Op{create("c"), create("d")},
			[]txn.Op{create("e"), create("f")})
		first.answer <- nil
		one.fails(t, nil)
		for _, want := range []string{"a b c d", "e f"} {
			f := <-tw.flights
			if got := f.paths(); got != want {
				t.Errorf("a flight carries %q, want %q", got, want)
			}
			f.answer <- nil
		}
		for _, c := range calls {
			c.fails(t, nil)
		}
	})
}

func TestTransactionsOfOnePathKeepTheirOrderAndNeverFlyTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		tw.stored["p"], tw.stored["q"] = "", ""
		calls := queue(t, d, guard(1),
			[]txn.Op{put("p", "1")},
			[]txn.Op{put("p", "2"), put("q", "2")},
			[]txn.Op{put("q", "3")}, // must not overtake the one before it
			[]txn.Op{create("r")},
			[]txn.Op{create("r/below")}, // nor fly with what makes its folder
		)
		first.answer <- nil
		one.fails(t, nil)
		for _, want := range []string{"p r", "p q r/below", "q"} {
			f := <-tw.flights
			if got := f.paths(); got != want {
				t.Errorf("a flight carries %q, want %q", got, want)
			}
			f.answer <- nil
		}
		for _, c := range calls {
			c.fails(t, nil)
		}
		if tw.stored["p"] != "2" || tw.stored["q"] != "3" {
			t.Errorf("p=%s q=%s, want the last of each: 2 and 3", tw.stored["p"], tw.stored["q"])
		}
	})
}

func TestOneThatCannotBeDoneSpoilsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		tw.stored["taken"] = "theirs"
		calls := queue(t, d, guard(1), []txn.Op{create("a")}, []txn.Op{create("b"), create("taken")}, []txn.Op{create("c")})
		first.answer <- nil
		one.fails(t, nil)
		for range 3 { // all; then the two others, in halves
			(<-tw.flights).answer <- nil
		}
		calls[0].fails(t, nil)
		calls[1].fails(t, txn.ErrExists)
		calls[2].fails(t, nil)
		var failed *txn.OpError
		if !errors.As(calls[1].err, &failed) || failed.Path != "taken" {
			t.Errorf("error %v does not name the path that was taken", calls[1].err)
		}
		if _, stored := tw.stored["b"]; stored {
			t.Error("half a transaction was stored")
		}
		if tw.stored["taken"] != "theirs" || tw.stored["a"] == "" || tw.stored["c"] == "" {
			t.Errorf("stored: %v, want a, c, and what was there", tw.stored)
		}
	})
}

func TestWhoGoesAgainGoesBeforeThoseWhoCameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		tw.stored["taken"], tw.stored["p"] = "theirs", ""
		calls := queue(t, d, guard(1), []txn.Op{create("taken")}, []txn.Op{put("p", "1")}, []txn.Op{put("p", "2")})
		first.answer <- nil
		one.fails(t, nil)
		for _, want := range []string{"taken p", "p", "p"} {
			f := <-tw.flights
			if got := f.paths(); got != want {
				t.Errorf("a flight carries %q, want %q", got, want)
			}
			f.answer <- nil
		}
		calls[0].fails(t, txn.ErrExists)
		calls[1].fails(t, nil)
		calls[2].fails(t, nil)
		if tw.stored["p"] != "2" {
			t.Errorf("p is %s, want 2, which was written last", tw.stored["p"])
		}
	})
}

func TestAnErrorThatNamesNobodyIsFoundByHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw := newTower()
		tw.flights = make(chan *arrival)
		d := newDriver(t, batch.Config{Storage: tw})
		one := commit(t.Context(), d, guard(1), create("first"))
		first := <-tw.flights
		const n, bad = 64, 37
		var transactions [][]txn.Op
		for i := range n {
			ops := []txn.Op{create(fmt.Sprintf("p%d", i))}
			if i == bad {
				ops = append(ops, ops[0]) // the same path twice
			}
			transactions = append(transactions, ops)
		}
		calls := queue(t, d, guard(1), transactions...)
		go func() {
			for a := range tw.flights {
				a.answer <- nil
			}
		}()
		first.answer <- nil
		one.fails(t, nil)
		for i, c := range calls {
			<-c.done
			if (c.err != nil) != (i == bad) {
				t.Errorf("transaction %d ended with %v; only %d is malformed", i, c.err, bad)
			}
		}
		synctest.Wait()
		close(tw.flights)
		if got := len(tw.tries()); got > 20 {
			t.Errorf("%d flights for %d transactions of which one is malformed, want some two for each halving", got, n)
		}
	})
}

func TestManyThatCannotBeDoneCostABoundedNumberOfTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		const n = 64
		var transactions [][]txn.Op
		for i := range n {
			path := fmt.Sprintf("p%d", i)
			tw.stored[path] = "theirs"
			transactions = append(transactions, []txn.Op{create(path)})
		}
		calls := queue(t, d, guard(1), transactions...)
		go func() {
			for a := range tw.flights {
				a.answer <- nil
			}
		}()
		first.answer <- nil
		one.fails(t, nil)
		for _, c := range calls {
			c.fails(t, txn.ErrExists)
		}
		synctest.Wait()
		close(tw.flights)
		operations := 0
		for _, try := range tw.tries() {
			operations += len(strings.Fields(try))
		}
		if most := n * 8; operations > most { // a halving each, and itself
			t.Errorf("%d operations were tried for %d transactions, want at most %d", operations, n, most)
		}
	})
}

func TestWhatIsTooLargeTogetherGoesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, first, one := flying(t, batch.Config{})
		tw.limit = 2
		calls := queue(t, d, guard(1), []txn.Op{create("a")}, []txn.Op{create("b")}, []txn.Op{create("c")},
			[]txn.Op{create("d"), create("e"), create("f")})
		go func() {
			for a := range tw.flights {
				a.answer <- nil
			}
		}()
		first.answer <- nil
		one.fails(t, nil)
		for _, c := range calls[:3] {
			c.fails(t, nil)
		}
		calls[3].fails(t, txn.ErrTooLarge)
		synctest.Wait()
		close(tw.flights)
	})
}

func TestAnOutcomeOfAFlightIsThatOfAllAboard(t *testing.T) {
	for name, want := range map[string]error{"fenced": leader.ErrFenced, "unknown": txn.ErrUnknownOutcome} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tw, d, first, one := flying(t, batch.Config{})
				calls := queue(t, d, guard(1), []txn.Op{create("a")}, []txn.Op{create("b")})
				first.answer <- nil
				one.fails(t, nil)
				(<-tw.flights).answer <- fmt.Errorf("store: %w", want)
				for i, c := range calls {
					c.fails(t, want)
					if path := []string{"a", "b"}[i]; !strings.Contains(c.err.Error(), "commit "+path) {
						t.Errorf("error %q does not name its own path %s", c.err, path)
					}
				}
			})
		})
	}
}

func TestGuardsFlyApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tw, d, old, one := flying(t, batch.Config{})
		late := commit(t.Context(), d, guard(1), create("late"))
		synctest.Wait()
		fresh := commit(t.Context(), d, guard(2), create("fresh"))
		next := <-tw.flights
		if next.paths() != "fresh" || next.guard != guard(2) {
			t.Errorf("flight %q of epoch %s, want the new term's while the old one's hangs", next.paths(), next.guard.Epoch())
		}
		next.answer <- nil
		fresh.fails(t, nil)
		old.answer <- leader.ErrFenced
		one.fails(t, leader.ErrFenced)
		last := <-tw.flights
		if last.guard != guard(1) {
			t.Errorf("%q flies under epoch %s, want its own, 1", last.paths(), last.guard.Epoch())
		}
		last.answer <- leader.ErrFenced
		late.fails(t, leader.ErrFenced)
	})
}

func TestBoundedRefusesWhenMuchWaitsAndTheOthersQueue(t *testing.T) {
	for name, cfg := range map[string]batch.Config{
		"transactions": {MaxQueued: 2},
		"bytes":        {MaxQueuedBytes: 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tw, d, first, one := flying(t, cfg)
				calls := queue(t, d.Bounded(), guard(1), []txn.Op{create("a")}, []txn.Op{create("b")})
				err := d.Bounded().Commit(t.Context(), guard(1), create("refused"))
				if !errors.Is(err, txn.ErrFull) || !strings.Contains(err.Error(), "refused") {
					t.Errorf("a bounded commit behind two ended with %v, want ErrFull that names the path", err)
				}
				calls = append(calls, queue(t, d, guard(1), []txn.Op{create("progress")})...)
				first.answer <- nil
				one.fails(t, nil)
				next := <-tw.flights
				if got := next.paths(); got != "a b progress" {
					t.Errorf("the flight carries %q, want all but the refused one", got)
				}
				room := commit(t.Context(), d.Bounded(), guard(1), create("later"))
				next.answer <- nil
				for _, c := range calls {
					c.fails(t, nil)
				}
				(<-tw.flights).answer <- nil
				room.fails(t, nil)
			})
		})
	}
}

func TestReadsPassAndWhatIsEmptyIsTheStoragesToJudge(t *testing.T) {
	tw := newTower()
	d := newDriver(t, batch.Config{Storage: tw})
	names, err := d.List(t.Context(), guard(1), "a")
	if err != nil || !slices.Equal(names, []string{"listed"}) {
		t.Errorf("list: %v, %v", names, err)
	}
	if err := d.Commit(t.Context(), guard(1)); err != nil || len(tw.tries()) != 1 {
		t.Errorf("an empty commit ended with %v after %d calls of the storage, want one", err, len(tw.tries()))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Commit(ended, guard(1), create("a")); !errors.Is(err, context.Canceled) || len(tw.tries()) != 1 {
		t.Errorf("a commit with an ended context: %v, and %d calls; want its error and none more", err, len(tw.tries()))
	}
}

func TestConfigThatCannotWorkIsRefused(t *testing.T) {
	if _, err := batch.New(batch.Config{}); err == nil || !strings.Contains(err.Error(), "Storage") {
		t.Errorf("without storage: %v", err)
	}
	if _, err := batch.New(batch.Config{Storage: newTower(), MaxOps: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
}
