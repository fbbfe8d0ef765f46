package zookeeper

import "time"

// Lease computes until when an owner may trust that its ephemeral node exists. It
// is a value without I/O and clock: Renewed takes what was measured, Deadline
// answers. It is not safe for concurrent use.
//
// The ensemble's leader ends a session T after it last counted it as active. It
// counts a connect or reconnect at once. What a session does through a follower it
// counts when the follower tells, which it does every half tick, for as long as it
// is in touch with the leader; a write that it passes on is not counted by itself.
// So what was answered at least half a tick before a renewal was sent has been
// counted when that renewal is acknowledged: the follower was in touch after it had
// told. The deadline is
//
//	anchor + T - margin
//
// where the anchor is the send time of the newest request that was surely counted.
// Pings serve as anchors too, but renew nothing: a follower that lost its quorum
// goes on answering them, and only an acknowledged write shows that it has not.
//
// The tick is at most T/2, as servers refuse shorter session time-outs, so T/4
// stands for half of it unless it is known. The argument is checked by the model in
// docs/model.
type Lease struct {
	timeout, halfTick, margin time.Duration

	anchor  time.Time
	renewed bool
	pending []Beat // renewals that are not known to be counted, oldest first
}

// Beat is a request of a session that was answered.
type Beat struct {
	// Sent is the time before the request was sent.
	Sent time.Time
	// Answered is the time after its answer was received.
	Answered time.Time
}

// Pulse is what a session did on its present connection.
type Pulse struct {
	// Connected is the time before the connection was asked for.
	Connected time.Time
	// Pings are the newest that were answered on it, oldest first.
	Pings []Beat
}

// LeaseMargin is the share of T kept back for clocks that run at different rates
// and for scheduling: 2 %.
const LeaseMargin = 0.02

// NewLease returns a lease for the negotiated session time-out T. Tick is the
// servers' tickTime when it is known, zero otherwise.
func NewLease(timeout, tick time.Duration) *Lease {
	half := tick / 2
	if tick == 0 {
		half = timeout / 4
	}
	return &Lease{timeout: timeout, halfTick: half, margin: time.Duration(float64(timeout) * LeaseMargin)}
}

// Period is how often to renew: every T/8.
func (l *Lease) Period() time.Duration { return l.timeout / 8 }

// Renewed notes an acknowledged renewal, and what the session did on the connection
// that it has now.
func (l *Lease) Renewed(r Beat, p Pulse) {
	l.renewed = true
	l.count(p.Connected)
	told := r.Sent.Add(-l.halfTick) // what was answered until then has been counted
	for _, ping := range p.Pings {
		if !ping.Answered.After(told) {
			l.count(ping.Sent)
		}
	}
	kept := l.pending[:0]
	for _, b := range l.pending {
		switch {
		case b.Sent.Before(p.Connected): // another server may have kept it to itself
		case b.Answered.After(told):
			kept = append(kept, b)
		default:
			l.count(b.Sent)
		}
	}
	l.pending = append(kept, r)
}

// count moves the anchor on; what was counted once stays so.
func (l *Lease) count(sent time.Time) {
	if sent.After(l.anchor) {
		l.anchor = sent
	}
}

// Deadline returns when the owner must have stopped. It is the zero time before
// the first renewal.
func (l *Lease) Deadline() time.Time {
	if !l.renewed {
		return time.Time{}
	}
	return l.anchor.Add(l.timeout - l.margin)
}
