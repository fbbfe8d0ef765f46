package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// candidacy is one node at the latch, from its creation until it leads or is given
// up. It belongs to the goroutine that runs Campaign.
type candidacy struct {
	d     *Driver
	s     *zookeeper.Session
	who   election.Candidate
	guard zookeeper.Guard // its path is the node
	stat  zookeeper.Stat
	// own is closed when something happens to the node.
	own <-chan struct{}
	// request is what was asked for at the last look, the zero one for nothing; asked
	// is closed when that may have changed.
	request request
	asked   <-chan struct{}
}

// happening is what ends a wait.
type happening int

const (
	beforeFired happening = iota
	ownFired
	askedFired
)

// place is where a candidacy stands, as the newest list had it.
type place struct {
	// before is the contender just before it; empty when it is the first.
	before string
	// next says that this one is the first.
	next bool
}

func (p place) first() bool { return p.before == "" }

// await blocks until the node leads. What an event says is only a hint: before the
// grant the list is read again, and a guarded check is acknowledged by a quorum.
func (k *candidacy) await(ctx context.Context) (*tenure, error) {
	err := k.watchOwn(ctx)
	if err == nil {
		err = k.heed(ctx)
	}
	if err != nil {
		return nil, err
	}
	for {
		at, err := k.list(ctx)
		if err != nil {
			return nil, err
		}
		if at.first() {
			return k.grant(ctx, renewal(ctx, k.guard))
		}
		what, err := k.wait(ctx, at.before)
		if err != nil {
			return nil, err
		}
		switch {
		case what == ownFired:
			err = k.watchOwn(ctx)
		case what == askedFired:
			err = k.heed(ctx)
		case at.next:
			var checked ack
			if at, checked, err = k.listAndCheck(ctx); err == nil && at.first() {
				return k.grant(ctx, checked)
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// watchOwn sets the watch on the own node, which stays until something happens to
// it, and sees that the node is this session's: after an expiry, what is read can
// still be of the session before. Who owns a node never changes.
func (k *candidacy) watchOwn(ctx context.Context) error {
	stat, exists, fired, err := k.s.Watch(ctx, k.guard.Path())
	if err != nil {
		return err
	}
	if !exists || stat.EphemeralOwner != k.s.ID() {
		return k.d.vanished(k.s, k.guard.Path())
	}
	k.own = fired
	return nil
}

// list reads where the candidacy stands.
func (k *candidacy) list(ctx context.Context) (place, error) {
	children, _, err := k.s.Children(ctx, k.d.cfg.Latch)
	if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
		return place{}, err
	}
	order := contenders(children)
	switch i := slices.Index(order, path.Base(k.guard.Path())); i {
	case -1:
		return place{}, k.d.vanished(k.s, k.guard.Path())
	case 0:
		return place{}, nil
	default:
		return place{before: k.d.cfg.Latch + "/" + order[i-1], next: i == 1}, nil
	}
}

// listAndCheck asks for the list and for the guarded check at once, when the only
// contender before is said to have gone: one round trip instead of two, and their
// order does not matter. The list decides. A node that is the lowest stays so while
// it exists, and what this session reads after the list is at least as new, so it
// holds all that was written under the nodes that had gone by then. The check says
// that the node existed after it was sent, and starts the lease there.
//
// With others before that one the check would come too early: no harm, but the
// ensemble's log would have one from a contender that does not lead.
func (k *candidacy) listAndCheck(ctx context.Context) (place, ack, error) {
	var checked ack
	var check sync.WaitGroup
	check.Go(func() { checked = renewal(ctx, k.guard) })
	at, err := k.list(ctx)
	check.Wait()
	return at, checked, err
}

// wait blocks until something happens to the contender before, to the own node, or to
// a request for a transfer.
func (k *candidacy) wait(ctx context.Context, before string) (happening, error) {
	_, exists, fired, err := k.s.Watch(ctx, before)
	if err != nil || !exists {
		return beforeFired, err
	}
	select {
	case <-fired:
		return beforeFired, nil
	case <-k.own:
		return ownFired, nil
	case <-k.asked:
		return askedFired, nil
	case <-k.s.Done():
		return 0, errAgain
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// heed does what a request for a transfer asks of a contender that waits: to queue
// again when it stands between the leader and the successor.
func (k *candidacy) heed(ctx context.Context) error {
	in := inbox{k.s, k.d.cfg.Latch}
	d, r, _, changed, err := in.duty(ctx, path.Base(k.guard.Path()))
	k.request, k.asked = r, changed
	switch {
	case errors.Is(err, errUnreadable), errors.Is(err, zookeeper.ErrNoAuth):
		k.d.log.Warn("a request for a transfer is left alone", "error", err)
		return nil
	case err != nil:
		return err
	case d == queueAgain:
		return k.queueAgain(ctx, r)
	default:
		return nil
	}
}

// queueAgain gives up the candidacy's place for one behind all others.
func (k *candidacy) queueAgain(ctx context.Context, r request) error {
	node, stat, err := k.s.ReplaceProtected(ctx, k.guard.Path(), latchSuffix, []byte(k.who.ID))
	switch {
	case errors.Is(err, zookeeper.ErrNoNode):
		return k.d.vanished(k.s, k.guard.Path())
	case errors.Is(err, zookeeper.ErrUnknownOutcome):
		_ = k.s.Close() // the client reports
		return fmt.Errorf("election: queue again: %w", err)
	case err != nil:
		return fmt.Errorf("election: queue again: %w", err)
	}
	k.d.log.Info("queued again", "reason", r.String(), "node", node)
	k.guard, k.stat = k.s.Guard(node), stat
	if err := checkSequence(k.d.cfg.Latch, path.Base(node)); err != nil {
		return err
	}
	return k.watchOwn(ctx)
}

// grant confirms leadership by a guarded check, the one given or a later one, and
// starts the tenure.
func (k *candidacy) grant(ctx context.Context, checked ack) (*tenure, error) {
	// A steady lease holds for 5T/8 from a renewal to the next; a grace of more than
	// T/4 would leave too little of it.
	if most := k.s.Timeout() / 4; k.who.StopGrace > most {
		return nil, fmt.Errorf("election: stop grace %v is more than %v, a quarter of the session time-out, and leaves too little of the lease; lower the grace or raise the time-out",
			k.who.StopGrace, most)
	}
	lease := zookeeper.NewLease(k.s.Timeout(), k.d.cfg.Tick)
	for ; ; checked = renewal(ctx, k.guard) {
		switch err := checked.err; {
		case err == nil:
			lease.Renewed(checked.beat, k.s.Pulse())
			if time.Until(lease.Deadline()) >= k.who.StopGrace+lease.Period() {
				return k.d.begin(ctx, k, lease), nil
			}
			// After a slow round trip, or a long silence: it grows with every check.
			select {
			case <-time.After(lease.Period() / 4):
			case <-k.s.Done():
				return nil, errAgain
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case k.s.Err() != nil: // for which the guard falls, too
			return nil, errAgain
		case errors.Is(err, leader.ErrFenced):
			return nil, k.d.vanished(k.s, k.guard.Path())
		case !errors.Is(err, zookeeper.ErrUnknownOutcome) || ctx.Err() != nil:
			return nil, err
		}
	}
}
