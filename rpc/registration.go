package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Retry says how registrations are tried again.
type Retry struct {
	// Timeout is how long the first attempt may take. An attempt that times out is
	// followed by one with twice the time, up to MaxTimeout. Zero: 100 ms, and 30 s.
	Timeout, MaxTimeout time.Duration
	// Delay is waited after an error or a refusal, before it begins again with Timeout.
	// It doubles with each in a row, up to MaxDelay. Zero: 1 s, and as long as Delay.
	Delay, MaxDelay time.Duration
	// Pause is waited after a connection was lost, before another is made: else one that
	// is accepted and given up in turns would cost all that there is. Zero: none is.
	Pause time.Duration
	// Pace lengthens Timeout when registrations take long. Nil: it does not change.
	Pace *Pace
	// DialTimeout is how long connecting may take; that it took longer counts as an
	// error. Zero: 10 s.
	DialTimeout time.Duration
}

func (r Retry) withDefaults() Retry {
	for _, d := range []struct {
		value *time.Duration
		zero  time.Duration
	}{
		{&r.Timeout, 100 * time.Millisecond}, {&r.MaxTimeout, 30 * time.Second},
		{&r.Delay, time.Second}, {&r.DialTimeout, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = r.Delay
	}
	return r
}

func (r Retry) validate() error {
	if min(r.Timeout, r.MaxTimeout, r.Delay, r.MaxDelay, r.Pause, r.DialTimeout) < 0 {
		return errors.New("rpc: a time of Retry is negative")
	}
	switch r := r.withDefaults(); {
	case r.Timeout > r.MaxTimeout:
		return fmt.Errorf("rpc: Retry.Timeout %v is longer than MaxTimeout %v", r.Timeout, r.MaxTimeout)
	case r.Delay > r.MaxDelay:
		return fmt.Errorf("rpc: Retry.Delay %v is longer than MaxDelay %v", r.Delay, r.MaxDelay)
	}
	return nil
}

// maxPace bounds what a Pace makes of a first time-out.
const maxPace = 2 * time.Second

// Pace is how long registrations take at components of a kind, for all connections that
// share it. When many are under way each takes longer, and to make it again too soon
// would only add to that: the first attempt may take twice what the newest took, 2 s at
// most, if that is longer than Retry.Timeout.
type Pace struct {
	// newest is how long the newest took, in nanoseconds.
	newest atomic.Int64
}

// first returns how long the first attempt may take.
func (p *Pace) first(timeout time.Duration) time.Duration {
	if p == nil {
		return timeout
	}
	return max(timeout, min(2*time.Duration(p.newest.Load()), maxPace))
}

func (p *Pace) took(d time.Duration) {
	if p != nil {
		p.newest.Store(int64(d))
	}
}

// registration connects to one target and registers there.
type registration[G, R any] struct{ ConnectionConfig[G, R] }

// registered is what came of it.
type registered[G, R any] struct {
	gateway G
	hangUp  func()
	reply   R
}

// run tries until it is registered, or rejected for good (ErrRejected), or ctx ends. It
// hangs up unless it returns nil. failed is told of each failure that is followed by
// another try. Failures in a row may go on for long, so fewer and fewer are logged.
func (r registration[G, R]) run(ctx context.Context, t Target, failed func(error)) (registered[G, R], error) {
	delay := r.Retry.Delay
	for failures := 1; ; failures++ {
		got, err := r.connected(ctx, t)
		if err == nil || errors.Is(err, ErrRejected) || ctx.Err() != nil {
			return got, err
		}
		level := hclog.Debug
		if failures&(failures-1) == 0 {
			level = r.FailureLevel
		}
		r.Logger.Log(level, "registration failed, will try again", "target", t.String(), "failures", failures, "error", err)
		failed(err)
		if err := pause(ctx, delay); err != nil {
			return got, err
		}
		delay = min(2*delay, r.Retry.MaxDelay)
	}
}

// connected connects, and registers as long as that only takes too long.
func (r registration[G, R]) connected(ctx context.Context, t Target) (registered[G, R], error) {
	dialling, cancel := context.WithTimeout(ctx, r.Retry.DialTimeout)
	defer cancel()
	gateway, hangUp, err := r.Dial(dialling, t)
	if err != nil {
		return registered[G, R]{}, err
	}
	first := min(r.Retry.Pace.first(r.Retry.Timeout), r.Retry.MaxTimeout)
	for timeout := first; ; timeout = min(2*timeout, r.Retry.MaxTimeout) {
		reply, late, err := r.attempt(ctx, gateway, t, timeout)
		switch {
		case err == nil && ctx.Err() == nil:
			return registered[G, R]{gateway, hangUp, reply}, nil
		case late && ctx.Err() == nil && !errors.Is(err, ErrRejected):
			r.Logger.Debug("registration timed out, trying again", "target", t.String(), "timeout", timeout)
		default:
			if ctx.Err() != nil {
				err = r.givenUp(ctx, gateway)
			}
			hangUp()
			return registered[G, R]{}, err
		}
	}
}

// givenUp says farewell, unless the loop has ended, and returns the reason. The other side
// may have accepted the registration.
func (r registration[G, R]) givenUp(ctx context.Context, gateway G) (reason error) {
	reason = context.Cause(ctx)
	if !errors.Is(reason, context.Canceled) {
		r.farewell(context.WithoutCancel(ctx), gateway, reason)
	}
	return reason
}

// attempt registers once. late says that its time ran out.
func (r registration[G, R]) attempt(ctx context.Context, gateway G, t Target, timeout time.Duration) (reply R, late bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	begun := time.Now()
	reply, err = r.Register(ctx, gateway, t)
	if !errors.Is(ctx.Err(), context.Canceled) {
		r.Retry.Pace.took(time.Since(begun))
	}
	return reply, errors.Is(ctx.Err(), context.DeadlineExceeded), err
}

// pause waits for d. It returns ctx's error when that ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
