package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// The defaults of Config.
const (
	// DefaultGrace is how long a job's attempts go on without its master.
	DefaultGrace = 60 * time.Second
	// DefaultUnregisteredLimit is how long a worker tries to find a resource manager.
	DefaultUnregisteredLimit = 5 * time.Minute
	// DefaultHeartbeatTimeout is when a silent peer is regarded as gone.
	DefaultHeartbeatTimeout = 10 * time.Second
	// DefaultFailures is how many failed calls in a row say that a peer is gone.
	DefaultFailures = 2
	// DefaultTermGrace is the time between TERM and KILL.
	DefaultTermGrace = 5 * time.Second
	// DefaultOutputTail is how much of an attempt's output goes with its end.
	DefaultOutputTail = 4 << 10
	// DefaultLogFileSize and DefaultLogFiles bound the output of an attempt on disk.
	DefaultLogFileSize = 8 << 20
	DefaultLogFiles    = 2
)

// Network connects the executor with the components that it calls. Its methods may
// be called from any goroutine.
type Network interface {
	// ResourceManager connects to the resource manager of the term that info names: its
	// component, RPC address, session and epoch are set. It blocks until that has answered
	// or ctx ends. Calls of the gateway carry the term as their token. The executor calls
	// release when it has made its last call; it is nil with an error only.
	ResourceManager(ctx context.Context, info leader.Info) (m gateway.ResourceManager, release func(), err error)
	// JobMaster is the like for a job's master, which lives where the dispatcher that
	// info names does. It fails when there is none, or not yet.
	JobMaster(ctx context.Context, info leader.Info, id job.ID) (m gateway.JobMaster, release func(), err error)
}

// Leaders tells who leads a component; web.Follower is the same.
type Leaders interface {
	// Latest returns what is known, and a channel that is closed when that changes.
	// It does not block.
	Latest() (s retrieval.State, changed <-chan struct{})
}

// Config configures an Executor.
type Config struct {
	// ID names the worker in the cluster, in slots and in logs. It must not be empty.
	ID string
	// Slots is how many attempts run at once. It must be at least 1.
	Slots int
	// Labels are what tasks can require of a worker.
	Labels map[string]string
	// Address is where others reach the worker's RPC service. It is passed on as it is.
	Address string
	// Release is the version of the program, for people.
	Release string

	// Network and the leaders of the two components are required.
	Network         Network
	Dispatcher      Leaders
	ResourceManager Leaders

	// Funcs are the functions that tasks can name.
	Funcs Funcs
	// Dir is the working folder of commands that name none, and the base of relative
	// ones; empty means the process's own.
	Dir string
	// DataDir holds the folders and output of attempts. It belongs to this worker
	// alone: a second one that runs with it fails, and what a former one left there is
	// removed. Empty means a temporary folder, removed when Run ends.
	DataDir string

	// Grace is how long attempts and ends are kept without the job's master; zero
	// means 60 s.
	Grace time.Duration
	// UnregisteredLimit is after how long without a resource manager Run gives up;
	// zero means 5 min.
	UnregisteredLimit time.Duration
	// HeartbeatTimeout is after how long without a heartbeat a peer is regarded as
	// gone; zero means 10 s. A resource manager can ask for another one.
	HeartbeatTimeout time.Duration
	// Failures is how many failed calls in a row say that a peer is gone; zero means 2.
	Failures int
	// TermGrace is the time between TERM and KILL; zero means 5 s.
	TermGrace time.Duration
	// OutputTail is how many bytes of an attempt's stdout and stderr together go with
	// the report of its end, the last ones; zero means 4 KiB.
	OutputTail int
	// LogFileSize and LogFiles bound the output of an attempt that can be read: as
	// many files of this size, the last ones. Zero means 8 MiB and 2.
	LogFileSize int64
	LogFiles    int

	// Logger is the sink of log lines; nil discards them.
	Logger hclog.Logger

	// checked has the endpoint look at who touches the state, in tests.
	checked bool
}

// Validate returns an error that names every missing or impossible field.
func (c Config) Validate() error {
	var errs []error
	reject := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("task executor: "+format, args...))
	}
	if c.ID == "" {
		reject("ID is empty; give the worker a name")
	}
	if c.Slots < 1 {
		reject("Slots is %d; a worker needs at least 1", c.Slots)
	}
	if c.Network == nil || c.Dispatcher == nil || c.ResourceManager == nil {
		reject("Network, Dispatcher and ResourceManager are required")
	}
	if min(c.Grace, c.UnregisteredLimit, c.HeartbeatTimeout, c.TermGrace) < 0 {
		reject("Grace, UnregisteredLimit, HeartbeatTimeout and TermGrace must not be negative")
	}
	if min(c.Failures, c.OutputTail, c.LogFiles) < 0 || c.LogFileSize < 0 {
		reject("Failures, OutputTail, LogFiles and LogFileSize must not be negative")
	}
	for name, f := range c.Funcs {
		if f == nil {
			reject("function %q is nil", name)
		}
	}
	return errors.Join(errs...)
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	durations := map[*time.Duration]time.Duration{
		&c.Grace: DefaultGrace, &c.UnregisteredLimit: DefaultUnregisteredLimit,
		&c.HeartbeatTimeout: DefaultHeartbeatTimeout, &c.TermGrace: DefaultTermGrace,
	}
	for field, value := range durations {
		if *field == 0 {
			*field = value
		}
	}
	numbers := map[*int]int{&c.Failures: DefaultFailures, &c.OutputTail: DefaultOutputTail, &c.LogFiles: DefaultLogFiles}
	for field, value := range numbers {
		if *field == 0 {
			*field = value
		}
	}
	if c.LogFileSize == 0 {
		c.LogFileSize = DefaultLogFileSize
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	c.Labels, c.Funcs = maps.Clone(c.Labels), maps.Clone(c.Funcs)
	return c
}
