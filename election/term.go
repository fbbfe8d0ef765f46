package election

import (
	"context"
	"fmt"
	"time"

	"github.com/coordd/coordd/leader"
)

// Term is one component's part of one term: what Lead acts with. Its methods may
// be called from any goroutine; those that report are valid for ever, those that
// act fail or do nothing once the term has ended.
type Term struct {
	grant     *grant
	component string
}

// Component returns what is led.
func (t *Term) Component() string { return t.component }

// SessionID returns the term's fresh random name, which all components share.
func (t *Term) SessionID() leader.SessionID { return t.grant.session }

// Epoch returns the term's number, larger than that of every term before.
func (t *Term) Epoch() leader.Epoch { return t.grant.guard.Epoch() }

// Guard returns the proof of leadership that the term's writes carry.
func (t *Term) Guard() leader.Guard { return t.grant.guard }

// Since returns when the term began, by this process' clock.
func (t *Term) Since() time.Time { return t.grant.since }

// SetPhase tells Elector.Status how far the component has come. A contender that
// publishes need not set leader.PhaseReady, Publish does; one that does not
// publish may. It does not block, and after the term's end it does nothing.
func (t *Term) SetPhase(p leader.Phase) { t.grant.board.set(t.grant, t.component, p) }

// Publish announces that the component serves, and sets leader.PhaseReady. Of
// info only Address and RPCAddress are used; the term fills in the rest. It
// blocks until the backend has confirmed that the info is visible, trying again
// as often as it takes. It may be called again, to announce another address.
//
// Errors: one that wraps leader.ErrFenced and the cause when the term has ended,
// also when that happened on the way, and then release removes what may have
// been written; ctx's error, after which Publish may be tried again; or a lasting
// fault of the backend.
func (t *Term) Publish(ctx context.Context, info leader.Info) error {
	g := t.grant
	info = leader.Info{
		Component: t.component, ID: g.id, Address: info.Address, RPCAddress: info.RPCAddress,
		SessionID: g.session, Epoch: g.guard.Epoch(), Since: g.since, Phase: leader.PhaseReady,
	}
	if err := g.publish(ctx, info); err != nil {
		return fmt.Errorf("publish %s: %w", t.component, err)
	}
	if g.onPublished != nil {
		g.onPublished(info)
	}
	return nil
}

// split returns terms for the given components instead of t's own.
func (t *Term) split(components []string) []*Term {
	t.grant.board.split(t.grant, t.component, components)
	terms := make([]*Term, len(components))
	for i, name := range components {
		terms[i] = &Term{grant: t.grant, component: name}
	}
	return terms
}

// grant is what the Terms of all components of one term share.
type grant struct {
	tenure      Tenure
	id          string
	session     leader.SessionID
	guard       leader.Guard
	since       time.Time
	onPublished func(leader.Info)
	board       *board
	// ready is guarded by the board's lock.
	ready bool

	// The term's context, in parts. cancel ends it; the first cause counts.
	cancel   context.CancelCauseFunc
	done     <-chan struct{}
	cause    func() error
	afterEnd func(func()) (stop func() bool)

	// turn is held by whoever publishes, and for ever by close.
	turn chan struct{}
}

// newGrant returns the shared part of a term that begins now, and the context for
// Lead. It carries ctx's values but does not end with it: the end of Run's context
// must have ErrResigned as its cause.
func (e *Elector) newGrant(ctx context.Context, tenure Tenure) (context.Context, *grant) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return ctx, &grant{
		tenure: tenure, id: e.cfg.ID, session: leader.NewSessionID(), guard: tenure.Guard(),
		since:       time.Now().UTC().Round(0),
		onPublished: e.cfg.Hooks.OnPublished, board: e.board,
		cancel: cancel, done: ctx.Done(),
		cause:    func() error { return context.Cause(ctx) },
		afterEnd: func(f func()) func() bool { return context.AfterFunc(ctx, f) },
		turn:     make(chan struct{}, 1),
	}
}

// end ends the term's context with the cause, unless it has ended before.
func (g *grant) end(cause error) {
	g.cancel(cause)
	g.board.announce()
}

// close waits for a Publish that is under way, and lets no other begin. The
// term's context must have ended.
func (g *grant) close() { g.turn <- struct{}{} }

// ended says whether the term is over, also before its context says so.
func (g *grant) ended() bool {
	select {
	case <-g.done:
		return true
	case <-g.tenure.Lost():
		return true
	default:
		return false
	}
}

// reason returns why the term ended; call it only when it did.
func (g *grant) reason() error {
	if cause := g.cause(); cause != nil {
		return cause
	}
	if err := g.tenure.Err(); err != nil {
		return err
	}
	return ErrLeaseExpired
}

func (g *grant) publish(ctx context.Context, info leader.Info) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unhook := g.afterEnd(cancel)
	defer unhook()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return g.fenced(ctx.Err())
	}
	if g.ended() {
		return g.fenced(nil)
	}
	if err := g.tenure.Publish(ctx, info); err != nil {
		return g.fenced(err)
	}
	if !g.board.set(g, info.Component, leader.PhaseReady) {
		return g.fenced(nil)
	}
	return nil
}

// fenced returns err, or an error that says why the term ended when it has.
func (g *grant) fenced(err error) error {
	if err != nil && !g.ended() {
		return err
	}
	return fmt.Errorf("%w: %w", leader.ErrFenced, g.reason())
}
