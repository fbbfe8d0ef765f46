package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// RetrieverConfig says how a Retriever connects.
type RetrieverConfig[G any] struct {
	// Dial connects. Required.
	Dial Dial[G]
	// Attempts is how often connecting to a leader is tried before those that wait get
	// the error. Zero: 6.
	Attempts int
	// Timeout bounds each attempt. Zero: 3 s.
	Timeout time.Duration
	// Delay is waited between two. Zero: 100 ms.
	Delay time.Duration
	// Logger is told of attempts that failed. Nil: no logs.
	Logger hclog.Logger
}

// Retriever has the gateway of whoever leads, for callers that need not register. Its
// methods may be called from any goroutine.
type Retriever[G any] struct {
	cfg RetrieverConfig[G]

	mu      sync.Mutex
	target  Target
	there   bool // gateway is that of target
	gateway G
	hangUp  func()
	failed  error         // of the newest round of attempts at target
	rounds  int           // that have failed, of all targets
	wanted  bool          // somebody has asked since failed was set
	changed chan struct{} // closed and made anew at each change of the above
	cancel  context.CancelFunc
}

// NewRetriever returns a retriever without a target.
func NewRetriever[G any](cfg RetrieverConfig[G]) (*Retriever[G], error) {
	if cfg.Dial == nil {
		return nil, errors.New("rpc: a retriever needs Dial")
	}
	if cfg.Attempts < 0 || cfg.Timeout < 0 || cfg.Delay < 0 {
		return nil, errors.New("rpc: a number of RetrieverConfig is negative")
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 6
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	if cfg.Delay == 0 {
		cfg.Delay = 100 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	return &Retriever[G]{cfg: cfg, hangUp: func() {}, changed: make(chan struct{}), cancel: func() {}}, nil
}

// SetTarget follows another leader, none when t is zero. What waits in Gateway then
// waits for that one. The same target changes nothing.
func (r *Retriever[G]) SetTarget(t Target) {
	r.mu.Lock()
	if t == r.target {
		r.mu.Unlock()
		return
	}
	hangUp := r.drop()
	r.target, r.failed = t, nil
	r.notify()
	r.mu.Unlock()
	hangUp()
}

// drop forgets the gateway and returns how to hang up. Call it with mu held.
func (r *Retriever[G]) drop() (hangUp func()) {
	var none G
	hangUp, r.hangUp = r.hangUp, func() {}
	r.gateway, r.there = none, false
	r.cancel()
	return hangUp
}

// notify wakes who waits for a change. Call it with mu held.
func (r *Retriever[G]) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Current returns the gateway of the leader, without waiting. It reports false when
// none is known or connected; a leader that was given up is then tried again.
func (r *Retriever[G]) Current() (G, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		r.want()
	}
	return r.gateway, r.there
}

// want has a leader that was given up tried once more. Call it with mu held.
func (r *Retriever[G]) want() {
	if !r.wanted {
		r.wanted = true
		r.notify()
	}
}

// Gateway returns the gateway of the leader. It waits until one is known and connected.
// A leader that cannot be connected to is tried as often as Attempts says, and then its
// error is returned; who calls again has it tried again. Errors: that one; ErrNoTarget
// with ctx's, when none was known until ctx ended; ctx's.
func (r *Retriever[G]) Gateway(ctx context.Context) (G, error) {
	r.mu.Lock()
	rounds := r.rounds
	for {
		gateway, there, failed, target, changed := r.gateway, r.there, r.failed, r.target, r.changed
		over := failed != nil && r.rounds != rounds
		if failed != nil && !over {
			r.want()
			changed = r.changed
		}
		r.mu.Unlock()
		switch {
		case there:
			return gateway, nil
		case over:
			return gateway, failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if target == (Target{}) {
				return gateway, fmt.Errorf("wait for the leader: %w: %w", ErrNoTarget, ctx.Err())
			}
			return gateway, fmt.Errorf("connect to %v: %w", target, ctx.Err())
		}
		r.mu.Lock()
	}
}

// Run connects to the targets, until ctx ends. It returns ctx's error, and has hung up
// then.
func (r *Retriever[G]) Run(ctx context.Context) error {
	defer func() {
		r.mu.Lock()
		hangUp := r.drop()
		r.notify()
		r.mu.Unlock()
		hangUp()
	}()
	for ctx.Err() == nil {
		r.mu.Lock()
		target, changed := r.target, r.changed
		due := target != (Target{}) && !r.there && (r.failed == nil || r.wanted)
		attempt, cancel := context.WithCancel(ctx)
		if due {
			r.wanted, r.failed = false, nil
			r.cancel = cancel
		}
		r.mu.Unlock()
		if due {
			r.connect(attempt, target)
		} else {
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		cancel()
	}
	return ctx.Err()
}

// connect tries one round. ctx ends when another target is set.
func (r *Retriever[G]) connect(ctx context.Context, t Target) {
	var err error
	for n := range r.cfg.Attempts {
		if n > 0 && pause(ctx, r.cfg.Delay) != nil {
			return
		}
		var gateway G
		var hangUp func()
		if gateway, hangUp, err = r.dial(ctx, t); err == nil {
			r.connected(ctx, gateway, hangUp)
			return
		}
		if ctx.Err() != nil {
			return
		}
		r.cfg.Logger.Debug("connecting to the leader failed", "target", t.String(), "attempt", n+1, "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil {
		r.failed = fmt.Errorf("connect, %d times: %w", r.cfg.Attempts, err)
		r.rounds++
		r.notify()
	}
}

func (r *Retriever[G]) dial(ctx context.Context, t Target) (G, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	return r.cfg.Dial(ctx, t)
}

// connected takes a gateway, unless ctx has ended: SetTarget ends it with mu held.
func (r *Retriever[G]) connected(ctx context.Context, gateway G, hangUp func()) {
	r.mu.Lock()
	taken := ctx.Err() == nil
	if taken {
		r.gateway, r.hangUp, r.there = gateway, hangUp, true
		r.notify()
	}
	r.mu.Unlock()
	if !taken {
		hangUp()
	}
}
