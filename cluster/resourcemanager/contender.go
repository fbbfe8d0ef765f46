package resourcemanager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// ErrEnded: the manager ended by itself while its term was alive. The term ends with it.
var ErrEnded = errors.New("resource manager ended unexpectedly")

// Contender contends for the resource manager: each term that it is given gets a Manager
// of its own, one at a time.
type Contender struct {
	cfg Config
	log hclog.Logger

	// turn holds one value while a manager exists, so that the next one waits until the
	// former has ended, whoever calls Lead.
	turn chan struct{}

	mu      sync.Mutex
	serving *Manager // nil while none serves
}

var _ election.Contender = (*Contender)(nil)

// New returns a Contender that has started nothing, or an error that names what is wrong
// with cfg.
func New(cfg Config) (*Contender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Contender{cfg: cfg, log: cfg.Logger, turn: make(chan struct{}, 1)}, nil
}

// Lead implements election.Contender. It waits for the former manager to end, then reads
// the records of workers, serves and publishes until ctx ends, and returns nil when
// everything of the term has ended. It returns an error when the term cannot go on
// although leadership is held: records that cannot be read, or ErrEnded. After a panic of
// the manager that is marked by election.Fatal.
func (c *Contender) Lead(ctx context.Context, t *election.Term) error { return c.lead(ctx, t) }

func (c *Contender) lead(ctx context.Context, t electedTerm) error {
	begun := time.Now()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil
	}
	t.SetPhase(leader.PhaseRecovering)
	id := leader.TermID{SessionID: t.SessionID(), Epoch: t.Epoch()}
	m, err := NewManager(c.cfg, Term{ID: id, Guard: t.Guard()})
	if err != nil {
		return err
	}
	if c.cfg.Host != nil {
		leave, err := c.cfg.Host(id, m)
		if err != nil {
			return fmt.Errorf("host the resource manager of epoch %d: %w", id.Epoch, err)
		}
		defer leave()
	}
	defer c.serve(nil)
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := m.Run(gctx); err != nil {
			return fmt.Errorf("%w: %w", ErrEnded, err)
		}
		return ErrEnded
	})
	group.Go(func() error { return c.announce(gctx, t, m, begun) })
	err = group.Wait()
	if _, panicked := errors.AsType[*rpc.PanicError](err); panicked {
		return election.Fatal(err)
	}
	if ctx.Err() != nil {
		c.log.Info("resource manager stopped", "epoch", t.Epoch(), "cause", context.Cause(ctx))
		return nil
	}
	return err
}

// announce publishes the manager once it serves.
func (c *Contender) announce(ctx context.Context, t electedTerm, m *Manager, begun time.Time) error {
	select {
	case <-m.Started():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.serve(m)
	if err := t.Publish(ctx, leader.Info{Address: c.cfg.Address, RPCAddress: c.cfg.RPCAddress}); err != nil {
		return err
	}
	c.log.Info("resource manager ready", "epoch", t.Epoch(), "took", time.Since(begun))
	return nil
}

func (c *Contender) serve(m *Manager) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = m
}

// Manager returns the manager of the current term, or gateway.ErrNotLeader while there
// is none: this participant does not lead, or has not read the records yet. It may be
// called at any time and does not block. Calls on a manager whose term has ended fail
// with gateway.ErrNotLeader.
func (c *Contender) Manager() (*Manager, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving == nil {
		return nil, gateway.ErrNotLeader
	}
	return c.serving, nil
}
