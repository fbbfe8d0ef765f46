package retrieval

import (
	"context"

	"github.com/coordd/coordd/leader"
)

// Driver is one backend's part of retrieval. Users construct one (see
// retrieval/zk and ha/embedded), give it to New, and never call it.
type Driver interface {
	// Follow reports what the backend knows about the component's leader, first
	// what is there now, then every change, by calling observe from a single
	// goroutine, in order. It blocks until ctx ends and returns ctx's error;
	// losing the backend is an Observation, not an error. It returns any other
	// error only when following cannot succeed by waiting.
	//
	// It reports StatusUnknown while the backend cannot be reached, as soon as it
	// can tell, and StatusUnconfirmed from when the backend can be reached (again)
	// until it has answered, unless that takes no time.
	//
	// observe does not block. Changes that follow one another quickly may be
	// reported as one.
	Follow(ctx context.Context, component string, observe func(Observation)) error
}

// Status says what is known about a leader.
type Status int

// The statuses. In the first two, what was known before may still be so.
const (
	// StatusUnknown: the backend cannot be reached, or nobody has begun to ask.
	StatusUnknown Status = iota
	// StatusUnconfirmed: the backend can be reached, and has not answered since, or
	// not in a form that can be read.
	StatusUnconfirmed
	// StatusNone: the backend answered that nobody leads.
	StatusNone
	// StatusKnown: the backend answered who leads.
	StatusKnown
)

// String returns the status in one word.
func (s Status) String() string {
	switch s {
	case StatusUnconfirmed:
		return "unconfirmed"
	case StatusNone:
		return "none"
	case StatusKnown:
		return "known"
	default:
		return "unknown"
	}
}

// Observation is one thing that a driver saw.
type Observation struct {
	// Status says whether Info is set.
	Status Status
	// Info is the leader when Status is StatusKnown, and zero otherwise.
	Info leader.Info
	// Index orders observations across all participants of a cluster: the
	// transaction that published the leader or, without one, the newest change of
	// the place where leaders are published, zero if that cannot be told. Zero while
	// there is no answer.
	Index int64
}
