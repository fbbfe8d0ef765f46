// Package stoptest finds out whether a Run method can be stopped at any time: before
// it starts, at once, in its course, twice, by several at a time, and again after it
// was started again.
//
// It works in real time and depends on the scheduler, so it belongs under the race
// detector and is worth repeating. It asserts on no durations: a Run that does not end
// fails after a patience of half a minute.
package stoptest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// patience is how long a Run may take to end, unless a Subject says otherwise.
	patience = 30 * time.Second
	// rounds is how often each way of stopping is tried, each time a little later.
	rounds = 20
	// crowd is how many call Run at a time.
	crowd = 4
)

// Subject is what is stopped.
type Subject struct {
	// Run blocks until its context ends and returns that one's error, wrapped or not.
	// It is called again after it returned, and also before.
	Run func(ctx context.Context) error
	// Refusals are what Run may return instead, for example because it is running.
	Refusals []error
	// Patience is how long Run may take to end. Zero: half a minute.
	Patience time.Duration
}

// Check tries all ways of stopping, and returns an error that names the first one that
// failed. With ErrStuck, and only then, something that it started may still run.
func (s Subject) Check(ctx context.Context) error {
	for _, way := range []struct {
		name string
		try  func(ctx context.Context, later int) error
	}{
		{"before the start", s.before},
		{"at once or in its course", s.during},
		{"twice, by several", s.twice},
		{"with several at a time", s.several},
	} {
		for later := range rounds {
			if err := way.try(ctx, later); err != nil {
				return fmt.Errorf("stopped %s, round %d: %w", way.name, later, err)
			}
		}
	}
	return nil
}

// ErrStuck is returned when Run did not end.
var ErrStuck = errors.New("run has not ended")

func (s Subject) before(ctx context.Context, _ int) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return s.ended(s.start(ctx))
}

func (s Subject) during(ctx context.Context, later int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	returned := s.start(ctx)
	letRun(later)
	cancel()
	return s.ended(returned)
}

func (s Subject) twice(ctx context.Context, later int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	returned := s.start(ctx)
	cancelled := make(chan struct{})
	go func() { defer close(cancelled); letRun(later); cancel() }()
	letRun(later)
	cancel()
	<-cancelled
	return s.ended(returned)
}

func (s Subject) several(ctx context.Context, later int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type call struct {
		cancel   context.CancelFunc
		returned <-chan error
	}
	var calls [crowd]call
	for i := range calls {
		each, cancel := context.WithCancel(ctx)
		calls[i] = call{cancel, s.start(each)}
	}
	var first error
	for _, c := range calls {
		letRun(later)
		c.cancel()
		if err := s.ended(c.returned); first == nil {
			first = err
		}
	}
	return first
}

func (s Subject) start(ctx context.Context) <-chan error {
	returned := make(chan error, 1)
	go func() { returned <- s.Run(ctx) }()
	return returned
}

// ended waits for the end of a Run and checks what it returned.
func (s Subject) ended(returned <-chan error) error {
	limit := s.Patience
	if limit == 0 {
		limit = patience
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-returned:
		for _, allowed := range append([]error{context.Canceled}, s.Refusals...) {
			if errors.Is(err, allowed) {
				return nil
			}
		}
		return fmt.Errorf("run returned %w, want its context's error or a refusal", orNil(err))
	case <-late.C:
		return fmt.Errorf("%w %s after it was told to", ErrStuck, limit)
	}
}

// errNil stands for the error that is none.
var errNil = errors.New("<nil>")

func orNil(err error) error {
	if err == nil {
		return errNil
	}
	return err
}

// letRun lets other goroutines run for a moment, the longer the larger the number.
func letRun(times int) {
	for range times {
		runtime.Gosched()
	}
}
