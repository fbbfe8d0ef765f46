package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
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
	inbox   inbox
	guard   zookeeper.Guard
	epoch   leader.Epoch
	leaders string
	policy  DisconnectPolicy
	grace   time.Duration
	wall    func() time.Time
	told    renewals
	log     hclog.Logger

	lost chan struct{} // closed by hold, after err was set
	err  error
	stop context.CancelFunc
	held chan struct{} // closed when hold has ended

	mu    sync.Mutex
	infos map[string]bool // paths published in this term
}

var _ election.Tenure = (*tenure)(nil)

// begin starts the tenure of a candidacy whose leadership was just confirmed. What
// happened to its node since the watch on it was set, the tenure sees.
func (d *Driver) begin(ctx context.Context, k *candidacy, lease *zookeeper.Lease) *tenure {
	hold, stop := context.WithCancel(context.WithoutCancel(ctx))
	epoch := leader.Epoch(k.stat.Czxid) + d.cfg.EpochFloor
	t := &tenure{
		session: k.s, inbox: inbox{k.s, d.cfg.Latch}, guard: k.guard, epoch: epoch, leaders: d.cfg.Leaders,
		policy: d.cfg.OnDisconnect, grace: k.who.StopGrace, wall: d.wall,
		told: renewals{hook: d.cfg.OnRenewed, epoch: epoch}, log: d.log.With("epoch", int64(epoch)),
		lost: make(chan struct{}), stop: stop, held: make(chan struct{}),
		infos: make(map[string]bool),
	}
	asked := k.asked
	if k.request != (request{}) {
		asked = nil // it may be for the leader that this one has become
	}
	go t.hold(hold, lease, k.own, asked)
	return t
}

