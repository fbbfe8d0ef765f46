package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

// tenure is one term at a latch: the lease is held by one goroutine, hold, which
// ends with the term or at Release.
type tenure struct {
	session *zookeeper.Session
	guard   zookeeper.Guard
	epoch   leader.Epoch
	leaders string
	policy  DisconnectPolicy
	grace   time.Duration
	log     hclog.Logger

	lost chan struct{} // closed by hold, after err was set
	err  error
	stop context.CancelFunc
	held chan struct{} // closed when hold has ended

	mu    sync.Mutex
	infos map[string]bool // paths published in this term
}

var _ election.Tenure = (*tenure)(nil)

// begin starts the tenure of a candidate whose leadership was just confirmed.
func (d *Driver) begin(ctx context.Context, s *zookeeper.Session, guard zookeeper.Guard, epoch leader.Epoch, lease *zookeeper.Lease, c election.Candidate) (*tenure, error) {
	hold, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &tenure{
		session: s, guard: guard, epoch: epoch, leaders: d.cfg.Leaders,
		policy: d.cfg.OnDisconnect, grace: c.StopGrace, log: d.log.With("epoch", int64(epoch)),
		lost: make(chan struct{}), stop: stop, held: make(chan struct{}),
		infos: make(map[string]bool),
	}
	_, exists, fired, err := s.Watch(ctx, guard.Path())
	if err != nil {
		stop()
		return nil, err
	}
	if !exists {
		stop()
		return nil, d.vanished(s, guard.Path())
	}
	go t.hold(hold, lease, fired)
	return t, nil
}

// Guard returns the term's proof of leadership.
func (t *tenure) Guard() leader.Guard { return leader.NewGuard(t.epoch, t.guard) }

// Lost is closed when the term has ended, or must.
func (t *tenure) Lost() <-chan struct{} { return t.lost }

// Err returns why, after Lost was closed.
func (t *tenure) Err() error {
	select {
	case <-t.lost:
		return t.err
	default:
		return nil
	}
}

// ack is the answer to one renewal.
type ack struct {
	beat zookeeper.Beat
	err  error
}

// hold renews the lease and ends the term when it cannot.
func (t *tenure) hold(ctx context.Context, lease *zookeeper.Lease, fired <-chan struct{}) {
	defer close(t.held)
	acks := make(chan ack, 1)
	var renewals sync.WaitGroup
	defer renewals.Wait()
	renewCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewing := false
	next := time.NewTimer(lease.Period())
	defer next.Stop()
	for {
		end := time.NewTimer(time.Until(t.until(lease)))
		state, changed := t.session.State()
		if err := t.ending(state, lease); err != nil {
			end.Stop()
			t.lose(err)
			return
		}
		renew := false
		select {
		case <-ctx.Done():
			end.Stop()
			return
		case <-end.C: // ending says so next time round
		case <-changed:
		case <-fired: // a hint: ask the ensemble
			fired, renew = nil, true
		case <-next.C:
			renew = true
			next.Reset(lease.Period())
		case a := <-acks:
			renewing = false
			switch {
			case a.err == nil:
				lease.Renewed(a.beat, t.session.Pulse())
			case errors.Is(a.err, leader.ErrFenced):
				end.Stop()
				t.lose(fmt.Errorf("%w: %s", election.ErrNodeDeleted, t.guard.Path()))
				return
			default:
				t.log.Debug("renewal failed", "error", a.err)
				// Waiting for the next turn would double the gap, and the lease of
				// a doubled gap is over before the turn after that.
				next.Reset(lease.Period() / 8)
			}
		}
		end.Stop()
		if renew && !renewing {
			renewing = true
			renewals.Go(func() {
				sent := time.Now()
				err := t.guard.Check(renewCtx)
				acks <- ack{beat: zookeeper.Beat{Sent: sent, Answered: time.Now()}, err: err}
			})
		}
	}
}

// until is when the term must have been reported lost.
func (t *tenure) until(lease *zookeeper.Lease) time.Time { return lease.Deadline().Add(-t.grace) }

