package resourcemanager

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// errStartedTwice: Run was called a second time.
var errStartedTwice = errors.New("resource manager was started before; each term has its own")

// Manager knows the workers of one term and gives their slots to jobs. Its gateway
// methods may be called by many goroutines at any time: before Started, and when the
// records could not be read, they fail with rpc.ErrNotStarted, and after the end of its
// term with gateway.ErrNotLeader.
type Manager struct {
	cfg     Config
	term    Term
	records records
	log     hclog.Logger
	turns   turns

	used    atomic.Bool
	started chan struct{}
	settled chan struct{} // closed when no worker of the records is expected any more

	endpoint *rpc.Endpoint
	// state and what is below are the endpoint's. Run makes the state, and start begins
	// with it.
	state  *state
	start  func()
	disarm func() // cancels the next decision that is due
}

var _ gateway.ResourceManager = (*Manager)(nil)

// state is what the endpoint owns, given to the functions that it runs. These neither
// block nor do I/O.
type state struct {
	scope
	// over says whether the term is, cause why.
	over  func() bool
	cause func() error

	pool    *pool
	workers map[string]*worker
	masters map[job.ID]*master
	// expected counts the workers of the records that have not registered.
	expected int
	// askWorkers and askMasters send heartbeats to those that are linked.
	askWorkers *rpc.HeartbeatSender[*worker, heard]
	askMasters *rpc.HeartbeatSender[*master, struct{}]
}

// NewManager returns a manager of the term that has started nothing, or an error that
// names what is wrong with cfg. Contender makes one for each term.
func NewManager(cfg Config, t Term) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m := &Manager{
		cfg: cfg, term: t, records: records{driver: cfg.Records, guard: t.Guard},
		log:     cfg.Logger.With("epoch", t.ID.Epoch),
		started: make(chan struct{}), settled: make(chan struct{}),
		disarm: func() {},
	}
	var err error
	m.endpoint, err = rpc.NewEndpoint(rpc.EndpointConfig{
		Name: leader.ResourceManager, Term: t.ID, Checked: cfg.checked,
		OnStart: func() { m.start() }, OnStop: m.stop, AfterCalls: m.settle,
	})
	return m, err
}

// Started is closed when the records were read and the gateway answers.
func (m *Manager) Started() <-chan struct{} { return m.started }

// Run reads the records of workers and serves until ctx ends, when it returns ctx's
// error. It returns earlier, with an error, when the records cannot be read, and with an
// *rpc.PanicError after a panic. When it has returned, all that it started has ended. It
// can be called once.
//
// When ctx ended with election.ErrResigned as its cause, peers are told so, within half
// a second. Nothing is written at the end.
func (m *Manager) Run(ctx context.Context) error {
	if m.used.Swap(true) {
		return errStartedTwice
	}
	known, bad, err := m.records.all(ctx)
	if err != nil {
		return err
	}
	st, err := m.newState(ctx, len(known))
	if err != nil {
		return err
	}
	defer st.end(nil)
	m.state = st
	m.start = func() {
		// After a panic the term of the endpoint ends before ctx.
		_ = m.endpoint.Go(func(own context.Context) { <-own.Done(); st.end(nil) }) // it runs
		m.expect(st, known, bad)
		m.log.Debug("worker records were read", "workers", len(known), "unreadable", len(bad))
		close(m.started)
	}
	err = m.endpoint.Run(ctx)
	m.partAll(st, errStopped, "") // a panic has left them
	return err
}

