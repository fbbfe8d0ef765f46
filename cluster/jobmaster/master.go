package jobmaster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

var _ gateway.JobMaster = (*Master)(nil)

// ProgressStore is where a job's record is kept; *jobstore.Store is one. Its
// errors that concern the job or the term for good are leader.ErrFenced, those of
// package jobstore, and txn.ErrTooLarge; all others are taken for passing ones.
type ProgressStore interface {
	// Progress returns what is recorded of the job with the graph.
	Progress(ctx context.Context, g leader.Guard, id job.ID, graph job.Graph) (jobstore.Progress, error)
	// Outputs returns the outputs of subtasks, in that order.
	Outputs(ctx context.Context, g leader.Guard, id job.ID, of []jobstore.OutputID) ([]jobstore.Output, error)
	// PutProgress replaces the record and stores outputs with it. A Master has one
	// call at a time under way, and p is not changed afterwards.
	PutProgress(ctx context.Context, g leader.Guard, id job.ID, p jobstore.Progress, outputs ...jobstore.Output) error
}

var _ ProgressStore = (*jobstore.Store)(nil)

// Resources leads to the resource manager of the term.
type Resources interface {
	// ResourceManager returns the current resource manager. It waits until there is
	// one that can be called.
	ResourceManager(ctx context.Context) (gateway.ResourceManager, error)
}

// Workers connects to workers.
type Workers interface {
	// TaskExecutor connects to the worker at its address, for calls in the term. The
	// returned function releases the connection and does not wait for calls that are
	// under way; it may be called once.
	TaskExecutor(ctx context.Context, w gateway.Worker, term leader.TermID) (gateway.TaskExecutor, func(), error)
}

// The defaults of Config.
const (
	DefaultHeartbeatTimeout = 10 * time.Second
	DefaultFailures         = 2
	// beatsPerTimeout is how many heartbeats are sent in a time-out.
	beatsPerTimeout = 5
)

// Config configures a Master.
type Config struct {
	// Guard is the term's; all reads and writes of the record carry it.
	Guard leader.Guard
	// Term is the fencing token of all calls, its epoch that of every attempt.
	Term leader.TermID
	// Job is the accepted job.
	Job jobstore.Job
	// Recovered says that the job was accepted before, so that its record may hold
	// progress, and workers may have attempts of it. Of a job that was accepted just
	// now, with this term's guard, it is known that there is nothing.
	Recovered bool
	// Location is where workers and the resource manager reach the master. Its Job
	// may be empty.
	Location gateway.MasterLocation
	// Resources leads to the resource manager, Workers to those that register. Both
	// are required.
	Resources Resources
	Workers   Workers
	// Progress keeps the record. It is required.
	Progress ProgressStore
	// HeartbeatTimeout is after how long without an answer a worker is lost, and
	// without a heartbeat the resource manager; five heartbeats are sent in that time.
	// It also bounds each call of a worker. Zero means DefaultHeartbeatTimeout.
	HeartbeatTimeout time.Duration
	// Failures is how many failed heartbeats in a row mean that a worker is lost.
	// Zero means DefaultFailures.
	Failures int
	// Logger is the sink of log lines; nil discards them.
	Logger hclog.Logger
	// checked has the endpoint look at who touches the core, in tests.
	checked bool
}

// Validate returns an error that names every missing or impossible field.
func (c Config) Validate() error {
	var errs []error
	for field, missing := range map[string]bool{
		"Resources": c.Resources == nil, "Workers": c.Workers == nil, "Progress": c.Progress == nil,
	} {
		if missing {
			errs = append(errs, errors.New("Config."+field+" is required"))
		}
	}
	if c.HeartbeatTimeout < 0 || c.Failures < 0 {
		errs = append(errs, errors.New("Config.HeartbeatTimeout and Failures must not be negative"))
	}
	if g := c.Guard.Epoch(); g != 0 && g != c.Term.Epoch {
		errs = append(errs, fmt.Errorf("Config.Term has epoch %d, the guard %d", c.Term.Epoch, g))
	}
	return errors.Join(errs...)
}

// Master runs one job in one term. Its methods may be called by any goroutine. Before
// Run, those of gateway.JobMaster fail with rpc.ErrNotStarted, after it with
// gateway.ErrStopped.
type Master struct {
	cfg      Config
	log      hclog.Logger
	view     *view
	stats    *stats
	ran      atomic.Bool
	canceled atomic.Bool

	endpoint *rpc.Endpoint
	// run is Run's, once that is called.
	run run
	// core is the endpoint's while that runs, and so is what is below.
	core *core
	link link
	// armed is when the endpoint wakes up, zero for never, and disarm cancels that.
	armed  time.Time
	disarm func()
}

// New returns a master that has started nothing. It fails when the configuration
// is incomplete, or the graph is not one that can be run.
func New(cfg Config) (*Master, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("job %s: job master: %w", cfg.Job.ID, err)
	}
	cfg.Location.Job = cfg.Job.ID
	if cfg.HeartbeatTimeout == 0 {
		cfg.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if cfg.Failures == 0 {
		cfg.Failures = DefaultFailures
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	log := cfg.Logger.With("component", "job_master", "job", cfg.Job.ID, "epoch", cfg.Term.Epoch)
	v, st := newView(cfg.Job, cfg.Term.Epoch), &stats{}
	c, err := newCore(cfg, v, st, log)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", cfg.Job.ID, err)
	}
	m := &Master{cfg: cfg, log: log, view: v, stats: st, core: c, disarm: func() {}}
	m.endpoint, err = rpc.NewEndpoint(rpc.EndpointConfig{
		Name: "job_master", OnStart: m.start, OnStop: m.stop, AfterCalls: m.settle, Checked: cfg.checked,
	})
	if err != nil {
		return nil, err
	}
	m.link, err = m.newLink()
	return m, err
}

// Run runs the job and returns its terminal snapshot. It can be called once, and
// when it returns all that it started has ended.
//
// When ctx ends first, Run stops locally: it leaves the job's attempts running and
// its slots held, records nothing, and returns a SUSPENDED snapshot with ctx's error.
// It does the same, with another error, when the job cannot go on in this term:
// leader.ErrFenced or gateway.ErrFencingToken (the term is over), or an error of
// package jobstore (the record is gone or cannot be read). Other failures of the
// store, of workers and of the resource manager are waited out. A defect of coordd that
// panics does so here with an *rpc.PanicError, wherever it was.
func (m *Master) Run(ctx context.Context) (job.Snapshot, error) {
	if !m.ran.CompareAndSwap(false, true) {
		return m.Snapshot(), fmt.Errorf("job %s: %w", m.cfg.Job.ID, errRanTwice)
	}
	return m.serve(ctx)
}

var errRanTwice = errors.New("Run was called twice")

// Snapshot returns the job as it is now. It does not wait for anything, and costs
// nothing when nothing has changed. Snapshots share memory: do not change them.
//
// A subtask shows FINISHED when its success is recorded, or when no record is
// needed any more because the job itself has ended.
func (m *Master) Snapshot() job.Snapshot { return m.view.snapshot() }

// Cancel asks the job to stop and returns at once. It may be called at any time,
// also before Run, after it, and again. A request is not recorded: a leader that
// takes over runs the job on.
func (m *Master) Cancel() {
	m.canceled.Store(true)
	_ = m.tell(cancelRequested{}) // before Run, its start sees to it
}
