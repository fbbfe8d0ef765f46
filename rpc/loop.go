package rpc

import (
	"context"
	"sync"
	"time"
)

// Loop is where a component's code runs, one function at a time: its *Endpoint.
// Connections and heartbeats live on one: their methods are called there, and they call
// back there, so that they and the component agree at any time on what has happened.
type Loop interface {
	// Tell has fn run there. It does not block; an error says that it will not run.
	Tell(fn func()) error
	// After has fn run there when d has passed, unless stop is called there before.
	After(d time.Duration, fn func()) (stop func())
	// Go runs work on a goroutine that whoever runs the loop waits for. Its context ends
	// with the loop. An error says that it will not run.
	Go(work func(ctx context.Context)) error
}

var _ Loop = (*Endpoint)(nil)

// check has an endpoint look at whether it is called on its own goroutine.
func check(l Loop) {
	if e, ok := l.(*Endpoint); ok {
		e.Check()
	}
}

// work is a piece of work on a goroutine of a loop, which the loop can cancel.
type work struct {
	ended chan struct{} // closed when it has

	mu      sync.Mutex
	stopped bool
	reason  error
	cancel  context.CancelCauseFunc // set when it has begun
}

// begin starts fn. It returns nil when the loop has ended.
func begin(l Loop, fn func(ctx context.Context)) *work {
	w := &work{ended: make(chan struct{})}
	if err := l.Go(func(ctx context.Context) {
		defer close(w.ended)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		w.mu.Lock()
		stopped := w.stopped
		w.cancel = cancel
		w.mu.Unlock()
		if stopped {
			cancel(w.reason)
		}
		fn(ctx)
	}); err != nil {
		return nil
	}
	return w
}

// stop ends the context of the work with a cause, and does not wait for it. It may be
// called on nil, and twice.
func (w *work) stop(reason error) {
	if w == nil {
		return
	}
	w.mu.Lock()
	if !w.stopped {
		w.stopped, w.reason = true, reason
	}
	cancel := w.cancel
	w.mu.Unlock()
	if cancel != nil {
		cancel(reason)
	}
}
