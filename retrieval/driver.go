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
	// observe does not block. Changes that follow one another quickly may be
	// reported as one.
	Follow(ctx context.Context, component string, observe func(Observation)) error
}

// Status says what is known about a leader.
type Status int

// The statuses.
const (
	// StatusUnknown: the backend cannot be reached, or has not answered yet. What
	// was known before may still be so.
	StatusUnknown Status = iota
	// StatusNone: the backend answered that nobody leads.
	StatusNone
	// StatusKnown: the backend answered with a leader that is ready.
	StatusKnown
)

// String returns the status in one word.
func (s Status) String() string {
	switch s {
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
	// Info is the published leader when Status is StatusKnown.
	Info leader.Info
	// Index orders observations across all participants of a cluster: the
	// transaction that published the leader or, without one, the newest change of
	// the place where leaders are published. Zero when Status is StatusUnknown.
	Index int64
}
