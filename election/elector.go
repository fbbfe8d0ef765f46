package election

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
)

// Elector contends for leadership on behalf of one participant. Its methods may
// be called from any goroutine.
type Elector struct {
	cfg   Config
	log   hclog.Logger
	board *board
	// newest is the largest epoch that was granted. It belongs to the Run or Campaign
	// that is active.
	newest leader.Epoch
}

// New returns an Elector that does nothing until Run or Campaign. Its error names the
// field of the configuration that cannot be used.
func New(cfg Config) (*Elector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Elector{cfg: cfg, log: cfg.Logger.With("participant", cfg.ID), board: newBoard()}, nil
}

// Run contends, calls c.Lead for each term that is granted, and contends again,
// until ctx ends. Then it ends the term, waits for Lead, releases leadership and
// returns ctx's error. Nothing that it started is running when it returns, except
// with ErrStopGrace.
//
// Other errors: ErrRunning when another Run or Campaign is active; ErrStopGrace,
// wrapped with the cause of the term's end, when Lead did not return within the stop
// grace, and from then on always; the error of a Lead that was marked by Fatal; or an
// error that says why contending cannot succeed.
func (e *Elector) Run(ctx context.Context, c Contender) error {
	if err := e.board.start(); err != nil {
		return err
	}
	defer e.board.stop()
	failures := 0
	for {
		o, err := e.serve(ctx, c)
		if err != nil {
			return err
		}
		v := judge(o, failures, e.cfg.Backoff)
		if v.fatal != nil {
			return v.fatal
		}
		failures = v.failures
		if err := e.rest(ctx, v); err != nil {
			return err
		}
	}
}

// Campaign contends for one term, calls c.Lead for it, releases leadership, and
// returns how the term went. It blocks until then. It neither logs an error of Lead
// nor pauses after it: whoever calls Campaign in a loop decides on both. As with Run,
// nothing that it started is running when it returns, except with ErrStopGrace.
//
// It returns what Lead returned, also nil, when Lead ended the term by returning. When
// the term ended before, it returns an error that wraps the cause (ErrSessionExpired,
// ErrLeaseExpired, ErrDisconnected, ErrNodeDeleted, or ErrResigned after Resign or
// Transfer); when ctx ended, before the term or in it, ctx's error. In both cases it
// also wraps what Lead returned, if that does more than repeat that the term ended.
//
// Other errors: ErrRunning, ErrStopGrace, and why contending cannot succeed, as of Run.
func (e *Elector) Campaign(ctx context.Context, c Contender) error {
	if err := e.board.start(); err != nil {
		return err
	}
	defer e.board.stop()
	o, err := e.serve(ctx, c)
	if err != nil {
		return err
	}
	if err := report(o, ctx.Err()); err != nil {
		return fmt.Errorf("lead as %q in epoch %d: %w", e.cfg.ID, e.newest, err)
	}
	return nil
}

// serve sees one term through, from contending to the release.
func (e *Elector) serve(ctx context.Context, c Contender) (outcome, error) {
	tenure, err := e.contend(ctx)
	if err != nil {
		return outcome{}, err
	}
	o := e.lead(ctx, tenure, c)
	if o.overrun {
		e.board.spend()
		return outcome{}, fmt.Errorf("%w of %s, the term having ended: %w", ErrStopGrace, e.cfg.StopGrace, o.cause)
	}
	e.release(ctx, tenure)
	return o, nil
}

// Resign ends the term that is going on, after which Run contends again, behind the
// others that wait, and Campaign returns. It does not wait for Lead to return, and
// does nothing when there is no term.
func (e *Elector) Resign() {
	if g := e.board.grant(); g != nil {
		g.end(ErrResigned)
	}
}

// Participants returns who contends, in order: the first leads, or will as soon as
// it has had that confirmed. It blocks while the backend is away; its error is
// ctx's, or one that names what cannot be read.
func (e *Elector) Participants(ctx context.Context) ([]Participant, error) {
	return e.cfg.Driver.Participants(ctx)
}

