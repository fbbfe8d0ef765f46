package batch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// stuck is a storage that answers nothing until it is let go.
type stuck struct {
	Storage

	free chan struct{}
}

func (s stuck) Commit(context.Context, leader.Guard, ...txn.Op) error {
	<-s.free
	return nil
}

func TestWhoLeavesTheQueueLeavesNoDataBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := stuck{free: make(chan struct{})}
		d, err := New(Config{Storage: storage})
		if err != nil {
			t.Fatal(err)
		}
		g := leader.NewGuard(1, 1)
		op := func(path string) txn.Op { return txn.Op{Kind: txn.Create, Path: path, Data: make([]byte, 1<<10)} }
		first := make(chan error, 1)
		go func() { first <- d.Commit(t.Context(), g, op("first")) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { second <- d.Bounded().Commit(ctx, g, op("second")) }()
		synctest.Wait()
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("a commit that left ended with %v, want %v", err, context.Canceled)
		}
		d.mu.Lock()
		for _, r := range d.lanes[g].queue {
			if len(r.ops) > 0 {
				t.Errorf("the queue still holds %d bytes of %q, whose caller has left and which is not counted", r.bytes, r.path)
			}
		}
		d.mu.Unlock()
		close(storage.free)
		if err := <-first; err != nil {
			t.Errorf("the commit that stayed ended with %v", err)
		}
	})
}
