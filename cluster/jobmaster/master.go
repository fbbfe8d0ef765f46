package jobmaster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

var _ gateway.JobMaster = (*Master)(nil)

// ProgressStore is where a job's record is kept; *jobstore.Store is one. Its
// errors that concern the job or the term for good are leader.ErrFenced, those of
// package jobstore, and txn.ErrTooLarge; all others are taken for passing ones.
type ProgressStore interface {
	// Progress returns what is recorded of the job.
	Progress(ctx context.Context, g leader.Guard, id job.ID) (jobstore.Progress, error)
	// PutProgress replaces the record. A Master has one call at a time under way,
	// and p is not changed afterwards.
	PutProgress(ctx context.Context, g leader.Guard, id job.ID, p jobstore.Progress) error
}

// Config configures a Master.
type Config struct {
	// Guard is the term's; all reads and writes of the record carry it.
	Guard leader.Guard
	// Epoch is the term's, given to every attempt. Zero means the guard's.
	Epoch leader.Epoch
	// Job is the accepted job.
	Job jobstore.Job
	// Recovered says that the job was accepted before, so that its record may hold
	// progress. The record is read in either case; it decides what is shown until
	// then.
	Recovered bool
	// Executor runs the attempts. It is required.
	Executor gateway.TaskExecutor
	// Progress keeps the record. It is required.
	Progress ProgressStore
	// Logger is the sink of log lines; nil discards them.
	Logger hclog.Logger
}

// Master runs one job in one term. Its methods may be called by any goroutine.
type Master struct {
	cfg  Config
	log  hclog.Logger
	view *view
	core *core
	mail *mailbox

	ran        atomic.Bool
	cancelOnce sync.Once
	canceled   chan struct{}
}

// New returns a master that has started nothing. It fails when the configuration
// is incomplete, or the graph is not one that can be run.
func New(cfg Config) (*Master, error) {
	if cfg.Executor == nil || cfg.Progress == nil {
		return nil, fmt.Errorf("job %s: a job master needs an Executor and a Progress store", cfg.Job.ID)
	}
	if cfg.Epoch == 0 {
		cfg.Epoch = cfg.Guard.Epoch()
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	log := cfg.Logger.With("component", "job_master", "job", cfg.Job.ID, "epoch", cfg.Epoch)
	v := newView(cfg.Job, cfg.Epoch)
	c, err := newCore(cfg, v, log)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", cfg.Job.ID, err)
	}
	return &Master{
		cfg: cfg, log: log, view: v, core: c,
		mail:     newMailbox(),
		canceled: make(chan struct{}),
	}, nil
}

// Run runs the job and returns its terminal snapshot. It can be called once, and
// when it returns all that it started has ended.
//
// When ctx ends first, Run stops locally: it asks the executor to end the job's
// attempts, without waiting for their end, records nothing, and returns a
// SUSPENDED snapshot with ctx's error. It does the same, with another error, when
// the job cannot go on in this term: leader.ErrFenced or gateway.ErrFencingToken
// (the term is over), or an error of package jobstore (the record is gone or
// cannot be read). Other failures of the store are waited out.
func (m *Master) Run(ctx context.Context) (job.Snapshot, error) {
	if !m.ran.CompareAndSwap(false, true) {
		return m.Snapshot(), fmt.Errorf("job %s: %w", m.cfg.Job.ID, errRanTwice)
	}
	return newRun(m).loop(ctx)
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
func (m *Master) Cancel() { m.cancelOnce.Do(func() { close(m.canceled) }) }

// AttemptEnded implements gateway.JobMaster.
func (m *Master) AttemptEnded(end gateway.AttemptEnd) { m.mail.put(attemptEnded{end}) }
