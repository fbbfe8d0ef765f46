package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Storage is what a Driver stands on: one backend's guarded storage. ha.Store has
// the contract of each method.
type Storage interface {
	// Get returns the data at path.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// List returns the names directly under path.
	List(ctx context.Context, g leader.Guard, path string) ([]string, error)
	// Commit applies ops all together or not at all. It names the operation that
	// could not be done by a *txn.OpError, and returns soon after ctx ended.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// The defaults of Config.
const (
	// DefaultMaxOps keeps a flight to some 20 ms of the ensemble's time.
	DefaultMaxOps = 1000
	// DefaultMaxBytes leaves room below ZooKeeper's limit of 1 MiB for what the
	// backend adds to each operation.
	DefaultMaxBytes = 700 << 10
	// DefaultMaxQueued is some ten flights.
	DefaultMaxQueued = 5000
	// DefaultMaxQueuedBytes is some 50 flights of large values.
	DefaultMaxQueuedBytes = 32 << 20
)

// Config says how a Driver works.
type Config struct {
	// Storage is what to write to. Required.
	Storage Storage
	// MaxOps and MaxBytes bound a flight of more than one transaction: the number
	// of its operations, and the bytes of their paths and data with an allowance of
	// 128 for each operation. Zero means DefaultMaxOps and DefaultMaxBytes. They
	// must be below what the storage refuses; a transaction that exceeds them goes
	// alone.
	MaxOps, MaxBytes int
	// MaxQueued and MaxQueuedBytes are how many transactions and bytes may wait
	// before Bounded refuses more. Zero means DefaultMaxQueued and
	// DefaultMaxQueuedBytes.
	MaxQueued, MaxQueuedBytes int
	// OnFlight is told of every flight that has ended, from any goroutine. It must
	// not block. Nil: nobody is.
	OnFlight func(Flight)
}

// Flight is what was sent at once.
type Flight struct {
	// Transactions, Ops and Bytes are what it carried.
	Transactions, Ops, Bytes int
	// Took is how long it took.
	Took time.Duration
	// Err is the storage's error.
	Err error
}

// Validate returns an error that names every missing or impossible field.
func (c Config) Validate() error {
	var errs []error
	if c.Storage == nil {
		errs = append(errs, errors.New("batch: Config.Storage is required"))
	}
	if c.MaxOps < 0 || c.MaxBytes < 0 || c.MaxQueued < 0 || c.MaxQueuedBytes < 0 {
		errs = append(errs, errors.New("batch: Config has a negative limit"))
	}
	return errors.Join(errs...)
}

// Driver is group commit over a Storage. Make one with New; one Driver must carry
// all writes to the paths that it writes to. Its methods may be called from any
// goroutine.
type Driver struct {
	cfg Config

	mu    sync.Mutex
	lanes map[leader.Guard]*lane
	// queued and queuedBytes are what waits and is not aboard, in all lanes.
	queued, queuedBytes int
}

var _ Storage = (*Driver)(nil)

// New returns a driver that has started nothing, or an error that names what is
// wrong with cfg.
func New(cfg Config) (*Driver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	for field, value := range map[*int]int{
		&cfg.MaxOps: DefaultMaxOps, &cfg.MaxBytes: DefaultMaxBytes,
		&cfg.MaxQueued: DefaultMaxQueued, &cfg.MaxQueuedBytes: DefaultMaxQueuedBytes,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return &Driver{cfg: cfg, lanes: make(map[leader.Guard]*lane)}, nil
}

// Get reads from the storage, beside any flight.
func (d *Driver) Get(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	return d.cfg.Storage.Get(ctx, g, path)
}

// List reads from the storage, beside any flight.
func (d *Driver) List(ctx context.Context, g leader.Guard, path string) ([]string, error) {
	return d.cfg.Storage.List(ctx, g, path)
}

// Commit applies ops all together or not at all, and blocks until the outcome is
// known or ctx ends. Errors: the storage's; ctx's when it ended before ops were on
// their way, which are not stored then; txn.ErrUnknownOutcome with ctx's when they
// were. The data belongs to the driver until Commit returns with another error than
// that, and must not change after it either.
func (d *Driver) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	return d.commit(ctx, g, ops, false)
}

// Bounded is a Driver that refuses to queue behind too much. It is for work that
// comes from outside, and can come again.
type Bounded struct{ *Driver }

var _ Storage = Bounded{}

// Bounded returns the driver as one whose Commit fails with txn.ErrFull, and sends
// nothing, when Config.MaxQueued transactions or Config.MaxQueuedBytes wait.
func (d *Driver) Bounded() Bounded { return Bounded{d} }

// Commit is Driver.Commit, with txn.ErrFull as one more error.
func (b Bounded) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	return b.commit(ctx, g, ops, true)
}

func (d *Driver) commit(ctx context.Context, g leader.Guard, ops []txn.Op, bounded bool) error {
	if len(ops) == 0 {
		return d.cfg.Storage.Commit(ctx, g)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("commit %s: %w", ops[0].Path, context.Cause(ctx))
	}
	r := newRequest(ops)
	d.mu.Lock()
	if bounded && (d.queued >= d.cfg.MaxQueued || d.queuedBytes+r.bytes > d.cfg.MaxQueuedBytes) {
		waiting := d.queued
		d.mu.Unlock()
		return fmt.Errorf("commit %s: %w: %d transactions wait", ops[0].Path, txn.ErrFull, waiting)
	}
	l := d.lane(g)
	l.queue = append(l.queue, r)
	d.count(r, 1)
	d.takeOff(context.WithoutCancel(ctx), g, l)
	d.mu.Unlock()

	select {
	case err := <-r.result:
		return err
	case <-ctx.Done():
		return d.leave(ctx, r)
	}
}

// leave returns what a caller can say whose context has ended.
func (d *Driver) leave(ctx context.Context, r *request) error {
	d.mu.Lock()
	f, wasQueued := r.flight, r.queued
	r.left = true
	if wasQueued {
		d.count(r, -1) // the lane forgets it at the next take-off
		r.ops = nil    // it is not counted any more, and the flight before it may be long
	}
	last := false
	if f != nil {
		f.aboard--
		last = f.aboard == 0
	}
	d.mu.Unlock()

	ended := context.Cause(ctx)
	switch {
	case wasQueued:
		return fmt.Errorf("commit %s: %w", r.path, ended)
	case last:
		f.cancel()
		<-f.done
	}
	select {
	case err := <-r.result:
		switch {
		case errors.Is(err, errRefused):
			return fmt.Errorf("commit %s: %w", r.path, ended)
		case errors.Is(err, txn.ErrUnknownOutcome):
			return fmt.Errorf("%w: %w", err, ended)
		}
		return err
	default:
		return fmt.Errorf("commit %s: %w: %w", r.path, txn.ErrUnknownOutcome, ended)
	}
}
