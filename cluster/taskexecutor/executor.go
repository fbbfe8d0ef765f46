package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/rpc"
)

// Executor is a worker. The methods of gateway.TaskExecutor may be called by any
// goroutine, at any time: before Run, and after one that could not begin, they fail with
// rpc.ErrNotStarted, after Run with ErrStopped.
type Executor struct {
	cfg  Config
	self gateway.Worker
	log  hclog.Logger
	ran  atomic.Bool
	// retired says that the worker shall drain, from its start if need be.
	retired atomic.Bool
	// spawner starts commands, folders is where they are; Run makes both work.
	spawner *process.Spawner
	folders *folders
	// managers and masters say how long registrations take.
	managers, masters rpc.Pace

	endpoint *rpc.Endpoint
	// state is the endpoint's, and so is what is below.
	state *state
	// armed is when tick is scheduled, zero for never, and disarm cancels that.
	armed  time.Time
	disarm func()
	// over is closed when the state is over.
	over   chan struct{}
	closed bool
}

// New returns an executor that Run brings to life. It fails when the configuration is
// invalid, and says which field is.
func New(cfg Config) (*Executor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	e := &Executor{
		cfg:     cfg,
		self:    gateway.Worker{ID: cfg.ID, Instance: uuid.NewString(), Address: cfg.Address},
		log:     cfg.Logger.With("component", "task_executor", "worker", cfg.ID),
		spawner: process.NewSpawner(),
		disarm:  func() {},
		over:    make(chan struct{}),
	}
	var err error
	e.endpoint, err = rpc.NewEndpoint(rpc.EndpointConfig{
		Name: "task_executor", OnStart: e.start, OnStop: e.stop, AfterCalls: e.settle, Checked: cfg.checked,
	})
	if err != nil {
		return nil, err
	}
	peers, err := rpc.NewHeartbeatReceiver(e.endpoint, func(l *link) { l.conn.Reconnect(rpc.ErrHeartbeatTimeout) })
	if err != nil {
		return nil, err
	}
	e.state = newState(cfg, e.self, peers, e.log)
	e.state.world = world{follow: e.masterConnection, remove: e.remove}
	e.state.manager.link.conn, err = e.managerConnection()
	return e, err
}

// Worker returns the name under which the executor registers. No two executors have
// the same instance.
func (e *Executor) Worker() gateway.Worker { return e.self }

// Retire drains the worker as Drain does, at the wish of its own process: it takes
// nothing new, and when it is empty Run returns nil. It does not block, and may be
// called at any time.
func (e *Executor) Retire() {
	e.retired.Store(true)
	e.tell((*state).drain) // before Run, its start sees to it
}

// Run works until ctx ends, and returns its error, or until the worker is drained, and
// returns nil. Then calls that ask for something new are refused; running attempts get
// TERM, and KILL after the grace; what masters that are there have not settled is
// reported for 3 s more; and everybody is told that the worker goes. Other errors:
// gateway.ErrRejected when the resource manager never accepts this worker;
// ErrUnregistered; ErrFolderInUse; that DataDir cannot be used; or an *rpc.PanicError.
// It may be called once. It waits for functions, however they take their context's end.
func (e *Executor) Run(ctx context.Context) error {
	if !e.ran.CompareAndSwap(false, true) {
		return fmt.Errorf("task executor %s: Run was called twice", e.cfg.ID)
	}
	err := e.run(ctx)
	if err != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("task executor %s: %w", e.cfg.ID, err)
	}
	return err
}

func (e *Executor) run(ctx context.Context) error {
	f, left, err := openFolders(ctx, e.cfg.DataDir)
	if err != nil {
		return err
	}
	if left != nil {
		e.log.Warn("not all that a former worker left can be removed", "folder", f.root, "error", left)
	}
	var spawning sync.WaitGroup
	spawning.Go(e.spawner.Run)

	life, end := context.WithCancel(ctx)
	defer end()
	lasting := context.WithoutCancel(ctx) // attempts are seen to their ends
	e.folders, e.state.folders = f, f
	e.state.world.end = end
	e.state.world.launch = func(a *attempt) { e.launch(lasting, a) }
	err = e.endpoint.Run(life)

	e.spawner.Stop()
	spawning.Wait()
	if closing := f.close(); closing != nil {
		e.log.Warn("the worker's folder cannot be given up", "folder", f.root, "error", closing)
	}
	if _, panicked := errors.AsType[*rpc.PanicError](err); panicked {
		return err
	}
	if errors.Is(e.state.err, errTold) {
		return ctx.Err()
	}
	return e.state.err
}

