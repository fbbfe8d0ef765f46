package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
)

// TestManyCallersAtOnceGetWhatTheyWouldGetAlone lets callers of two terms write,
// collide and go away at random, and compares what each was told with what is
// stored.
func TestManyCallersAtOnceGetWhatTheyWouldGetAlone(t *testing.T) {
	const callers, writes = 24, 150
	tw := newTower()
	tw.stored["taken"] = "theirs"
	var flights sync.Map
	d := newDriver(t, batch.Config{Storage: tw, MaxOps: 16, OnFlight: func(f batch.Flight) {
		flights.Store(f.Transactions > 1, true)
		if f.Transactions > 1 && f.Ops > 16 {
			t.Errorf("a flight of %d transactions has %d operations, more than its bound", f.Transactions, f.Ops)
		}
	}})
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			w := &writer{t: t, tower: tw, driver: d, guard: guard(int64(1 + i%2)), name: fmt.Sprintf("w%d", i)}
			w.random = rand.New(rand.NewPCG(uint64(i), 1))
			for n := range writes {
				w.write(n)
			}
		})
	}
	all.Wait()
	if tw.crowd {
		t.Error("two flights of one guard were under way at once")
	}
	if _, shared := flights.Load(true); !shared {
		t.Error("no flight had more than one transaction, so nothing was tested")
	}
}

// writer is one caller.
type writer struct {
	t      *testing.T
	tower  *tower
	driver *batch.Driver
	guard  leader.Guard
	name   string
	random *rand.Rand
}

func (w *writer) write(n int) {
	path := fmt.Sprintf("%s/%d", w.name, n)
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	ops := []txn.Op{create(path)}
	bad := w.random.IntN(8) == 0
	if bad {
		ops = append(ops, put("nobody/has/"+path, "this"))
	}
	leaves := w.random.IntN(6) == 0
	if leaves {
		go cancel()
	}
	err := w.driver.Commit(ctx, w.guard, ops...)
	_, getErr := w.tower.Get(ctx, w.guard, path)
	stored := getErr == nil
	unknown := errors.Is(err, txn.ErrUnknownOutcome)
	switch {
	case err == nil && !stored, err != nil && !unknown && stored:
		w.t.Errorf("%s ended with %v, and stored is %v", path, err, stored)
	case err == nil && bad:
		w.t.Errorf("%s succeeded with an operation that cannot be done", path)
	case err != nil && !bad && !leaves:
		w.t.Errorf("%s ended with %v though nothing is wrong with it", path, err)
	case bad && !leaves && !errors.Is(err, txn.ErrNotFound):
		w.t.Errorf("%s ended with %v, want ErrNotFound", path, err)
	}
}