// Transfer has the leader, whichever participant that is, give leadership up in
// favour of the one with the given ID, and blocks until that is first. Participants
// between them queue again, behind it; so does the leader. It does nothing when the
// participant is first already. With an empty ID whoever is next leads, or the
// leader again when there is nobody else. Anybody may call it, in a term or not, also
// before Run.
//
// A Lead may transfer its own leadership, with its own context: that ends when the
// successor is next, Transfer returns, and Lead must too. With another context it
// would wait for the end of the Lead that waits for it, until the stop grace is over.
//
// Errors: ErrNotContending when nobody contends under that ID, or does not any more;
// ErrForeign when a contender of another implementation would have to give way; ctx's
// error or cause, wrapped with what is still missing. Then nothing more will happen on
// its behalf, but a leader that was told to give way does so.
func (e *Elector) Transfer(ctx context.Context, to string) error {
	return e.cfg.Driver.Transfer(ctx, to)
}

// Status returns this participant's view of its leadership. It does not block.
func (e *Elector) Status() Status { return e.board.status() }

// Changed returns a channel that is closed when Status changes the next time. To
// miss nothing, call it before Status.
func (e *Elector) Changed() <-chan struct{} { return e.board.next() }

// contend waits for leadership.
func (e *Elector) contend(ctx context.Context) (Tenure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.log.Debug("contending")
	tenure, err := e.cfg.Driver.Campaign(ctx, Candidate{ID: e.cfg.ID, StopGrace: e.cfg.StopGrace})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("contend as %q: %w", e.cfg.ID, err)
	}
	epoch := tenure.Guard().Epoch()
	if epoch <= e.newest {
		e.release(ctx, tenure)
		return nil, fmt.Errorf("contend as %q: granted epoch %d after epoch %d: the backend's data went back in time; raise its epoch floor above %d",
			e.cfg.ID, epoch, e.newest, e.newest)
	}
	e.newest = epoch
	return tenure, nil
}

// lead has c lead for the tenure, and returns when it did or overran its grace.
func (e *Elector) lead(ctx context.Context, tenure Tenure, c Contender) outcome {
	began := time.Now()
	leadCtx, g := e.newGrant(ctx, tenure)
	defer g.cancel(nil)
	if ctx.Err() != nil {
		return outcome{cause: ErrResigned}
	}
	if g.ended() {
		return outcome{cause: g.reason()}
	}
	log := e.log.With("epoch", int64(g.guard.Epoch()), "session_id", string(g.session))
	log.Info("elected")
	e.board.show(g, e.cfg.Component)
	defer e.board.show(nil, "")

	returned := make(chan error, 1)
	go e.term(leadCtx, g, c, returned)
	select {
	case <-tenure.Lost():
		g.end(g.reason())
	case <-ctx.Done():
		g.end(ErrResigned)
	case <-leadCtx.Done():
	}
	o := outcome{lasted: time.Since(began), cause: context.Cause(leadCtx)}
	log.Info("term ended", "cause", o.cause)

	grace := time.NewTimer(e.cfg.StopGrace)
	defer grace.Stop()
	select {
	case o.err = <-returned:
	case <-grace.C:
		// After a pause of the process both may have happened.
		select {
		case o.err = <-returned:
		default:
			o.overrun = true
		}
	}
	o.ready = e.board.becameReady(g)
	return o
}

// term is the goroutine of a term: it calls the contender, and reports when
// nothing of the term is going on any more.
func (e *Elector) term(ctx context.Context, g *grant, c Contender, returned chan<- error) {
	if f := e.cfg.Hooks.OnElected; f != nil {
		f(e.board.status())
	}
	err := c.Lead(ctx, &Term{grant: g, component: e.cfg.Component})
	if g.ended() {
		g.end(g.reason())
	} else {
		g.end(errReturned)
	}
	g.close()
	if f := e.cfg.Hooks.OnLost; f != nil {
		f(context.Cause(ctx))
	}
	returned <- err
}

// release gives leadership up, also when ctx has ended.
func (e *Elector) release(ctx context.Context, tenure Tenure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.ReleaseTimeout)
	defer cancel()
	if err := tenure.Release(ctx); err != nil {
		e.log.Warn("leadership was not released, it ends with the session", "epoch", int64(tenure.Guard().Epoch()), "error", err)
	}
}

// rest pauses after a term as the verdict says, and returns ctx's error when that
// ends first.
func (e *Elector) rest(ctx context.Context, v verdict) error {
	var pause time.Duration
	switch {
	case v.rests > 0:
		pause = e.cfg.Backoff.pause(v.rests, rand.Float64())
	case v.yields:
		pause = standBack
	}
	if v.failure != nil {
		e.log.Error("Lead failed", "error", v.failure, "failures", v.failures, "pause", pause)
	}
	if pause == 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