// ending returns why the term must end now, nil if it need not. The deadline is
// compared on the wall clock too: the monotonic one stands still while the machine
// is suspended.
func (t *tenure) ending(state zookeeper.State, lease *zookeeper.Lease) error {
	now, until := time.Now(), t.until(lease)
	switch {
	case state == zookeeper.Ended:
		return fmt.Errorf("%w: %w", election.ErrSessionExpired, t.session.Err())
	case !now.Before(until), !now.Round(0).Before(until.Round(0)):
		return fmt.Errorf("%w: no renewal was acknowledged in time, connection is %v", election.ErrLeaseExpired, state)
	case state == zookeeper.Suspended && t.policy == StepDown:
		return election.ErrDisconnected
	default:
		return nil
	}
}

func (t *tenure) lose(err error) {
	t.err = err
	close(t.lost)
	t.log.Warn("leadership lost", "reason", err)
}

// Publish makes the infos visible, each under its component.
func (t *tenure) Publish(ctx context.Context, infos ...leader.Info) error {
	if t.leaders == "" {
		return errors.New("election: publish: no path for leader information is configured")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-t.lost:
			cancel(fmt.Errorf("%w: %w", leader.ErrFenced, t.err))
		case <-ctx.Done():
		}
	})
	for _, info := range infos {
		if err := t.publish(ctx, info); err != nil {
			return t.publishError(ctx, err)
		}
	}
	return nil
}

// publishError prefers the reason for which ctx ended.
func (t *tenure) publishError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("election: publish: %w", cause)
	}
	if t.session.Err() != nil {
		return fmt.Errorf("election: publish: %w: %w", leader.ErrFenced, err)
	}
	return fmt.Errorf("election: publish: %w", err)
}

// publish writes one info in a guarded multi that replaces a former leader's. It
// looks again when somebody else changed the node in between.
func (t *tenure) publish(ctx context.Context, info leader.Info) error {
	data, err := info.Encode()
	if err != nil {
		return err
	}
	node := t.leaders + "/" + info.Component
	for {
		if err := t.session.EnsurePath(ctx, t.leaders, zookeeper.Persistent); err != nil {
			return err
		}
		_, exists, err := t.session.Exists(ctx, node)
		if err != nil {
			return err
		}
		var ops []zookeeper.Op
		if exists {
			ops = append(ops, zookeeper.DeleteOp(node, -1))
		}
		t.note(node)
		err = t.guard.Commit(ctx, append(ops, zookeeper.CreateOp(node, data, zookeeper.Ephemeral))...)
		if !errors.Is(err, zookeeper.ErrNodeExists) && !errors.Is(err, zookeeper.ErrNoNode) {
			return err
		}
	}
}

func (t *tenure) note(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.infos[node] = true
}

// published returns the paths that this term may have published.
func (t *tenure) published() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	nodes := make([]string, 0, len(t.infos))
	for node := range t.infos {
		nodes = append(nodes, node)
	}
	return nodes
}

// Release removes what was published and the latch node in one guarded multi. What
// it cannot remove it leaves to the end of the session, which it closes.
func (t *tenure) Release(ctx context.Context) error {
	t.stop()
	<-t.held
	select {
	case <-t.session.Done():
		return nil // everything went with it
	default:
	}
	for {
		var ops []zookeeper.Op
		for _, node := range t.published() {
			if stat, exists, err := t.session.Exists(ctx, node); err != nil {
				return t.abandon(err)
			} else if exists && stat.EphemeralOwner == t.session.ID() {
				ops = append(ops, zookeeper.DeleteOp(node, -1))
			}
		}
		err := t.guard.Commit(ctx, append(ops, zookeeper.DeleteOp(t.guard.Path(), -1))...)
		switch {
		case err == nil:
			t.guard.Fall()
			return nil
		case errors.Is(err, leader.ErrFenced):
			// Deleted by somebody else or, after a lost reply, by our own first try:
			// which of them is not known. The infos go with the session.
			t.session.Close()
			return nil
		case !errors.Is(err, zookeeper.ErrNoNode):
			return t.abandon(err)
		}
	}
}

// abandon closes the session so that nothing of the term stays behind.
func (t *tenure) abandon(err error) error {
	t.session.Close()
	return fmt.Errorf("election: release %s: the session was closed instead, its nodes vanish within %v: %w", t.guard.Path(), t.session.Timeout(), err)
}
