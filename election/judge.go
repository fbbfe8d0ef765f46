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
	// yields says to stand back for a moment at least.
	yields bool
}

// standBack is how long a participant that gave leadership up waits before it
// queues again. Its requests would meet those of its successor at the backend, just
// while that one has its leadership confirmed, and nobody waits for them. It is some
// round trips long, and too short to be missed in the queue.
const standBack = 10 * time.Millisecond

// judge decides what follows a term, given the number of failed terms before it.
func judge(o outcome, failures int, b Backoff) verdict {
	if _, fatal := errors.AsType[*fatalError](o.err); fatal {
		return verdict{fatal: o.err}
	}
	proven := o.ready || o.lasted > b.Max
	if proven {
		failures = 0
	}
	yields := errors.Is(o.cause, ErrResigned)
	if o.err != nil && (errors.Is(o.cause, errReturned) || !echoes(o.err, o.cause)) {
		return verdict{failure: o.err, failures: failures + 1, rests: failures + 1}
	}
	switch {
	case proven:
		return verdict{yields: yields}
	case !yields:
		// Lost before it was of use to anybody.
		return verdict{failures: failures + 1, rests: failures + 1}
	case errors.Is(o.cause, errReturned):
		// A Lead that returns at once must not spin through elections.
		return verdict{failures: failures, rests: 1}
	default:
		return verdict{failures: failures, yields: true}
	}
}

// report is what Campaign says of a term, given the error of its own context.
func report(o outcome, stopped error) error {
	if errors.Is(o.cause, errReturned) {
		return o.err
	}
	over := o.cause
	if stopped != nil && errors.Is(over, ErrResigned) {
		over = stopped
	}
	_, fatal := errors.AsType[*fatalError](o.err)
	if o.err == nil || !fatal && echoes(o.err, o.cause) {
		return over
	}
	return fmt.Errorf("%w, and Lead failed: %w", over, o.err)
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
