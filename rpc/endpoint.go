package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/leader"
)

// EndpointConfig says what an endpoint is.
type EndpointConfig struct {
	// Name is under which it is hosted, such as "dispatcher". Required.
	Name string
	// Term fences it: only calls with this token are served. Zero: only calls without
	// one are.
	Term leader.TermID
	// OnStart is called on the endpoint's goroutine before all calls: there it can start
	// what it needs (Go, After, connections). Nil: nothing is to be done.
	OnStart func()
	// OnStop is called when Run's context has ended, on a goroutine of its own, and
	// calls are served until it returns; it reaches the endpoint's state by Ask. Its
	// context ends early only when the endpoint panics. Nil: nothing is to be done.
	// It is not called after a panic, as the state cannot be trusted then.
	OnStop func(ctx context.Context)
	// AfterCalls is called on the endpoint's goroutine after calls were run, once for
	// all that came together: what follows from many events is so decided once. A
	// panic in it ends the endpoint. Nil: nothing is called.
	AfterCalls func()
	// Checked has Check and Ask look at which goroutine they are called on. It costs
	// about a microsecond a call, so it is for tests.
	Checked bool
}

// Endpoint runs functions one at a time on one goroutine, which so owns whatever only
// they touch. Its methods may be called from any goroutine. Package doc shows its
// states.
type Endpoint struct {
	cfg  EndpointConfig
	ring chan struct{} // rung when something was put into an empty mailbox
	done chan struct{} // closed when nothing more is served

	state  atomic.Int32               // changed under mu
	owner  atomic.Int64               // the goroutine of Run, if Checked
	failed atomic.Pointer[PanicError] // the first panic

	mu     sync.Mutex
	calls  []call
	timers map[*time.Timer]struct{}
	spawn  func(work func(context.Context)) // set while it runs

	works sync.WaitGroup
}

// The states of an endpoint.
const (
	created int32 = iota
	running
	ended
)

// call is one entry of the mailbox. Exactly one of its methods is called, once.
type call interface {
	run()
	drop(err error)
}

// told is a call that nobody waits for.
type told func()

func (t told) run()     { t() }
func (told) drop(error) {}

// NewEndpoint returns an endpoint that is served once Run is called.
func NewEndpoint(cfg EndpointConfig) (*Endpoint, error) {
	if cfg.Name == "" {
		return nil, errors.New("rpc: an endpoint needs a name")
	}
	return &Endpoint{
		cfg:    cfg,
		ring:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		timers: make(map[*time.Timer]struct{}),
	}, nil
}

// Name returns the name.
func (e *Endpoint) Name() string { return e.cfg.Name }

// Term returns the token that calls need, zero for none.
func (e *Endpoint) Term() leader.TermID { return e.cfg.Term }

// Done is closed when the endpoint serves nothing any more.
func (e *Endpoint) Done() <-chan struct{} { return e.done }

// Run serves calls until ctx has ended and OnStop has returned, then runs what was
// accepted before that, and returns when all that it started has ended. It returns
// ctx's error; a *PanicError after a panic; and ErrStopped when it was called before,
// as an endpoint is never started again.
func (e *Endpoint) Run(ctx context.Context) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := e.start(own); err != nil {
		return err
	}
	defer e.works.Wait()
	defer cancel()
	// Also reached when a call ends the goroutine (testing.T.FailNow does).
	defer e.end(fmt.Errorf("endpoint %s: %w", e.cfg.Name, ErrStopped))
	if e.cfg.OnStart != nil {
		if err := e.serve([]call{told(e.cfg.OnStart)}); err != nil {
			return err
		}
	}
	stopping, stopped := ctx.Done(), make(chan struct{})
	for {
		select {
		case <-e.ring:
			if err := e.serve(e.take(false)); err != nil {
				return err
			}
		case <-stopping:
			stopping = nil
			e.works.Go(func() {
				defer close(stopped)
				defer e.Recover(nil)
				if e.cfg.OnStop != nil {
					e.cfg.OnStop(own)
				}
			})
		case <-stopped:
			if err := e.serve(e.take(true)); err != nil {
				return err
			}
			return ctx.Err()
		}
	}
}