// start is called on the endpoint before all calls.
func (e *Executor) start() {
	e.state.begin()
	if e.retired.Load() {
		e.state.drain()
	}
	follow := func(leaders Leaders, tell func(*state, leader.Info)) {
		_ = e.endpoint.Go(func(ctx context.Context) { e.follow(ctx, leaders, tell) }) // it runs
	}
	follow(e.cfg.Dispatcher, (*state).dispatcherIs)
	follow(e.cfg.ResourceManager, (*state).managerIs)
}

// settle is called on the endpoint after calls.
func (e *Executor) settle() {
	s := e.state
	if s.over() && !e.closed {
		e.closed = true
		close(e.over)
	}
	if s.next.Equal(e.armed) {
		return
	}
	e.disarm()
	e.armed, e.disarm = s.next, func() {}
	if !s.next.IsZero() {
		e.disarm = e.endpoint.After(time.Until(s.next), func() {
			e.armed = time.Time{}
			s.tick()
		})
	}
}

// stop sees the worker to its end: calls are served until it returns. ctx ends early
// when the endpoint has panicked.
func (e *Executor) stop(ctx context.Context) {
	e.tell(func(s *state) { s.stop(errTold) })
	select {
	case <-e.over:
	case <-ctx.Done():
		return
	}
	gone, err := ask(ctx, e, func(s *state) ([]<-chan struct{}, error) { return s.leave(), nil })
	if err != nil {
		return // it has panicked
	}
	for _, told := range gone {
		<-told
	}
}

// follow tells the state who leads a component. While that cannot be known, whoever
// was confirmed last counts.
func (e *Executor) follow(ctx context.Context, leaders Leaders, tell func(*state, leader.Info)) {
	for {
		latest, changed := leaders.Latest()
		if latest.Status == retrieval.StatusNone || latest.Info.Epoch > 0 {
			e.tell(func(s *state) { tell(s, latest.Info) })
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// launch starts an attempt, which lasts until it is cancelled or ctx ends.
func (e *Executor) launch(ctx context.Context, a *attempt) {
	running, cancel := context.WithCancelCause(ctx)
	a.cancelled = cancel
	_ = e.endpoint.Go(func(own context.Context) { // it runs: nothing is deployed at the end
		stop := context.AfterFunc(own, func() { a.cancel("the worker broke down") })
		defer stop()
		e.attend(running, a)
	})
}

// remove removes the folders of a job.
func (e *Executor) remove(id job.ID) {
	_ = e.endpoint.Go(func(context.Context) { // at the end, the next worker does it
		if err := e.folders.removeJob(id); err != nil {
			e.log.Warn("the folders of a job that is over are left", "error", err)
		}
	})
}

// attend sees one attempt through, from its start to its end.
func (e *Executor) attend(ctx context.Context, a *attempt) {
	var end gateway.AttemptEnd
	defer func() {
		if end.Outcome == "" {
			end = a.failed(errors.New("the function ended its goroutine")) // runtime.Goexit
			end.Output, _ = a.journal.finish()
		}
		a.cancel("ended") // gives the context back
		if e.log.IsDebug() {
			e.log.Debug("attempt ended", "attempt", label(a.d.Attempt), "outcome", end.Outcome, "reason", end.Reason)
		}
		e.tell(func(s *state) { s.ended(a, end) })
	}()
	end = a.run(ctx, means{
		spawner: e.spawner, funcs: e.cfg.Funcs, dir: e.cfg.Dir, termGrace: e.cfg.TermGrace, log: e.log,
	})
}

// ask has the endpoint make the call, unless ctx has ended before, and returns what that
// returns. Errors: ctx's; rpc.ErrNotStarted; ErrStopped.
func ask[T any](ctx context.Context, e *Executor, call func(*state) (T, error)) (T, error) {
	return rpc.Ask(ctx, e.endpoint, func() (T, error) {
		if err := ctx.Err(); err != nil {
			var none T
			return none, err
		}
		return call(e.state)
	})
}

// tell is ask for calls that mean nothing to an executor that has stopped.
func (e *Executor) tell(call func(*state)) { _ = e.endpoint.Tell(func() { call(e.state) }) }

// label names an attempt in errors.
func label(id gateway.AttemptID) string {
	return fmt.Sprintf("attempt %d of job %s, task %s, subtask %d", id.N, id.Job, id.Task, id.Subtask)
}
