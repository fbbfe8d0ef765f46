package zookeeper

import "time"

// Lease computes until when an owner may trust that its ephemeral node exists. It
// is a value without I/O and clock: Renewed takes what was measured, Deadline
// answers. It is not safe for concurrent use.
//
// The deadline is
//
//	anchor + T - margin
//
// where the anchor is the send time of the newest request that ZooKeeper's leader has
// surely counted, when the newest renewal was acknowledged. See Leases in the package
// comment for which that is, why, and for the source of each figure.
type Lease struct {
	timeout, halfTick, margin, period time.Duration

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

// LeaseMargin is the share of T that is kept back twice: at the deadline, for clocks
// that run at different rates and for a timer that fires late; and in what counts as
// half a tick ago, for lists of active sessions that come late. 2 %.
const LeaseMargin = 0.02

// NewLease returns a lease for the negotiated session time-out T. Tick is the
// servers' tickTime when it is known; zero stands for T/2, the longest that servers
// allow by default. One that is longer than theirs is safe, one that is shorter is
// not.
func NewLease(timeout, tick time.Duration) *Lease {
	half := tick / 2
	if tick == 0 {
		half = timeout / 4
	}
	return &Lease{timeout: timeout, halfTick: half, margin: time.Duration(float64(timeout) * LeaseMargin), period: timeout / 8}
}

// Period is how often to renew: every T/8, for the T that the lease began with.
func (l *Lease) Period() time.Duration { return l.period }

// Shorten notes the session time-out that holds now. Servers may be configured
// otherwise than the one that decided T, and decide again when a session comes to them:
// it then ends sooner. One that is not shorter changes nothing.
func (l *Lease) Shorten(timeout time.Duration) { l.timeout = min(l.timeout, timeout) }

// Renewed notes an acknowledged renewal, and what the session did on the connection
// that it has now.
func (l *Lease) Renewed(r Beat, p Pulse) {
	told := l.told(r, p)
	l.renewed = true
	l.count(p.Connected)
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

// told returns until when a request must have been answered on the connection of p to
// be counted for sure, now that r was acknowledged on it.
func (l *Lease) told(r Beat, p Pulse) time.Time {
	told := r.Sent.Add(-l.halfTick - l.margin)
	switch before := l.Newest(); {
	case !l.renewed:
		return told
	case before.Sent.Before(p.Connected):
		return p.Connected // nothing but the connect
	default:
		proven := before.Sent.Add(-min(l.halfTick, l.Period()) - l.margin)
		if proven.Before(told) {
			return proven
		}
		return told
	}
}

// count moves the anchor on; what was counted once stays so.
func (l *Lease) count(sent time.Time) {
	if sent.After(l.anchor) {
		l.anchor = sent
	}
}

// Newest returns the newest acknowledged renewal, and the zero Beat before the first.
func (l *Lease) Newest() Beat {
	if len(l.pending) == 0 {
		return Beat{}
	}
	return l.pending[len(l.pending)-1]
}

// Deadline returns when the owner must have stopped. It is the zero time before
// the first renewal.
func (l *Lease) Deadline() time.Time {
	if !l.renewed {
		return time.Time{}
	}
	return l.anchor.Add(l.timeout - l.margin)
}
