package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
)

// processState is where a leader process is; doc.go has the diagram.
type processState int

const (
	processCreated processState = iota
	processRunning
	processStopped
)

// mayBecome says which changes of state exist. STOPPED is final.
func (s processState) mayBecome(next processState) bool {
	switch next {
	case processRunning:
		return s == processCreated
	case processStopped:
		return s != processStopped
	default:
		return false
	}
}

// leaderProcess is one term's work. One goroutine calls run; the others only
// ask for the dispatcher.
type leaderProcess struct {
	cfg  Config
	log  hclog.Logger
	term term

	mu      sync.Mutex
	state   processState
	serving gateway.Dispatcher // set once the gateway answers
}

func newLeaderProcess(cfg Config, log hclog.Logger, t term) *leaderProcess {
	return &leaderProcess{cfg: cfg, log: log, term: t}
}

// become changes the state, and reports whether this was a change that exists.
func (p *leaderProcess) become(next processState) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.state.mayBecome(next) {
		return false
	}
	p.state = next
	if next == processStopped {
		p.serving = nil
	}
	return true
}

// running looks at the term, stops the process when it is over, and reports
// whether the process is RUNNING. Each step asks before it begins. ctx is the
// term's, not one that ends for other reasons too.
func (p *leaderProcess) running(ctx context.Context) bool {
	if ctx.Err() != nil {
		p.become(processStopped)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == processRunning
}

// dispatcher returns the gateway while the process is RUNNING and serves.
func (p *leaderProcess) dispatcher() (gateway.Dispatcher, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.serving == nil {
		return nil, gateway.ErrNotLeader
	}
	return p.serving, nil
}

// serve makes the gateway available, if the process is still RUNNING.
func (p *leaderProcess) serve(d gateway.Dispatcher) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == processRunning {
		p.serving = d
	}
}

// run is the whole life of the process. It returns nil when ctx ended it.
func (p *leaderProcess) run(ctx context.Context, begun time.Time) error {
	defer p.become(processStopped)
	if ctx.Err() != nil || !p.become(processRunning) {
		return nil
	}
	since := p.cfg.Hooks.step(StepAwait, begun)
	p.term.SetPhase(leader.PhaseRecovering)
	token := Token{SessionID: p.term.SessionID(), Epoch: p.term.Epoch(), Guard: p.term.Guard()}

	rec, err := p.recover(ctx, token.Guard, since)
	if !p.running(ctx) {
		p.logStop(ctx, "recovering", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover the cluster in epoch %d: %w", token.Epoch, err)
	}
	since = time.Now()
	d, err := p.cfg.Dispatchers.NewDispatcher(token, rec)
	if err != nil {
		return fmt.Errorf("create the dispatcher of epoch %d: %w", token.Epoch, err)
	}
	return p.runDispatcher(ctx, d, begun, since)
}

// runDispatcher runs the dispatcher to its end and publishes it meanwhile. An end
// while RUNNING is an error, whatever the dispatcher says, but ErrJobDone its own; any
// other is expected.
func (p *leaderProcess) runDispatcher(ctx context.Context, d Service, begun, since time.Time) error {
	if p.cfg.Host != nil {
		leave, err := p.cfg.Host(leader.TermID{SessionID: p.term.SessionID(), Epoch: p.term.Epoch()}, d)
		if err != nil {
			return fmt.Errorf("host the dispatcher of epoch %d: %w", p.term.Epoch(), err)
		}
		defer leave()
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		switch err := d.Run(gctx); {
		case errors.Is(err, ErrJobDone):
			return err
		case err != nil:
			return fmt.Errorf("%w: %w", ErrDispatcherEnded, err)
		}
		return ErrDispatcherEnded
	})
	group.Go(func() error { return p.announce(gctx, d, begun, since) })
	err := group.Wait()
	if !p.running(ctx) {
		p.logStop(ctx, "serving", err)
		return nil
	}
	return err
}

// announce publishes the leader once the gateway answers. ctx ends with the term
// or with the dispatcher; which of them it was, runDispatcher decides.
func (p *leaderProcess) announce(ctx context.Context, d Service, begun, since time.Time) error {
	select {
	case <-d.Started():
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	since = p.cfg.Hooks.step(StepStart, since)
	p.serve(d)
	info := leader.Info{Address: p.cfg.Address, RPCAddress: p.cfg.RPCAddress}
	if err := p.term.Publish(ctx, info); err != nil {
		return err
	}
	p.cfg.Hooks.step(StepPublish, since)
	p.log.Info("ready", "took", time.Since(begun))
	return nil
}

// logStop says why the process stopped. What went wrong because the term ended
// is not worth a word.
func (p *leaderProcess) logStop(ctx context.Context, doing string, err error) {
	log := p.log.With("while", doing, "cause", context.Cause(ctx))
	if err != nil && !errors.Is(err, context.Cause(ctx)) && !errors.Is(err, context.Canceled) && !errors.Is(err, leader.ErrFenced) {
		log = log.With("error", err)
	}
	log.Info("leader process stopped")
}