// start begins to accept calls.
func (e *Endpoint) start(own context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.Load() != created {
		return fmt.Errorf("run endpoint %s again: %w", e.cfg.Name, ErrStopped)
	}
	if e.cfg.Checked {
		e.owner.Store(goroutine())
	}
	e.spawn = func(work func(context.Context)) {
		e.works.Go(func() {
			defer e.Recover(nil)
			work(own)
		})
	}
	e.state.Store(running)
	return nil
}

// take empties the mailbox. After the last time nothing is accepted.
func (e *Endpoint) take(last bool) []call {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	if last {
		e.state.Store(ended)
	}
	return calls
}

// serve runs calls. After a panic it drops the others, and returns the panic.
func (e *Endpoint) serve(calls []call) (err error) {
	at := 0
	defer func() {
		if at == len(calls) {
			return
		}
		if value := recover(); value != nil {
			err = e.panicked(value)
			calls[at].drop(err)
			at++
		}
		for _, c := range calls[at:] {
			c.drop(fmt.Errorf("endpoint %s: %w", e.cfg.Name, ErrStopped))
		}
	}()
	for ; at < len(calls); at++ {
		if err := e.failure(); err != nil {
			return err
		}
		calls[at].run()
	}
	if at > 0 && e.cfg.AfterCalls != nil {
		return e.settle()
	}
	return e.failure()
}

// settle calls AfterCalls. It returns the panic, if there was one.
func (e *Endpoint) settle() (err error) {
	defer e.Recover(&err)
	e.cfg.AfterCalls()
	return e.failure()
}

// end drops what is in the mailbox and refuses what comes.
func (e *Endpoint) end(err error) {
	for _, c := range e.take(true) {
		c.drop(err)
	}
	e.mu.Lock()
	e.spawn = nil
	timers := e.timers
	e.timers = nil
	e.mu.Unlock()
	for t := range timers {
		t.Stop()
	}
	close(e.done)
}

// post puts a call into the mailbox. It never blocks, so that an endpoint can call
// itself.
func (e *Endpoint) post(c call) error {
	e.mu.Lock()
	if state := e.state.Load(); state != running {
		e.mu.Unlock()
		return e.absent(state)
	}
	e.calls = append(e.calls, c)
	first := len(e.calls) == 1
	e.mu.Unlock()
	if first {
		e.wake()
	}
	return nil
}

func (e *Endpoint) wake() {
	select {
	case e.ring <- struct{}{}:
	default: // it was rung and not heard yet
	}
}

// absent says why an endpoint does not serve.
func (e *Endpoint) absent(state int32) error {
	if state == created {
		return fmt.Errorf("endpoint %s: %w", e.cfg.Name, ErrNotStarted)
	}
	return fmt.Errorf("endpoint %s: %w", e.cfg.Name, ErrStopped)
}

// Admit returns nil when a call with the token may be served now, else ErrNotStarted,
// ErrStopped or ErrFencingToken. Whoever brings calls to an endpoint asks it first, for
// each call, whether it comes from another process or from this one.
func (e *Endpoint) Admit(token leader.TermID) error {
	if token != e.cfg.Term {
		return checkToken(e.cfg.Name, e.cfg.Term, token)
	}
	if state := e.state.Load(); state != running {
		return e.absent(state)
	}
	return nil
}

// Recover, when deferred, has a panic end the endpoint, as one on its own goroutine
// does, and puts it into err unless that is nil. It is for code of the endpoint that
// runs elsewhere.
func (e *Endpoint) Recover(err *error) {
	value := recover() //nolint:revive // callers defer this method itself
	if value == nil {
		return
	}
	p := e.panicked(value)
	if err != nil {
		*err = p
	}
	e.wake()
}

// panicked records a panic and returns it.
func (e *Endpoint) panicked(value any) error {
	p := &PanicError{Endpoint: e.cfg.Name, Value: value, Stack: debug.Stack()}
	e.failed.CompareAndSwap(nil, p)
	return p
}

// failure returns the panic that ends the endpoint.
func (e *Endpoint) failure() error {
	if p := e.failed.Load(); p != nil {
		return p
	}
	return nil
}
