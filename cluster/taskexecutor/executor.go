package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/job"
)

var _ gateway.TaskExecutor = (*Executor)(nil)

const (
	defaultTermGrace  = 5 * time.Second
	defaultOutputTail = 4 << 10
)

// Config configures an Executor.
type Config struct {
	// ID names the executor in slots and logs. It must not be empty.
	ID string
	// Slots is how many attempts run at once. It must be at least 1.
	Slots int
	// Logger is the sink of log lines; nil discards them.
	Logger hclog.Logger
	// TermGrace is the time between TERM and KILL; zero means 5 s.
	TermGrace time.Duration
	// OutputTail is how many bytes of an attempt's stdout and stderr together are
	// kept, the last ones; zero means 4 KiB.
	OutputTail int
	// Dir is the working folder of commands that name none, and the base of
	// relative ones; empty means the process's own.
	Dir string
}

func (c *Config) validate() error {
	switch {
	case c.ID == "":
		return errors.New("task executor: ID is empty; give the worker a name")
	case c.Slots < 1:
		return fmt.Errorf("task executor %s: Slots is %d; a worker needs at least 1", c.ID, c.Slots)
	case c.TermGrace < 0 || c.OutputTail < 0:
		return fmt.Errorf("task executor %s: TermGrace and OutputTail must not be negative", c.ID)
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.TermGrace == 0 {
		c.TermGrace = defaultTermGrace
	}
	if c.OutputTail == 0 {
		c.OutputTail = defaultOutputTail
	}
	return nil
}

// Executor runs attempts. Its methods may be called by any goroutine, at any
// time: before Run they wait for it, after Run they fail with ErrStopped.
type Executor struct {
	cfg     Config
	log     hclog.Logger
	ran     atomic.Bool
	started chan struct{}
	// calls carries every access to the slots to Run's goroutine, which owns them.
	calls    chan func(*slots)
	done     chan struct{}
	spawner  *process.Spawner
	attempts sync.WaitGroup
}

// New returns an executor that Run brings to life. It fails when the
// configuration is invalid, and says which field is.
func New(cfg Config) (*Executor, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Executor{
		cfg:     cfg,
		log:     cfg.Logger.With("component", "task_executor", "worker", cfg.ID),
		started: make(chan struct{}),
		calls:   make(chan func(*slots)),
		done:    make(chan struct{}),
		spawner: process.NewSpawner(),
	}, nil
}

// Run serves until ctx ends. From then on deployments and slot requests are
// refused, running attempts get TERM, and KILL after the grace; Run returns ctx's
// error when all of them have ended and were reported. It may be called once.
func (e *Executor) Run(ctx context.Context) error {
	if !e.ran.CompareAndSwap(false, true) {
		return fmt.Errorf("task executor %s: Run was called twice", e.cfg.ID)
	}
	close(e.started)
	var spawning sync.WaitGroup
	spawning.Go(e.spawner.Run)

	s := newSlots(e.cfg.ID, e.cfg.Slots)
	end := ctx.Done()
	for !s.stopped || s.running() > 0 {
		select {
		case call := <-e.calls:
			call(s)
		case <-end:
			end = nil
			s.stop()
		}
	}
	close(e.done)
	e.attempts.Wait()
	e.spawner.Stop()
	spawning.Wait()
	return ctx.Err()
}

// RequestSlot implements gateway.TaskExecutor.
func (e *Executor) RequestSlot(ctx context.Context, id job.ID) (gateway.Slot, error) {
	w := &waiter{job: id, grant: make(chan gateway.Slot, 1)}
	if err := e.ask(ctx, func(s *slots) { s.request(w) }); err != nil {
		return "", fmt.Errorf("request a slot for job %s at worker %s: %w", id, e.cfg.ID, err)
	}
	select {
	case slot, ok := <-w.grant:
		if !ok {
			return "", fmt.Errorf("request a slot for job %s at worker %s: %w", id, e.cfg.ID, gateway.ErrStopped)
		}
		return slot, nil
	case <-ctx.Done():
		e.tell(func(s *slots) { s.withdraw(w) })
		return "", fmt.Errorf("request a slot for job %s at worker %s: %w", id, e.cfg.ID, ctx.Err())
	}
}

// FreeSlot implements gateway.TaskExecutor. A slot in which an attempt still
// runs is given to others when the attempt has ended.
func (e *Executor) FreeSlot(slot gateway.Slot) {
	select {
	case <-e.started:
		e.tell(func(s *slots) { s.free(slot) })
	default: // nothing can be allocated yet
	}
}

// Deploy implements gateway.TaskExecutor.
func (e *Executor) Deploy(ctx context.Context, slot gateway.Slot, d gateway.Deployment, master gateway.JobMaster) error {
	a := newAttempt(d, e.log)
	reply := make(chan error, 1)
	err := e.ask(ctx, func(s *slots) {
		err := s.deploy(slot, a)
		if err == nil {
			e.attempts.Go(func() { e.attend(a, master) })
		}
		reply <- err
	})
	if err == nil {
		err = <-reply
	}
	if err != nil {
		return fmt.Errorf("deploy %s at worker %s: %w", label(d.Attempt), e.cfg.ID, err)
	}
	return nil
}

// CancelAttempt implements gateway.TaskExecutor. An executor that has stopped has
// no attempts, so there it does nothing either.
func (e *Executor) CancelAttempt(ctx context.Context, id gateway.AttemptID) error {
	err := e.ask(ctx, func(s *slots) { s.cancel(id) })
	if err != nil && !errors.Is(err, gateway.ErrStopped) {
		return fmt.Errorf("cancel %s at worker %s: %w", label(id), e.cfg.ID, err)
	}
	return nil
}

// attend sees one attempt through: from its start to the report of its end.
func (e *Executor) attend(a *attempt, master gateway.JobMaster) {
	end := a.run(e.spawner, e.cfg)
	a.log.Debug("attempt ended", "outcome", end.Outcome, "reason", end.Reason)
	// The slot is empty before the master hears of the end: it may deploy into it.
	e.tell(func(s *slots) { s.ended(a) })
	master.AttemptEnded(end)
}

// ask has Run's goroutine make the call. It returns nil when the call is certain
// to be made.
func (e *Executor) ask(ctx context.Context, call func(*slots)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case e.calls <- call:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.done:
		return gateway.ErrStopped
	}
}

// tell is ask for calls that nobody may give up, and that mean nothing to an
// executor that has stopped.
func (e *Executor) tell(call func(*slots)) {
	select {
	case e.calls <- call:
	case <-e.done:
	}
}

// label names an attempt in errors.
func label(id gateway.AttemptID) string {
	return fmt.Sprintf("attempt %d of job %s, task %s, subtask %d", id.N, id.Job, id.Task, id.Subtask)
}
