package resourcemanager

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/coordd/coordd/internal/stoptest"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// emptyStore keeps nothing, and counts the managers that read it.
type emptyStore struct{}

func (emptyStore) Get(context.Context, leader.Guard, string) ([]byte, error) {
	return nil, txn.ErrNotFound
}
func (emptyStore) List(context.Context, leader.Guard, string) ([]string, error)  { return nil, nil }
func (emptyStore) Commit(ctx context.Context, _ leader.Guard, _ ...txn.Op) error { return ctx.Err() }

func TestContenderCanBeStoppedAtAnyTime(t *testing.T) {
	net := &network{at: make(map[string]process)}
	f := net.worker("w1", "i1")
	c, err := New(Config{Network: net, Records: emptyStore{}, Leaders: newLeaders(), checked: true})
	if err != nil {
		t.Fatal(err)
	}
	var epoch, served atomic.Int64
	err = stoptest.Subject{Run: func(ctx context.Context) error {
		term := &fakeTerm{guard: leader.NewGuard(leader.Epoch(epoch.Add(1)), "x"), session: leader.NewSessionID()}
		done := make(chan error, 1)
		go func() { done <- c.lead(ctx, term) }()
		if m, err := c.Manager(); err == nil {
			if _, err := m.RegisterWorker(ctx, f.registration()); err == nil {
				served.Add(1)
			}
		}
		if err := <-done; err != nil {
			return err
		}
		return ctx.Err()
	}}.Check(t.Context())
	if err != nil {
		t.Error(err)
	}
	if n := net.connections(); n != 0 {
		t.Errorf("%d connections are left open", n)
	}
	if _, err := c.Manager(); err == nil {
		t.Error("a manager serves after the last term")
	}
	t.Logf("%d of %d terms registered a worker", served.Load(), epoch.Load())
}