// GuardOf returns the guard of a term in ZooKeeper, with which an embedder makes
// fenced writes of its own and reads what all earlier terms wrote. Its error says
// that the term is another backend's.
func GuardOf(g leader.Guard) (zookeeper.Guard, error) {
	guard, ok := leader.Token[zookeeper.Guard](g)
	if !ok {
		return zookeeper.Guard{}, errors.New("election: the guard is not of a term in ZooKeeper")
	}
	return guard, nil
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

// renewal makes one guarded check.
func renewal(ctx context.Context, guard zookeeper.Guard) ack {
	sent := time.Now()
	err := guard.Check(ctx)
	return ack{beat: zookeeper.Beat{Sent: sent, Answered: time.Now()}, err: err}
}

// hold renews the lease and ends the term when it cannot, or when it shall.
func (t *tenure) hold(ctx context.Context, lease *zookeeper.Lease, own, asked <-chan struct{}) {
	defer close(t.held)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan error, 2) // one from each who may say so
	helpers.Go(func() { t.heed(ctx, asked, ends) })
	acks := make(chan ack, 1)
	owns := make(chan (<-chan struct{}), 1)
	renewing := false
	next := time.NewTimer(lease.Period() / 8) // soon: one renewal alone proves less than two
	defer next.Stop()
	t.told.tell(&helpers, lease)
	for {
		state, changed := t.session.State()
		lease.Shorten(t.session.Timeout())
		if err := t.ending(state, lease); err != nil {
			t.lose(err)
			return
		}
		renew := false
		select {
		case <-ctx.Done():
		case <-time.After(t.look(lease)): // ending says so next time round
		case <-changed:
		case err := <-ends:
			t.lose(err)
			return
		case <-own: // a hint: ask the ensemble
			own, renew = nil, true
			helpers.Go(func() { t.watchOwn(ctx, owns, ends) })
		case own = <-owns:
		case <-next.C:
			renew = true
			next.Reset(lease.Period())
		case a := <-acks:
			renewing = false
			switch {
			case ctx.Err() != nil: // its answer is Release's doing
			case t.session.Err() != nil: // for which the guard falls, too; ending says so
			case a.err == nil:
				lease.Renewed(a.beat, t.session.Pulse())
				t.told.tell(&helpers, lease)
			case errors.Is(a.err, leader.ErrFenced):
				t.lose(fmt.Errorf("%w: %s", election.ErrNodeDeleted, t.guard.Path()))
				return
			default:
				t.log.Debug("renewal failed", "error", a.err)
				// Waiting for the next turn would double the gap, and the lease of
				// a doubled gap is over before the turn after that.
				next.Reset(lease.Period() / 8)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if renew && !renewing {
			renewing = true
			helpers.Go(func() { acks <- renewal(ctx, t.guard) })
		}
	}
}

// watchOwn sets the watch on the node again, which something that did not delete it
// has used up, and passes it on.
func (t *tenure) watchOwn(ctx context.Context, owns chan<- (<-chan struct{}), ends chan<- error) {
	_, exists, fired, err := t.session.Watch(ctx, t.guard.Path())
	switch {
	case err != nil: // hold sees the end of the session itself
	case exists:
		owns <- fired
	default:
		ends <- fmt.Errorf("%w: %s", election.ErrNodeDeleted, t.guard.Path())
	}
}

// heed blocks until a request asks the leader to give way, and passes that on, or
// until ctx or the session ends. While others stand before the successor it waits
// for them to queue again. Asked, unless it is nil, is closed when there may be a
// request for the first time.
func (t *tenure) heed(ctx context.Context, asked <-chan struct{}, ends chan<- error) {
	if asked != nil {
		select {
		case <-asked:
		case <-ctx.Done():
			return
		}
	}
	for {
		d, r, order, changed, err := t.inbox.duty(ctx, path.Base(t.guard.Path()))
		var ahead <-chan struct{}
		if err == nil && d != resign && len(order) > 1 {
			var exists bool
			if _, exists, ahead, err = t.session.Watch(ctx, t.inbox.latch+"/"+order[1]); err == nil && !exists {
				continue
			}
		}
		switch {
		case ctx.Err() != nil || t.session.Err() != nil:
			return
		case err != nil:
			t.log.Warn("a request for a transfer is left alone", "error", err)
		case d == resign:
			ends <- fmt.Errorf("%w: %v", election.ErrResigned, r)
			return
		}
		select {
		case <-changed:
		case <-ahead:
		case <-ctx.Done():
			return
		}
	}
}

func (t *tenure) lose(err error) {
	t.err = err
	close(t.lost)
	if errors.Is(err, election.ErrResigned) {
		t.log.Info("leadership given up", "reason", err)
		return
	}
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

// Release removes what was published and the latch node in one guarded multi; where
// nothing was published the delete of the node is its own guard. What it cannot remove
// it leaves to the end of the session, which it closes.
func (t *tenure) Release(ctx context.Context) error {
	t.stop()
	defer func() { <-t.held }()
	select {
	case <-t.session.Done():
		return nil // everything went with it
	default:
	}
	infos := t.published() // nobody else removes them, as a rule
	if len(infos) == 0 && t.session.Delete(ctx, t.guard.Path(), -1) == nil {
		t.guard.Fall()
		return nil
	} // what went wrong the multi finds out, too
	for {
		var ops []zookeeper.Op
		for _, node := range infos {
			ops = append(ops, zookeeper.DeleteOp(node, -1))
		}
		err := t.guard.Commit(ctx, append(ops, zookeeper.DeleteOp(t.guard.Path(), -1))...)
		switch {
		case err == nil:
			t.guard.Fall()
			return nil
		case errors.Is(err, leader.ErrFenced):
			// Deleted by somebody else or, after a lost reply, by our own first try:
			// which of them is not known. The infos go with the session.
			_ = t.session.Close() // the client reports
			return nil
		case !errors.Is(err, zookeeper.ErrNoNode):
			return t.abandon(err)
		}
		if infos, err = t.remaining(ctx); err != nil {
			return t.abandon(err)
		}
	}
}

// remaining returns the paths of those infos of this term that are there.
func (t *tenure) remaining(ctx context.Context) ([]string, error) {
	var nodes []string
	for _, node := range t.published() {
		stat, exists, err := t.session.Exists(ctx, node)
		if err != nil {
			return nil, err
		}
		if exists && stat.EphemeralOwner == t.session.ID() {
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// abandon closes the session so that nothing of the term stays behind.
func (t *tenure) abandon(err error) error {
	_ = t.session.Close() // the client reports
	return fmt.Errorf("election: release %s: the session was closed instead, its nodes vanish within %v: %w", t.guard.Path(), t.session.Timeout(), err)
}
