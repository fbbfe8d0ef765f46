package coordinator

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// defaultReads is how many graphs are read at once during recovery: as many as
// package ha/zk lets a session have under way. The reads share one connection; more in
// flight gain little and crowd out renewals.
const defaultReads = 64

const (
	// DefaultCleanupRetry is the delay after the first failure of a cleaner.
	DefaultCleanupRetry = time.Second
	// DefaultCleanupRetryMax is the longest delay between two of its tries.
	DefaultCleanupRetryMax = time.Hour
)

// Config says what a Runner works with.
type Config struct {
	// Address is published as the leader's HTTP base URL, RPCAddress as its
	// host:port for RPC. Empty means that the component has none.
	Address    string
	RPCAddress string
	// Jobs and Results are the stores of the backend that elects. Required.
	Jobs    JobStore
	Results ResultStore
	// Dispatchers makes each term's dispatcher. Required; see SessionFactory.
	Dispatchers DispatcherFactory
	// Host, unless it is nil, lets other processes reach the dispatcher of a term. It is
	// called before the term is published, and leave when the dispatcher has ended. Its
	// error ends the term.
	Host func(term leader.TermID, d Service) (leave func(), err error)
	// Gates are passed, in their order, before a term reads anything.
	Gates []Gate
	// Reads bounds how many graphs are read at once during recovery. Zero means 64.
	Reads int
	// Hooks are told of what happens. The zero value listens to nothing.
	Hooks Hooks
	// Logger receives the log. Nil means none.
	Logger hclog.Logger
}

// Validate returns an error that names every missing or impossible field.
func (c Config) Validate() error {
	var errs []error
	if c.Jobs == nil || c.Results == nil {
		errs = append(errs, errors.New("coordinator: Config.Jobs and Config.Results are required"))
	}
	if c.Dispatchers == nil {
		errs = append(errs, errors.New("coordinator: Config.Dispatchers is required"))
	}
	if c.Reads < 0 {
		errs = append(errs, errors.New("coordinator: Config.Reads is negative"))
	}
	return errors.Join(errs...)
}

// DispatcherConfig says what a Dispatcher works with.
type DispatcherConfig struct {
	// Jobs and Results are the stores of the backend that elects. Required.
	Jobs    JobStore
	Results ResultStore
	// Runners makes the runner of each job. Required.
	Runners JobRunnerFactory
	// Tree is the backend's storage below the stores, in which Leftovers looks. Nil:
	// Leftovers fails.
	Tree Tree
	// Blobs is where what is too large for the stores is kept, in which Leftovers
	// looks too. Nil means that there is none.
	Blobs Blobs
	// Cleaners run side by side after a job's result was recorded and before it
	// becomes clean. None means that jobs leave nothing outside the stores.
	Cleaners []Cleaner
	// CleanupRetry spaces the tries of a cleaner that fails. Zero fields mean
	// DefaultCleanupRetry and DefaultCleanupRetryMax.
	CleanupRetry Backoff
	// ResultRetry spaces the tries to record a result, and to write a quarantine
	// record. Zero fields mean 100 ms and 5 s.
	ResultRetry Backoff
	// Retention says which clean results are kept.
	Retention Retention
	// ID names this node in what it stores. Empty is allowed.
	ID string
	// Limits bound what is taken on. The zero value means the defaults.
	Limits Limits
	// Fatal is told of a panic in a job runner or a cleaner, from the goroutine
	// that panicked; the process should end, as its state is unknown. Nil means
	// that only the term ends.
	Fatal func(error)
	// Hooks are told of what happens. The zero value listens to nothing.
	Hooks Hooks
	// Logger receives the log. Nil means none.
	Logger hclog.Logger
}

