package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/retrieval"
)

// What the calls of a participant can end with, besides what their contracts in
// package ha name.
var (
	// ErrKilled: Kill was called on the participant. Its process is gone.
	ErrKilled = errors.New("participant was killed")
	// ErrRunning: Run was called while another Run of the participant is active.
	ErrRunning = errors.New("participant is already running")
	// ErrStandalone: somebody else takes part in a standalone backend, or this
	// participant contends already.
	ErrStandalone = errors.New("a standalone cluster has one participant that contends once; use ZooKeeper for more")
)

var (
	errExpired = fmt.Errorf("%w: the backend was out of reach for the session time-out", election.ErrSessionExpired)
	errClosed  = fmt.Errorf("%w: the participant was stopped", election.ErrSessionExpired)
)

// The states that Health reports.
const (
	stateConnecting = "connecting"
	stateConnected  = "connected"
	stateSuspended  = "suspended"
	stateClosed     = "closed"
)

// Participant is one process's access to the backend. Its methods may be called
// from any goroutine, those of ha.Services also before Run: what needs the backend
// waits for it. Backend.Participant makes one.
type Participant struct {
	backend *Backend
	id      string
	log     hclog.Logger
	// dead is closed by Kill.
	dead chan struct{}

	// All below is guarded by the backend's lock.

	running, stopped, connected, killed bool
	// outage counts how often the connection was lost or came back.
	outage int
	// contact is when the backend was last heard of, while it is not connected.
	contact time.Time
	// session is the newest session that the participant knows of; nil when it is
	// not running, or has not been connected since the last one ended.
	session *session
}

var _ ha.Services = (*Participant)(nil)

// Run keeps a session until ctx ends, then closes it and returns ctx's error. The
// first Run opens the backend's file, if it has one, and the last one closes it.
// Other errors: ErrRunning; ErrKilled; ErrStandalone when the backend is standalone
// and another participant is running; ErrInUse, or what else is wrong with the file,
// when it cannot be opened; txn.ErrUnknownOutcome when a write to it failed in a way
// that leaves open what it holds, so that going on with it is in vain.
func (p *Participant) Run(ctx context.Context) error {
	f, err := p.backend.enter(ctx)
	if err != nil {
		return fmt.Errorf("participant %q: %w", p.id, err)
	}
	return errors.Join(p.keep(ctx, f), p.backend.leave(ctx))
}

// keep keeps a session until ctx ends or the file, nil for memory, has failed.
func (p *Participant) keep(ctx context.Context, f *file) error {
	if err := p.start(); err != nil {
		return fmt.Errorf("participant %q: %w", p.id, err)
	}
	defer p.stop()
	p.log.Debug("participant started")
	defer p.log.Debug("participant stopped")
	select {
	case <-p.dead:
		return fmt.Errorf("participant %q: %w", p.id, ErrKilled)
	case <-f.broken():
		return fmt.Errorf("participant %q: %w", p.id, f.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Participant) start() error {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.killed:
		return ErrKilled
	case p.running:
		return ErrRunning
	case b.cfg.Standalone && b.sole != nil && b.sole != p && b.sole.running:
		return fmt.Errorf("%w (%q is running)", ErrStandalone, b.sole.id)
	}
	b.sole = p
	p.running, p.stopped = true, false
	b.open(p)
	b.broadcast()
	return nil
}

func (p *Participant) stop() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	p.running, p.stopped = false, true
	if p.connected {
		p.contact = time.Now()
	}
	if s := p.session; s != nil && !p.killed {
		if p.connected {
			b.end(s, errClosed)
		} else {
			// Out of reach: the session is left to expire.
			b.learn(p, errClosed)
		}
	}
	b.broadcast()
}

// Election returns the driver of the backend's one latch.
func (p *Participant) Election() election.Driver { return electionDriver{p} }

// Retrieval returns the driver that follows the published leaders.
func (p *Participant) Retrieval() retrieval.Driver { return retrievalDriver{p} }

// Store returns the guarded store.
func (p *Participant) Store() ha.Store { return store{p} }

// Health reports the state of the connection. It does not block.
func (p *Participant) Health() ha.Health {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	h := ha.Health{LastContact: p.contact}
	switch {
	case p.killed:
		h.State, h.Detail = stateClosed, "the participant was killed"
	case p.stopped:
		h.State, h.Detail = stateClosed, "the participant was stopped"
	case p.running && p.connected:
		h.State, h.Connected, h.LastContact = stateConnected, true, time.Now()
	case p.running && p.session != nil:
		h.State, h.Detail = stateSuspended, "the backend is out of reach"
	case p.running:
		h.State, h.Detail = stateConnecting, "the backend is out of reach"
	default:
		h.State, h.Detail = stateConnecting, "the participant has not been started"
	}
	return h
}

// reach calls do under the backend's lock as soon as the participant is
// connected, and returns what do returns. Errors of its own: ErrKilled, errStopped,
// or ctx's; do was not called then.
func (p *Participant) reach(ctx context.Context, do func() error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		changed, done, err := p.try(do)
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// until calls step under the backend's lock, at each change at which the participant
// is connected, until it says that it is done or fails. Other errors: as of reach.
func (p *Participant) until(ctx context.Context, step func() (done bool, err error)) error {
	for {
		var changed <-chan struct{}
		var done bool
		err := p.reach(ctx, func() (err error) {
			done, err = step()
			changed = p.backend.changed
			return err
		})
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// reachable reports whether the participant's process lives and is connected. It
// requires the lock.
func (p *Participant) reachable() bool { return p.connected && !p.killed }

// errStopped: the participant's Run has returned, and with it every session.
var errStopped = errors.New("participant was stopped")

// try is one attempt of reach. It returns what to wait for when it was in vain.
func (p *Participant) try(do func() error) (changed <-chan struct{}, done bool, err error) {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.killed:
		return nil, true, ErrKilled
	case p.stopped:
		return nil, true, errStopped
	case p.running && p.connected:
		return nil, true, do()
	default:
		return b.changed, false, nil
	}
}
