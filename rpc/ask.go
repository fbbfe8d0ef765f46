package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Ask has the endpoint run fn and returns what it returned. It blocks until then, or
// until ctx ends: then fn does not run any more if it had not begun; else it runs on,
// so it may touch nothing of its caller's but by what it returns. Errors: fn's;
// ErrNotStarted; ErrStopped when fn did not run; a *PanicError when it panicked; ctx's.
// An endpoint must not ask itself.
func Ask[T any](ctx context.Context, e *Endpoint, fn func() (T, error)) (T, error) {
	var none T
	if e.cfg.Checked && e.inside() {
		panic(fmt.Sprintf("rpc: endpoint %s asks itself and would wait for ever", e.cfg.Name))
	}
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("ask endpoint %s: %w", e.cfg.Name, err)
	}
	a := &asked[T]{fn: fn, answered: make(chan struct{})}
	if err := e.post(a); err != nil {
		return none, err
	}
	select {
	case <-a.answered:
		return a.value, a.err
	case <-ctx.Done():
	}
	if a.begun.CompareAndSwap(false, true) {
		return none, fmt.Errorf("ask endpoint %s, which did not begin: %w", e.cfg.Name, ctx.Err())
	}
	select {
	case <-a.answered:
		return a.value, a.err
	default:
		return none, fmt.Errorf("ask endpoint %s: %w", e.cfg.Name, ctx.Err())
	}
}

// asked is a call whose caller waits for the answer.
type asked[T any] struct {
	fn       func() (T, error)
	begun    atomic.Bool // fn runs, or never will
	answered chan struct{}
	value    T
	err      error
}

func (a *asked[T]) run() {
	if a.begun.CompareAndSwap(false, true) {
		a.value, a.err = a.fn()
		close(a.answered)
	}
}

// drop answers with an error. The call may have begun: it panicked then.
func (a *asked[T]) drop(err error) {
	a.begun.Store(true)
	a.err = err
	close(a.answered)
}

// Tell has the endpoint run fn some time, after what it was told and asked before. It
// does not block. When it returns nil, fn runs unless a panic comes first. Errors:
// ErrNotStarted, ErrStopped.
func (e *Endpoint) Tell(fn func()) error { return e.post(told(fn)) }

// After has the endpoint run fn when d has passed, unless stop is called before that,
// on the endpoint: then fn never runs. stop may be called more than once. Nothing runs
// when the endpoint has stopped, or has not started, by then.
func (e *Endpoint) After(d time.Duration, fn func()) (stop func()) {
	var stopped atomic.Bool
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timers == nil { // ended
		return func() {}
	}
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		e.forget(&t)
		_ = e.Tell(func() { // if it has stopped, fn is not to run
			if !stopped.Load() {
				fn()
			}
		})
	})
	e.timers[t] = struct{}{}
	return func() {
		stopped.Store(true)
		t.Stop()
		e.forget(&t)
	}
}

// forget takes a pointer, which After sets under mu: a short timer may be due before.
func (e *Endpoint) forget(t **time.Timer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.timers, *t)
}

// Go runs work on a goroutine of its own, for what blocks. Its context ends when the
// endpoint has stopped, and Run waits for it. A panic in it ends the endpoint. Errors,
// when work does not run: ErrNotStarted, ErrStopped.
func (e *Endpoint) Go(work func(ctx context.Context)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if state := e.state.Load(); state != running {
		return e.absent(state)
	}
	e.spawn(work)
	return nil
}

// Check panics when it is called on another goroutine than the endpoint's while that
// runs, if the endpoint is Checked. Code that touches an endpoint's state calls it
// first.
func (e *Endpoint) Check() {
	if e.cfg.Checked && e.state.Load() == running && !e.inside() {
		panic(fmt.Sprintf("rpc: state of endpoint %s is touched on another goroutine", e.cfg.Name))
	}
}

// inside reports whether it is called on the endpoint's goroutine.
func (e *Endpoint) inside() bool { return e.owner.Load() == goroutine() }

// goroutine returns the number of the calling goroutine, as stacks show it: Go has no
// other way to tell them apart.
func goroutine() int64 {
	var buf [64]byte
	text := strings.TrimPrefix(string(buf[:runtime.Stack(buf[:], false)]), "goroutine ")
	number, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(errors.New("rpc: a stack does not begin with the number of its goroutine"))
	}
	return n
}
