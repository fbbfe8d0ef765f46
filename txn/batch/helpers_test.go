package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guard stands for a term.
func guard(epoch int64) leader.Guard { return leader.NewGuard(leader.Epoch(epoch), epoch) }

func create(path string) txn.Op {
	return txn.Op{Kind: txn.Create, Path: path, Data: []byte("data of " + path)}
}

func put(path, data string) txn.Op { return txn.Op{Kind: txn.Put, Path: path, Data: []byte(data)} }

// tower is a storage whose flights wait until a test lets them go. It keeps what
// they stored, and refuses what it is told to.
type tower struct {
	// flights hands each Commit over to the test. Nil: none waits.
	flights chan *arrival

	mu     sync.Mutex
	stored map[string]string
	log    []string         // the paths of each commit that was tried
	refuse map[string]error // by path, the reason of a *txn.OpError
	under  map[leader.Guard]int
	crowd  bool // two commits of one guard were under way at once
	limit  int  // of operations; zero: none
	order  []string
}

// arrival is one Commit that waits for its answer.
type arrival struct {
	ended  <-chan struct{} // closed when the flight is told to end
	guard  leader.Guard
	ops    []txn.Op
	answer chan error
}

// paths names the operations of a flight.
func (a *arrival) paths() string { return names(a.ops) }

func names(ops []txn.Op) string {
	var all []string
	for _, op := range ops {
		all = append(all, op.Path)
	}
	return strings.Join(all, " ")
}

func newTower() *tower {
	return &tower{stored: map[string]string{}, refuse: map[string]error{}, under: map[leader.Guard]int{}}
}

func (t *tower) Get(_ context.Context, _ leader.Guard, path string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, ok := t.stored[path]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", path, txn.ErrNotFound)
	}
	return []byte(data), nil
}

func (t *tower) List(context.Context, leader.Guard, string) ([]string, error) {
	return []string{"listed"}, nil
}

func (t *tower) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	t.enter(g, 1)
	defer t.enter(g, -1)
	if t.flights != nil {
		a := &arrival{ended: ctx.Done(), guard: g, ops: ops, answer: make(chan error)}
		t.flights <- a
		select {
		case err := <-a.answer:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("commit %s: %w: %w", ops[0].Path, txn.ErrUnknownOutcome, ctx.Err())
		}
	}
	runtime.Gosched() // else nobody else comes meanwhile on one processor
	return t.apply(ops)
}

func (t *tower) enter(g leader.Guard, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under[g] += by
	t.crowd = t.crowd || t.under[g] > 1
}

// apply stores all or nothing.
func (t *tower) apply(ops []txn.Op) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, names(ops))
	if t.limit > 0 && len(ops) > t.limit {
		return fmt.Errorf("commit: %w", txn.ErrTooLarge)
	}
	seen := map[string]bool{}
	for _, op := range ops {
		_, taken := t.stored[op.Path]
		err := t.refuse[op.Path]
		switch {
		case op.Kind == txn.Create && taken:
			err = txn.ErrExists
		case op.Kind == txn.Put && !taken:
			err = txn.ErrNotFound
		case seen[op.Path]:
			return errors.New("a path twice")
		}
		seen[op.Path] = true
		if err != nil {
			return fmt.Errorf("store: %w", &txn.OpError{Kind: op.Kind, Path: op.Path, Err: err})
		}
	}
	for _, op := range ops {
		t.stored[op.Path] = string(op.Data)
		t.order = append(t.order, op.Path+"="+string(op.Data))
	}
	return nil
}

func (t *tower) tries() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.log)
}

func newDriver(t testing.TB, cfg batch.Config) *batch.Driver {
	t.Helper()
	d, err := batch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// call is one Commit under way.
type call struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// commit starts a Commit.
func commit(ctx context.Context, d batch.Storage, g leader.Guard, ops ...txn.Op) *call {
	ctx, cancel := context.WithCancel(ctx)
	c := &call{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = d.Commit(ctx, g, ops...)
	}()
	return c
}

// ended reports whether the Commit has returned, once nothing else can happen.
func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// toldToEnd reports whether the flight was.
func (a *arrival) toldToEnd() bool {
	select {
	case <-a.ended:
		return true
	default:
		return false
	}
}

// fails waits for a Commit and checks its error; nil for none.
func (c *call) fails(t testing.TB, want error) {
	t.Helper()
	<-c.done
	if !errors.Is(c.err, want) {
		t.Errorf("commit ended with %v, want %v", c.err, want)
	}
}
