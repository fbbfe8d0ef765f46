package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/election"
	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/zookeeper"
)

const (
	// stopGrace is short, so that it fits the lease of short sessions.
	stopGrace = 50 * time.Millisecond
	// Settle is how long after its node was seen a contender gets to set its
	// watches, before the next hand-over is measured. A floor rests as long: what
	// comes right after other work finds processors awake and caches warm.
	Settle = 20 * time.Millisecond
	// atOnce is how many members start at a time.
	atOnce = 32
	// patience bounds each wait, so that a benchmark fails and does not hang.
	patience = time.Minute
)

// Member is one contender with a session of its own.
type Member struct {
	client  *zookeeper.Client
	elector *election.Elector
	grants  chan<- Grant
}

// Grant says that a member's Lead has been called.
type Grant struct {
	// Member leads.
	Member *Member
	// At is when Lead began.
	At time.Time
}

// NewMember returns a contender that tells grants of each term. Whoever calls Run
// has to receive them.
func (e Ensemble) NewMember(id string, grants chan<- Grant) (*Member, error) {
	client, err := e.Client()
	if err != nil {
		return nil, err
	}
	driver, err := electionzk.New(electionzk.Config{Client: client, Latch: e.Latch()})
	if err != nil {
		return nil, err
	}
	elector, err := election.New(election.Config{ID: id, Driver: driver, StopGrace: stopGrace})
	if err != nil {
		return nil, err
	}
	return &Member{client: client, elector: elector, grants: grants}, nil
}

// Run contends until ctx ends, and returns when everything of the member has ended.
func (m *Member) Run(ctx context.Context) error {
	return m.client.While(ctx, func(ctx context.Context) error {
		return m.elector.Run(ctx, election.ContenderFunc(m.lead))
	})
}

func (m *Member) lead(ctx context.Context, _ *election.Term) error {
	at := time.Now()
	select {
	case m.grants <- Grant{Member: m, At: at}:
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

// Crew is a number of members at one latch, of which one leads.
type Crew struct {
	observer *Bare
	latch    string
	size     int
	grants   chan Grant
	leader   *Member
}

// WithCrew starts n members, calls f once they all stand in line, and ends them. It
// blocks until all that it started has ended.
func WithCrew(ctx context.Context, e Ensemble, n int, f func(context.Context, *Crew) error) error {
	observer, err := e.Open(ctx)
	if err != nil {
		return err
	}
	defer observer.Close()
	c := &Crew{observer: observer, latch: e.Latch(), size: n, grants: make(chan Grant, 1)}
	all, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = c.enlist(ctx, e, all)
	if err == nil {
		_, err = c.Granted(ctx)
	}
	if err == nil {
		err = f(ctx, c)
	}
	cancel()
	if failed := all.Wait(); failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	return err
}

// enlist starts the members, some at a time.
func (c *Crew) enlist(ctx context.Context, e Ensemble, all *errgroup.Group) error {
	starting, startCtx := errgroup.WithContext(ctx)
	starting.SetLimit(atOnce)
	for i := range c.size {
		m, err := e.NewMember(fmt.Sprintf("member-%d", i), c.grants)
		if err != nil {
			return errors.Join(err, starting.Wait())
		}
		starting.Go(func() error {
			all.Go(func() error { return m.Run(ctx) })
			_, err := m.client.Session(startCtx)
			return err
		})
	}
	return starting.Wait()
}

// Granted blocks until the next member leads.
func (c *Crew) Granted(ctx context.Context) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case g := <-c.grants:
		c.leader = g.Member
		return g, nil
	case <-ctx.Done():
		return Grant{}, fmt.Errorf("nobody leads at %s: %w", c.latch, context.Cause(ctx))
	}
}

// Settled blocks until all members stand in line and watch those before them.
func (c *Crew) Settled(ctx context.Context) error { return c.Join(ctx, 0) }

// Join is Settled with as many others at the same latch.
func (c *Crew) Join(ctx context.Context, others int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.observer.AwaitChildren(ctx, c.latch, c.size+others); err != nil {
		return err
	}
	return Pause(ctx, Settle)
}

// Resign has the leader give leadership up and queue again, behind all others.
func (c *Crew) Resign() { c.leader.elector.Resign() }

// Timeout returns the session time-out that the servers decided.
func (c *Crew) Timeout(ctx context.Context) (time.Duration, error) {
	s, err := c.leader.client.Session(ctx)
	if err != nil {
		return 0, err
	}
	return s.Timeout(), nil
}

// Lowest returns the node of who leads.
func (c *Crew) Lowest() (string, error) { return c.observer.Lowest(c.latch) }

// HandOver has the leader resign, and returns how long it took from there until
// the Lead of the next one was called. Call Settled before.
func (c *Crew) HandOver(ctx context.Context) (time.Duration, error) {
	former, start := c.leader, time.Now()
	former.elector.Resign()
	g, err := c.Granted(ctx)
	if err != nil {
		return 0, err
	}
	if g.Member == former {
		return 0, fmt.Errorf("the leader at %s resigned and leads again: nobody stood in line", c.latch)
	}
	return g.At.Sub(start), nil
}
