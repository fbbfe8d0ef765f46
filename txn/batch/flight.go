package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// errRefused is the result of a request that would go again, had its caller not left:
// the flight was refused, so nothing is stored.
var errRefused = errors.New("refused with another")

// flight is one transaction of the storage, made of those aboard.
type flight struct {
	requests []*request
	// aboard counts the callers that wait. It belongs to Driver.mu.
	aboard int
	cancel context.CancelFunc
	// done is closed when the goroutine of the flight ends, after every result was
	// given.
	done chan struct{}
}

// takeOff starts the next flight of a lane, unless one is under way or nobody
// waits. It is called with Driver.mu held. The flight belongs to all aboard, so ctx is
// one that has no end.
func (d *Driver) takeOff(ctx context.Context, g leader.Guard, l *lane) {
	if l.flying {
		return
	}
	requests := d.board(l)
	if len(requests) == 0 {
		delete(d.lanes, g)
		return
	}
	l.flying = true
	flying, cancel := context.WithCancel(ctx)
	f := &flight{requests: requests, aboard: len(requests), cancel: cancel, done: make(chan struct{})}
	for _, r := range requests {
		r.flight = f
	}
	go func() {
		defer close(f.done)
		defer cancel()
		err := d.fly(flying, g, f)
		d.land(ctx, g, l, f, err)
	}()
}

// fly makes the one call of the storage.
func (d *Driver) fly(ctx context.Context, g leader.Guard, f *flight) error {
	bytes := 0
	var ops []txn.Op
	for _, r := range f.requests {
		ops = append(ops, r.ops...)
		bytes += r.bytes
	}
	start := time.Now()
	err := d.cfg.Storage.Commit(ctx, g, ops...)
	if d.cfg.OnFlight != nil {
		d.cfg.OnFlight(Flight{Transactions: len(f.requests), Ops: len(ops), Bytes: bytes, Took: time.Since(start), Err: err})
	}
	return err
}

// land gives every request aboard its result or queues it again, and starts the next
// flight. The results are in their channels, and the next flight has its waiters,
// before this one's goroutine ends.
func (d *Driver) land(ctx context.Context, g leader.Guard, l *lane, f *flight, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var again []*request
	for r, v := range verdicts(f.requests, err) {
		r.flight = nil
		if !v.again {
			r.result <- v.err
			continue
		}
		if r.left {
			r.result <- errRefused
			continue
		}
		r.limit = max(1, len(f.requests)/2)
		d.count(r, 1)
		again = append(again, r)
	}
	l.queue = append(again, l.queue...)
	l.flying = false
	d.takeOff(ctx, g, l)
}

// verdict is what a flight's end means to one request.
type verdict struct {
	err   error
	again bool
}

// verdicts yields the requests of a flight, in order, with what its end means.
func verdicts(requests []*request, err error) func(yield func(*request, verdict) bool) {
	failed, own := culprit(requests, err)
	shared := err == nil || errors.Is(err, leader.ErrFenced) || errors.Is(err, txn.ErrUnknownOutcome)
	return func(yield func(*request, verdict) bool) {
		for _, r := range requests {
			v := verdict{again: true}
			switch {
			case len(requests) == 1:
				v = verdict{err: err}
			case shared:
				v = verdict{err: sharedError(r, len(requests), err)}
			case r == failed:
				v = verdict{err: fmt.Errorf("commit %s: %w", r.path, own)}
			}
			if !yield(r, v) {
				return
			}
		}
	}
}

// culprit returns the request whose operation could not be done, and the error of
// that operation; nil when the error does not say.
func culprit(requests []*request, err error) (*request, *txn.OpError) {
	var failed *txn.OpError
	if !errors.As(err, &failed) {
		return nil, nil
	}
	for _, r := range requests {
		for _, op := range r.ops {
			if op.Path == failed.Path {
				return r, failed
			}
		}
	}
	return nil, nil
}

// sharedError says to one of several what became of all.
func sharedError(r *request, n int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("commit %s, with %d other transactions: %w", r.path, n-1, err)
}
