package zk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/google/uuid"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper"
)

// isForeign reports whether a contender is another implementation's.
func isForeign(name string) bool { return !zookeeper.OwnMark(name) }

// Participants returns who contends. See election.Driver.
func (d *Driver) Participants(ctx context.Context) ([]election.Participant, error) {
	s, err := d.cfg.Client.Session(ctx)
	if err != nil {
		return nil, err
	}
	order, err := Contenders(ctx, s, d.cfg.Latch)
	if err != nil {
		return nil, err
	}
	all := make([]election.Participant, len(order))
	for i, c := range order {
		all[i] = c.Participant
		all[i].Epoch += d.cfg.EpochFloor
	}
	return all, nil
}

// Transfer asks the leader, and those before the participant with the ID, to give
// way. See election.Driver. Where several contend under the ID it is the first of
// them. Should the leader change on the way, the new one is asked.
//
// There is one request at a latch at a time: while somebody else's is there Transfer
// waits. It returns only when its own request is gone, which after ctx's end can take
// until the connection is back, or until the session has ended.
func (d *Driver) Transfer(ctx context.Context, to string) error {
	t := transfer{d: d, to: to, by: uuid.NewString()}
	for {
		s, err := d.cfg.Client.Session(ctx)
		if err == nil {
			t.inbox = inbox{s, d.cfg.Latch}
			err = t.run(ctx)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && s != nil && s.Err() != nil:
			<-s.Done() // the request goes with it
		default:
			return fmt.Errorf("election: transfer to %q at %s: %w", to, d.cfg.Latch, err)
		}
	}
}

// transfer is one call of Transfer.
type transfer struct {
	d     *Driver
	inbox inbox // of the present session
	to    string
	by    string
	// from is the node of the leader that was found first, who shall give way when it
	// does not matter to whom.
	from string
	// obstacle is what the transfer waits for, for people.
	obstacle string
}

// run asks, as often as the order changes, until that is as wanted, and takes the
// request back.
func (t *transfer) run(ctx context.Context) error {
	defer t.withdraw(ctx)
	for {
		order, err := Contenders(ctx, t.inbox.s, t.inbox.latch)
		if err != nil {
			return t.stuck(ctx, err)
		}
		p, err := t.plan(order)
		if err != nil || len(p.watched) == 0 {
			return err
		}
		t.obstacle = p.obstacle
		changed, err := t.post(ctx, p.request)
		if err == nil {
			err = t.wait(ctx, changed, p.watched)
		}
		if err != nil {
			return t.stuck(ctx, err)
		}
	}
}

// stuck says what has not happened when that is why ctx has ended.
func (t *transfer) stuck(ctx context.Context, err error) error {
	if ctx.Err() == nil || t.obstacle == "" {
		return err
	}
	ended := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(cause, ended) {
		ended = fmt.Errorf("%w: %w", ended, cause)
	}
	return fmt.Errorf("%s: %w", t.obstacle, ended)
}

// plan is what to do about an order.
type plan struct {
	request request
	// watched are the nodes that the plan was made for; none when all is done.
	watched []string
	// obstacle is what is waited for first, for people.
	obstacle string
}

// plan says what to ask for.
func (t *transfer) plan(order []Contender) (plan, error) {
	if len(order) == 0 && t.from == "" {
		return plan{}, fmt.Errorf("nobody leads: %w", election.ErrNotContending)
	}
	if t.from == "" {
		t.from = order[0].Node
	}
	if t.to == "" {
		if len(order) == 0 || order[0].Node != t.from {
			return plan{}, nil
		}
		return t.ask(order[:1], Contender{})
	}
	switch i := slices.IndexFunc(order, func(c Contender) bool { return c.ID == t.to }); i {
	case -1:
		return plan{}, election.ErrNotContending
	case 0:
		return plan{}, nil
	default:
		return t.ask(order[:i], order[i])
	}
}

