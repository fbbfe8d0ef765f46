package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/leader"
)

// Backoff spaces tries: First after the first failure, then doubling up to Max.
type Backoff struct {
	// First is the first delay. What zero means, the field that holds the Backoff
	// says.
	First time.Duration
	// Max bounds the delay. What zero means, the field that holds the Backoff says.
	Max time.Duration
}

func (b Backoff) withDefaults(first, longest time.Duration) Backoff {
	if b.First == 0 {
		b.First = first
	}
	if b.Max == 0 {
		b.Max = max(longest, b.First)
	}
	return b
}

func (b Backoff) validate(field string) error {
	switch {
	case b.First < 0 || b.Max < 0:
		return fmt.Errorf("coordinator: %s has a negative delay", field)
	case b.Max != 0 && b.Max < b.First:
		return fmt.Errorf("coordinator: %s.Max (%v) is shorter than its First (%v)", field, b.Max, b.First)
	}
	return nil
}

// retry calls try until it succeeds, and failed after each failure with the
// delay that follows. It gives up, with an error, only when the term is over:
// when ctx has ended, or try was fenced.
func (b Backoff) retry(ctx context.Context, try func(context.Context) error, failed func(err error, next time.Duration)) error {
	for delay := b.First; ; delay = min(2*delay, b.Max) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := try(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || errors.Is(err, leader.ErrFenced) {
			return err
		}
		failed(err, delay)
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}