// Validate returns an error that names every missing or impossible field.
func (c DispatcherConfig) Validate() error {
	var errs []error
	if c.Jobs == nil || c.Results == nil {
		errs = append(errs, errors.New("coordinator: DispatcherConfig.Jobs and DispatcherConfig.Results are required"))
	}
	if c.Runners == nil {
		errs = append(errs, errors.New("coordinator: DispatcherConfig.Runners is required"))
	}
	errs = append(errs, c.Limits.validate(), c.CleanupRetry.validate("CleanupRetry"), c.ResultRetry.validate("ResultRetry"))
	return errors.Join(errs...)
}

// withDefaults fills the zero values in.
func (c DispatcherConfig) withDefaults() DispatcherConfig {
	c.CleanupRetry = c.CleanupRetry.withDefaults(DefaultCleanupRetry, DefaultCleanupRetryMax)
	c.ResultRetry = c.ResultRetry.withDefaults(100*time.Millisecond, 5*time.Second)
	c.Retention = c.Retention.withDefaults()
	c.Limits = c.Limits.withDefaults()
	c.Logger = orNull(c.Logger)
	return c
}

// Step is a stretch of a take-over, in their order.
type Step string

// The steps of a take-over. Their sum is the time from the start of the term
// until it is ready.
const (
	// StepAwait: waiting for the former leader process of this participant.
	StepAwait Step = "await"
	// StepResults: reading dirty and clean results.
	StepResults Step = "results"
	// StepGraphs: reading graphs.
	StepGraphs Step = "graphs"
	// StepStart: making and starting the dispatcher.
	StepStart Step = "start"
	// StepPublish: publishing the leader.
	StepPublish Step = "publish"
)

// Hooks tell metrics what happens. Each may be nil, is called by many goroutines
// at once, and must not block. The number of jobs by status is not among them:
// Jobs of the gateway has it.
type Hooks struct {
	// OnStep is called at the end of each completed step of a take-over.
	OnStep func(step Step, took time.Duration)
	// OnRecovered is called once a take-over, with what was found: jobs to run,
	// dirty results to clean up after, and jobs put aside as unreadable.
	OnRecovered func(jobs, dirty, quarantined int)
	// OnQuarantined is called for each job that is put aside after recovery.
	OnQuarantined func(id job.ID)
	// OnRecovering is called during a take-over, with how many of the graphs have
	// been read, and as often as that changes; the last call has done equal of.
	OnRecovering func(done, of int)
	// OnForgotten is called with how many results have been deleted.
	OnForgotten func(n int)
	// OnJobEnded is called when a job's result has been recorded.
	OnJobEnded func(status job.Status)
	// OnCleanupFailed is called for each failed try of a cleaner, and of a write of
	// quarantine records ("quarantine") or of retention ("retention").
	OnCleanupFailed func(cleaner string)
}

func (h Hooks) step(s Step, since time.Time) time.Time {
	now := time.Now()
	if h.OnStep != nil {
		h.OnStep(s, now.Sub(since))
	}
	return now
}

func (h Hooks) recovered(r Recovery) {
	if h.OnRecovered != nil {
		h.OnRecovered(len(r.Jobs), len(r.Dirty), len(r.Quarantined))
	}
}

func (h Hooks) quarantined(id job.ID) {
	if h.OnQuarantined != nil {
		h.OnQuarantined(id)
	}
}

func (h Hooks) recovering(done, of int) {
	if h.OnRecovering != nil {
		h.OnRecovering(done, of)
	}
}

func (h Hooks) forgotten(n int) {
	if h.OnForgotten != nil {
		h.OnForgotten(n)
	}
}

func (h Hooks) jobEnded(s job.Status) {
	if h.OnJobEnded != nil {
		h.OnJobEnded(s)
	}
}

func (h Hooks) cleanupFailed(cleaner string) {
	if h.OnCleanupFailed != nil {
		h.OnCleanupFailed(cleaner)
	}
}

func orNull(l hclog.Logger) hclog.Logger {
	if l == nil {
		return hclog.NewNullLogger()
	}
	return l
}
