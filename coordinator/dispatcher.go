package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc"
)

// errStartedTwice: Run was called a second time.
var errStartedTwice = errors.New("dispatcher was started before; each term has its own")

// SessionFactory makes dispatchers that accept jobs from clients for as long as
// their term lasts.
type SessionFactory struct{ cfg DispatcherConfig }

var _ DispatcherFactory = (*SessionFactory)(nil)

// NewSessionFactory returns a factory whose dispatchers work with cfg, or an
// error that names what is wrong with it.
func NewSessionFactory(cfg DispatcherConfig) (*SessionFactory, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &SessionFactory{cfg: cfg}, nil
}

// NewDispatcher implements DispatcherFactory.
func (f *SessionFactory) NewDispatcher(t Token, r Recovery) (Service, error) {
	return NewDispatcher(f.cfg, t, r)
}

// Dispatcher accepts, runs, finishes and cleans up the jobs of one term. Its
// gateway methods may be called by many goroutines at any time; before Run they
// wait, and after the end of its term they fail with gateway.ErrNotLeader.
type Dispatcher struct {
	cfg      DispatcherConfig
	token    Token
	recovery Recovery
	log      hclog.Logger

	used    atomic.Bool
	started chan struct{}
	ended   chan struct{}     // closed when no call is served any more
	calls   chan func(*state) // served by Run; a nil state says that the term is over
	excess  chan struct{}     // holds a value when there may be results to forget
	panics  chan *PanicError  // what ends Run early
	// accepting counts the submissions that are being stored. It belongs to Run's
	// goroutine, as the registry does.
	accepting int
	// watch, if not nil, is called on Run's goroutine with the registry as it is at the
	// start, and after each call that may have changed it. It does not block, and is set
	// before Run.
	watch func(*registry)
}

var (
	_ gateway.Dispatcher = (*Dispatcher)(nil)
	_ Service            = (*Dispatcher)(nil)
)

// PanicError is what a panic in a job runner or cleaner becomes.
type PanicError struct {
	// Job is the job at work.
	Job job.ID
	// Value is what was passed to panic, Stack where.
	Value any
	Stack []byte
}

// Error names the job and the panic's value in one line.
func (e *PanicError) Error() string { return fmt.Sprintf("panic at job %q: %v", e.Job, e.Value) }

// state is what the owning goroutine holds, given to the functions that are
// sent to it. spawn starts a goroutine that Run waits for.
type state struct {
	*registry
	spawn func(id job.ID, work func(ctx context.Context))
}

// NewDispatcher returns a dispatcher of the term t that takes over r and has
// started nothing, or an error that names what is wrong with cfg.
func NewDispatcher(cfg DispatcherConfig, t Token, r Recovery) (*Dispatcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Dispatcher{
		cfg: cfg, token: t, recovery: r,
		log:     cfg.Logger.With("epoch", t.Epoch),
		started: make(chan struct{}),
		ended:   make(chan struct{}),
		calls:   make(chan func(*state)),
		excess:  make(chan struct{}, 1),
		panics:  make(chan *PanicError, 1),
	}, nil
}

// Started implements Service.
func (d *Dispatcher) Started() <-chan struct{} { return d.started }

// Run implements Service. It returns ctx's error when ctx ended it, and a
// *PanicError after a panic. It can be called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	if d.used.Swap(true) {
		return errStartedTwice
	}
	ctx, cancel := context.WithCancel(ctx)
	var jobs sync.WaitGroup
	defer jobs.Wait()
	defer cancel()
	defer close(d.ended)

	st := &state{registry: newRegistry(d.recovery, d.token.Epoch)}
	st.spawn = func(id job.ID, work func(context.Context)) {
		jobs.Go(func() { d.protect(id, func() { work(ctx) }) })
	}
	d.startRecovered(st)
	d.look(st)
	jobs.Go(func() { d.protect("", func() { d.forgetExcess(ctx) }) })
	close(d.started)
	return d.serve(ctx, st)
}

// startRecovered starts the clean-ups, then the jobs, that were recovered, and
// brings the quarantine records in line.
func (d *Dispatcher) startRecovered(st *state) {
	for _, r := range d.recovery.Dirty {
		st.spawn(r.Snapshot.ID, func(ctx context.Context) { d.cleanUp(ctx, r.Snapshot.ID) })
	}
	st.spawn("", func(ctx context.Context) { d.startJobs(ctx, st.spawn) })
	for _, e := range st.jobs {
		d.keepRecord(st, e)
	}
}

// startsAtOnce is how many recovered jobs are being started at once: the leader is to be
// published meanwhile, and each of thousands takes a turn of the processor and a call of
// the dispatcher.
const startsAtOnce = 16

// startJobs starts the recovered jobs, oldest first.
func (d *Dispatcher) startJobs(ctx context.Context, spawn func(job.ID, func(context.Context))) {
	turns := make(chan struct{}, startsAtOnce)
	for _, j := range d.recovery.Jobs {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return
		}
		spawn(j.ID, func(ctx context.Context) {
			begun := sync.OnceFunc(func() { <-turns })
			defer begun()
			d.live(ctx, j, true, begun)
		})
	}
}

// serve is the loop of the goroutine that owns the registry.
func (d *Dispatcher) serve(ctx context.Context, st *state) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-d.panics:
			return err
		case call := <-d.calls:
			if ctx.Err() != nil {
				call(nil)
				return ctx.Err()
			}
			call(st)
			d.look(st)
		}
	}
}

func (d *Dispatcher) look(st *state) {
	if d.watch != nil {
		d.watch(st.registry)
	}
}

// ask runs f in the owning goroutine and waits for it. Errors:
// gateway.ErrNotLeader when the term is over, or ctx's; f did not run then.
func (d *Dispatcher) ask(ctx context.Context, f func(*state)) error {
	if d.send(ctx.Done(), f) {
		return nil
	}
	return cmp.Or(ctx.Err(), gateway.ErrNotLeader)
}

// tell is ask for the goroutines of jobs, which do not stop waiting before the
// term is over: then it reports false, and f did not run.
func (d *Dispatcher) tell(f func(*state)) bool { return d.send(nil, f) }

func (d *Dispatcher) send(giveUp <-chan struct{}, f func(*state)) bool {
	served := make(chan bool, 1)
	call := func(st *state) {
		if st != nil {
			f(st)
		}
		served <- st != nil
	}
	select {
	case d.calls <- call:
		return <-served
	case <-d.ended:
		return false
	case <-giveUp:
		return false
	}
}

// update tells the registry about the job id, if it is known.
func (d *Dispatcher) update(id job.ID, f func(e *entry)) bool {
	return d.tell(func(st *state) {
		if e := st.jobs[id]; e != nil {
			f(e)
		}
	})
}

// protect runs f for the job id. A panic is told to Fatal and ends Run.
func (d *Dispatcher) protect(id job.ID, f func()) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		err := &PanicError{Job: id, Value: v, Stack: debug.Stack()}
		if p, ok := v.(*rpc.PanicError); ok { // it was elsewhere first
			err.Value, err.Stack = p.Value, p.Stack
		}
		if d.cfg.Fatal != nil {
			d.cfg.Fatal(err)
		}
		select {
		case d.panics <- err:
		default: // Run ends for an earlier one already
		}
	}()
	f()
}
