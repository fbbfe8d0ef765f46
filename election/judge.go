package election

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/leader"
)

// errReturned is the cause of a term that ended because Lead returned.
var errReturned = fmt.Errorf("%w: Lead returned", ErrResigned)

// outcome is how a term went.
type outcome struct {
	// overrun: Lead did not return in time and is still running.
	overrun bool
	// ready: the term became ready.
	ready bool
	// lasted is the time from the grant to the end of the term's context.
	lasted time.Duration
	// cause is what the term's context ended with.
	cause error
	// err is what Lead returned.
	err error
}

// verdict is what follows from an outcome.
type verdict struct {
	// fatal is what Run must return.
	fatal error
	// failure is what the operator must be told.
	failure error
	// failures counts the failed terms in a row.
	failures int
	// rests says whether to pause before contending again, for the pause that
	// belongs to that many failures. Zero: not at all.
	rests int
}

// judge decides what follows a term, given the number of failed terms before it.
func judge(o outcome, failures int, b Backoff) verdict {
	if _, fatal := errors.AsType[*fatalError](o.err); fatal {
		return verdict{fatal: o.err}
	}
	proven := o.ready || o.lasted > b.Max
	if proven {
		failures = 0
	}
	if o.err != nil && (errors.Is(o.cause, errReturned) || !echoes(o.err, o.cause)) {
		return verdict{failure: o.err, failures: failures + 1, rests: failures + 1}
	}
	switch {
	case proven:
		return verdict{}
	case !errors.Is(o.cause, ErrResigned):
		// Lost before it was of use to anybody.
		return verdict{failures: failures + 1, rests: failures + 1}
	case errors.Is(o.cause, errReturned):
		// A Lead that returns at once must not spin through elections.
		return verdict{failures: failures, rests: 1}
	default:
		return verdict{failures: failures}
	}
}

// echoes says whether an error that Lead returned after its term had ended only
// repeats that it ended.
func echoes(err, cause error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, leader.ErrFenced) || errors.Is(err, cause)
}

// pause returns the pause after the given number of failures (at least one). The
// chance, from 0 up to 1, picks a point in the later half of the interval.
func (b Backoff) pause(failures int, chance float64) time.Duration {
	whole := b.Min
	for i := 0; i < failures && whole < b.Max; i++ {
		whole *= 2
	}
	whole = min(whole, b.Max)
	return max(b.Min, whole-time.Duration(chance*float64(whole/2)))
}
