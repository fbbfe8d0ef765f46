package retrieval

import (
	"time"

	"github.com/coordd/coordd/leader"
)

// State is what is known about a component's leader.
type State struct {
	// Status says which of the three it is: known, none, or unknown.
	Status Status
	// Info is the leader while Status is StatusKnown. While it is StatusUnknown,
	// Info is the leader that was known last, if there was one; it may have changed
	// since. While it is StatusNone, Info is zero.
	Info leader.Info
	// Index orders states across the participants of a cluster and never goes
	// back. It may also grow without any other change. Zero: nothing was heard yet.
	Index int64
	// ObservedAt is when the backend last answered, by this process' clock. As
	// drivers report changes only, it may be long ago although the backend is
	// there. Zero: never.
	ObservedAt time.Time
}

// tells says whether two states tell people the same about the leader.
func (s State) tells(o State) bool { return s.Status == o.Status && s.Info == o.Info }

// knowledge is a State, and what must be remembered to never go back.
type knowledge struct {
	State
	// newest is the largest epoch that was accepted.
	newest leader.Epoch
	// last is the info of the newest epoch, and at its index.
	last leader.Info
	at   int64
}

// accept returns what is known after an observation made at the given time. It
// reports false when the observation is refused because it is older than what is
// known, in which case nothing changes.
func (k knowledge) accept(o Observation, now time.Time) (knowledge, bool) {
	switch o.Status {
	case StatusKnown:
		if o.Info.Epoch < k.newest {
			return k, false
		}
		if !sameTerm(o.Info, k.last) || o.Index > k.at {
			k.last, k.at = o.Info, o.Index
		}
		k.newest, k.Info = o.Info.Epoch, k.last
	case StatusNone:
		k.Info = leader.Info{}
	default:
		// What was known before may still be so.
		k.Status = StatusUnknown
		return k, true
	}
	k.Status = o.Status
	k.Index = max(k.Index, o.Index)
	k.ObservedAt = now
	return k, true
}

func sameTerm(a, b leader.Info) bool { return a.SessionID == b.SessionID && a.Epoch == b.Epoch }
