package zk

import (
	"fmt"
	"sync"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// Renewal is an acknowledged renewal of a leader's lease. An operator sees in it how
// much is left before trouble: what Deadline is ahead of Answered, less the stop grace
// and T/8 until the next renewal, is how long ZooKeeper may be away.
type Renewal struct {
	// Epoch is the term's.
	Epoch leader.Epoch
	// Sent is when the renewal was sent. The distance of one to the next is the gap
	// between renewals, T/8 unless something was late.
	Sent time.Time
	// Answered is when it was acknowledged, a round trip after Sent.
	Answered time.Time
	// Deadline is when the lease ends now. The term's context ends the stop grace
	// before.
	Deadline time.Time
}

// renewals tells a hook of renewals, one at a time and without waiting for it.
type renewals struct {
	hook  func(Renewal) // nil for none
	epoch leader.Epoch

	mu   sync.Mutex
	busy bool
}

// tell has the hook called with the lease's newest renewal by a helper, unless it is
// busy with an earlier one.
func (r *renewals) tell(helpers *sync.WaitGroup, lease *zookeeper.Lease) {
	if r.hook == nil || r.busied(true) {
		return
	}
	newest := lease.Newest()
	told := Renewal{Epoch: r.epoch, Sent: newest.Sent, Answered: newest.Answered, Deadline: lease.Deadline()}
	helpers.Go(func() {
		r.hook(told)
		r.busied(false)
	})
}

// busied notes whether the hook is busy, and returns what was noted before.
func (r *renewals) busied(busy bool) (before bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, r.busy = r.busy, busy
	return before
}

// until is when the term must have been reported lost.
func (t *tenure) until(lease *zookeeper.Lease) time.Time { return lease.Deadline().Add(-t.grace) }

// look is how long hold may sleep. A timer stands still while the machine is
// suspended, so it looks at the wall clock in between.
func (t *tenure) look(lease *zookeeper.Lease) time.Duration {
	return min(time.Until(t.until(lease)), lease.Period()/4)
}

// ending returns why the term must end now, nil if it need not.
func (t *tenure) ending(state zookeeper.State, lease *zookeeper.Lease) error {
	switch {
	case state == zookeeper.Ended:
		return fmt.Errorf("%w: %w", election.ErrSessionExpired, t.session.Err())
	case over(t.until(lease), time.Now(), t.wall()):
		return fmt.Errorf("%w: no renewal was acknowledged in time, connection is %v", election.ErrLeaseExpired, state)
	case state == zookeeper.Suspended && t.policy == StepDown:
		return election.ErrDisconnected
	default:
		return nil
	}
}

// over reports whether the instant has come by the monotonic clock, which now carries,
// or by the wall clock. The monotonic one stands still while the machine is suspended;
// the wall clock can be set back. Whichever is ahead ends the lease.
func over(until, now, wall time.Time) bool {
	return !now.Before(until) || !wall.Round(0).Before(until.Round(0))
}
