package retrieval

import (
	"time"

	"github.com/coordd/coordd/leader"
)

// State is what is known about a component's leader.
type State struct {
	// Status says what is known, and if nothing is, why.
	Status Status
	// Info is the leader while Status is StatusKnown, and zero while it is
	// StatusNone. Otherwise it is what was confirmed last: the leader, which may have
	// changed since, or zero for nobody and for never.
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
	// confirmed is the last status that was an answer: StatusKnown or StatusNone,
	// about Info; StatusUnknown before the first answer.
	confirmed Status
	// newest is the largest epoch that was accepted.
	newest leader.Epoch
	// last is the info of the newest epoch, and at its index.
	last leader.Info
	at   int64
	// gone is the index at which nobody led last since that epoch was accepted.
	gone int64
}

// accept returns what is known after an observation made at the given time. It
// reports false when the observation is refused because it is older than what is
// known, in which case nothing changes.
func (k knowledge) accept(o Observation, now time.Time) (knowledge, bool) {
	if k.outdates(o) {
		return k, false
	}
	switch o.Status {
	case StatusKnown:
		if !sameTerm(o.Info, k.last) {
			k.gone = 0 // said nothing of this term; a rebuilt backend counts from below it
		}
		if !sameTerm(o.Info, k.last) || o.Index > k.at {
			k.last, k.at = o.Info, o.Index
		}
		k.newest, k.Info = o.Info.Epoch, k.last
	case StatusNone:
		k.Info, k.gone = leader.Info{}, max(k.gone, o.Index)
	case StatusUnconfirmed:
		k.Status = StatusUnconfirmed
		return k, true
	default:
		k.Status = StatusUnknown
		return k, true
	}
	k.Status, k.confirmed = o.Status, o.Status
	k.Index = max(k.Index, o.Index)
	k.ObservedAt = now
	return k, true
}

// outdates says whether an answer is older than what is known, by the backend's own
// order: a server that is behind gave it. A newer term is never outdated, whatever
// its index: a backend that was rebuilt counts from anew, and its epochs are raised
// so that they go on.
func (k knowledge) outdates(o Observation) bool {
	switch o.Status {
	case StatusKnown:
		return o.Info.Epoch < k.newest || sameTerm(o.Info, k.last) && o.Index < k.gone
	case StatusNone:
		return o.Index > 0 && o.Index < k.at
	default:
		return false
	}
}

func sameTerm(a, b leader.Info) bool { return a.SessionID == b.SessionID && a.Epoch == b.Epoch }