// ask returns the plan to have those ahead give way to the successor. The first of
// them leads.
func (t *transfer) ask(ahead []Contender, successor Contender) (plan, error) {
	for _, c := range ahead {
		if c.Foreign {
			return plan{}, fmt.Errorf("%q (%s): %w; close it where it runs", c.ID, c.Node, election.ErrForeign)
		}
	}
	last := ahead[len(ahead)-1]
	p := plan{
		request:  request{Version: requestVersion, From: path.Base(ahead[0].Node), By: t.by},
		watched:  []string{ahead[0].Node},
		obstacle: fmt.Sprintf("%q (%s) leads and has not given way", last.ID, last.Node),
	}
	if successor.Node != "" {
		p.request.To, p.request.ToID = path.Base(successor.Node), successor.ID
		p.watched = append(p.watched, successor.Node)
	}
	if len(ahead) > 1 {
		p.watched = append(p.watched, last.Node)
		p.obstacle = fmt.Sprintf("%q (%s) stands before it and has not queued again", last.ID, last.Node)
	}
	return p, nil
}

// post has the request be there, and returns a channel that is closed when it has
// changed. While somebody else's is there it leaves that alone, and the channel is
// closed when that has changed.
func (t *transfer) post(ctx context.Context, r request) (changed <-chan struct{}, err error) {
	data, err := r.encode()
	if err != nil {
		return nil, err
	}
	s, node := t.inbox.s, t.inbox.path()
	for {
		stat, exists, err := s.Exists(ctx, node)
		switch {
		case err != nil:
			return nil, err
		case !exists:
			err = s.Create(ctx, node, data, zookeeper.Ephemeral)
		default:
			var there request
			there, changed, err = t.inbox.read(ctx)
			switch {
			case err == nil && there == r:
				return changed, nil
			case err == nil && there == (request{}):
				continue
			case errors.Is(err, errUnreadable), err == nil && (there.By != t.by || stat.EphemeralOwner != s.ID()):
				t.obstacle = fmt.Sprintf("another transfer is under way, %s of session %#x", node, stat.EphemeralOwner)
				return changed, nil
			case err == nil:
				err = s.Multi(ctx, zookeeper.SetOp(node, data, stat.Version))
			}
		}
		if err != nil && !superseded(err) {
			return nil, err
		}
	}
}

// superseded says of the failure of a write that looking again tells what came of it.
func superseded(err error) bool {
	for _, reason := range []error{
		zookeeper.ErrNodeExists, zookeeper.ErrNoNode, zookeeper.ErrBadVersion, zookeeper.ErrUnknownOutcome,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// wait blocks until the request, or one of the nodes, has changed.
func (t *transfer) wait(ctx context.Context, changed <-chan struct{}, nodes []string) error {
	fired := make([]<-chan struct{}, 3) // a nil one never fires
	for i, node := range nodes {
		var err error
		_, _, fired[i], err = t.inbox.s.WatchData(ctx, node)
		switch {
		case errors.Is(err, zookeeper.ErrNoNode):
			return nil
		case err != nil:
			return err
		}
	}
	select {
	case <-changed:
	case <-fired[0]:
	case <-fired[1]:
	case <-fired[2]:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// withdraw takes the request back, and blocks until it is surely gone: it must not
// be heeded after Transfer has returned. Where others ask it changes nothing.
func (t *transfer) withdraw(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	s, node := t.inbox.s, t.inbox.path()
	for s.Err() == nil {
		// A write that was acknowledged comes after the request's, whatever became of it.
		err := s.Multi(ctx, zookeeper.CheckOp(t.inbox.latch, -1))
		if err == nil || errors.Is(err, zookeeper.ErrNoNode) {
			var r request
			r, _, err = t.inbox.read(ctx)
			if err == nil && r.By != t.by || errors.Is(err, errUnreadable) {
				return
			}
			if err == nil {
				err = s.Delete(ctx, node, -1)
			}
		}
		switch {
		case err == nil:
			return
		case !superseded(err) && s.Err() == nil:
			t.d.log.Warn("the request for a transfer cannot be deleted, it ends with the session", "node", node, "error", err)
			return
		}
	}
}
