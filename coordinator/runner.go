package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
)

// ErrDispatcherEnded: the dispatcher ended by itself while its term was alive.
// The term ends with it.
var ErrDispatcherEnded = errors.New("dispatcher ended unexpectedly")

// Runner is the contender of the coordinator: each term that it is given gets a
// leader process of its own, one at a time.
type Runner struct {
	cfg Config
	log hclog.Logger

	// turn holds one value while a leader process exists, so that the next one
	// waits until the former has ended, whoever calls Lead.
	turn chan struct{}

	mu      sync.Mutex
	current *leaderProcess // the process that holds turn, nil without
}

var _ election.Contender = (*Runner)(nil)

// New returns a Runner that has started nothing, or an error that names what is
// wrong with cfg.
func New(cfg Config) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Reads == 0 {
		cfg.Reads = defaultReads
	}
	cfg.Logger = orNull(cfg.Logger)
	return &Runner{cfg: cfg, log: cfg.Logger, turn: make(chan struct{}, 1)}, nil
}

// Lead implements election.Contender. It waits for the former leader process to
// end, then recovers, serves and publishes until ctx ends, and returns nil when
// everything of the term has ended. It returns an error when the term cannot go
// on although leadership is held: a store that cannot be read, a dispatcher that
// cannot be made, or ErrDispatcherEnded; and ErrJobDone when it need not.
func (r *Runner) Lead(ctx context.Context, t *election.Term) error { return r.lead(ctx, t) }

func (r *Runner) lead(ctx context.Context, t term) error {
	begun := time.Now()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil
	}
	p := newLeaderProcess(r.cfg, r.log.With("epoch", t.Epoch()), t)
	r.set(p)
	defer r.set(nil)
	return p.run(ctx, begun)
}

func (r *Runner) set(p *leaderProcess) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = p
}

// Dispatcher returns the gateway of the current term, or gateway.ErrNotLeader
// while there is none: this participant does not lead, or has not recovered yet.
// It may be called at any time and does not block. Calls on a gateway whose term
// has ended fail with gateway.ErrNotLeader.
func (r *Runner) Dispatcher() (gateway.Dispatcher, error) {
	r.mu.Lock()
	p := r.current
	r.mu.Unlock()
	if p == nil {
		return nil, gateway.ErrNotLeader
	}
	return p.dispatcher()
}