// newState returns the state of a term that ends with ctx.
func (m *Manager) newState(ctx context.Context, workers int) (st *state, err error) {
	st = &state{
		scope: newScope(ctx, m.endpoint), pool: newPool(m.cfg.Patience),
		over: func() bool { return ctx.Err() != nil }, cause: func() error { return context.Cause(ctx) },
		workers: make(map[string]*worker, workers), masters: make(map[job.ID]*master),
	}
	st.askWorkers, err = rpc.NewHeartbeatSender(m.endpoint, rpc.HeartbeatSenderConfig[*worker, heard]{
		Timeout: m.cfg.HeartbeatTimeout, Interval: m.cfg.interval(), Delay: m.cfg.interval(), Failures: m.cfg.Failures,
		OnReport: func(w *worker, h heard) { m.workerHeard(st, w, h) },
		OnLost:   func(w *worker, err error) { m.workerLost(st, w, err) },
	})
	if err != nil {
		return nil, err
	}
	st.askMasters, err = rpc.NewHeartbeatSender(m.endpoint, rpc.HeartbeatSenderConfig[*master, struct{}]{
		Timeout: m.cfg.HeartbeatTimeout, Interval: m.cfg.interval(), Delay: m.cfg.interval(), Failures: m.cfg.Failures,
		Final:  ended,
		OnLost: func(gone *master, err error) { m.masterLost(st, gone, err) },
	})
	return st, err
}

// settle is called on the endpoint after calls: what many of them mean is decided once.
func (m *Manager) settle() {
	st := m.state
	if st.over() || !st.pool.changed {
		return
	}
	m.disarm()
	if at := m.decide(st); !at.IsZero() {
		m.disarm = m.after(time.Until(at), func(st *state) { st.pool.changed = true })
	}
}

// decide carries out what the pool decides, and returns when it is to be asked again.
func (m *Manager) decide(st *state) time.Time {
	now := time.Now()
	d := st.pool.decide(now)
	slots := 0
	for _, r := range d.requests {
		slots += r.n
		m.request(st, r)
	}
	for _, a := range d.asks {
		m.askBack(st, a)
	}
	m.cfg.Hooks.decision(time.Since(now), slots)
	return d.again
}

// ask has the endpoint run f and waits for what it returns. Errors: f's;
// gateway.ErrNotLeader when the term is over; rpc.ErrNotStarted; ctx's, when f may still
// run if it had begun.
func ask[T any](ctx context.Context, m *Manager, f func(*state) (T, error)) (T, error) {
	value, err := rpc.Ask(ctx, m.endpoint, func() (T, error) {
		if m.state.over() {
			var none T
			return none, gateway.ErrNotLeader
		}
		return f(m.state)
	})
	return value, notLeading(err)
}

// do is ask for what returns no more than an error.
func (m *Manager) do(ctx context.Context, f func(*state) error) error {
	_, err := ask(ctx, m, func(st *state) (struct{}, error) { return struct{}{}, f(st) })
	return err
}

// serving returns nil while calls are served, else rpc.ErrNotStarted or
// gateway.ErrNotLeader.
func (m *Manager) serving() error { return notLeading(m.endpoint.Admit(m.term.ID)) }

// notLeading returns gateway.ErrNotLeader in place of the endpoint's word for it.
func notLeading(err error) error {
	if errors.Is(err, rpc.ErrStopped) {
		return gateway.ErrNotLeader
	}
	return err
}

// tell has the endpoint run f some time, unless the term is over by then.
func (m *Manager) tell(f func(*state)) { _ = m.endpoint.Tell(func() { m.inTerm(f) }) }

// after is tell for when d has passed, unless stop is called before.
func (m *Manager) after(d time.Duration, f func(*state)) (stop func()) {
	return m.endpoint.After(d, func() { m.inTerm(f) })
}

func (m *Manager) inTerm(f func(*state)) {
	if !m.state.over() {
		f(m.state)
	}
}

// perform runs work in a goroutine of the manager, with the term's context, and waits
// for it until ctx ends: what is being stored is not broken off because its caller went
// away. Errors: as ask's, or work's.
func perform[T any](ctx context.Context, m *Manager, work func(ctx context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	done := make(chan outcome, 1)
	if err := m.do(ctx, func(st *state) error {
		st.begin(func(ctx context.Context) {
			value, err := work(ctx)
			if ctx.Err() != nil {
				err = gateway.ErrNotLeader
			}
			done <- outcome{value, err}
		})
		return nil
	}); err != nil {
		return none, err
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-m.endpoint.Done(): // it may have panicked
		return none, gateway.ErrNotLeader
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
