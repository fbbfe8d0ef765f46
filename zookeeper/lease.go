package zookeeper

import "time"

// leaseWindow is how many renewals are "recent": at T/8 each, two session
// time-outs.
const leaseWindow = 16

// Lease computes until when an owner may trust that its ephemeral node exists. It
// is a value without I/O and clock: Renewed takes what was measured, Deadline
// answers. It is not safe for concurrent use.
//
// The server ends a session no earlier than T after it last heard of it, rounded
// up to its ticks. What it last heard of may be older than the newest renewal that
// was acknowledged here, if a server in between answers for a quorum that it has
// lost; so the deadline is
//
//	sent + T - 2·max(T/8, largest recent gap) - largest recent round trip - tick/2 - margin
//
// where sent is the time before the newest acknowledged renewal was sent. The
// tick is at most T/2, as servers refuse shorter session time-outs, so T/4 stands
// for half of it unless Tick says otherwise.
type Lease struct {
	timeout, halfTick, margin time.Duration

	sent     time.Time
	renewals int
	gaps     [leaseWindow]time.Duration
	trips    [leaseWindow]time.Duration
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

// Renewed notes a renewal that was sent and acknowledged at the given times.
func (l *Lease) Renewed(sent, acknowledged time.Time) {
	i := l.renewals % leaseWindow
	l.gaps[i] = 0
	if l.renewals > 0 {
		l.gaps[i] = sent.Sub(l.sent)
	}
	l.trips[i] = acknowledged.Sub(sent)
	l.sent = sent
	l.renewals++
}

// Deadline returns when the owner must have stopped. It is the zero time before
// the first renewal.
func (l *Lease) Deadline() time.Time {
	if l.renewals == 0 {
		return time.Time{}
	}
	gap, trip := l.Period(), time.Duration(0)
	for i := range l.gaps {
		gap, trip = max(gap, l.gaps[i]), max(trip, l.trips[i])
	}
	return l.sent.Add(l.timeout - 2*gap - trip - l.halfTick - l.margin)
}
