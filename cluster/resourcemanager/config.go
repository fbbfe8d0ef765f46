package resourcemanager

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
)

const (
	// DefaultHeartbeatTimeout is after how long without an answer a peer is lost.
	DefaultHeartbeatTimeout = 10 * time.Second
	// DefaultFailures is how many failed heartbeats in a row mean the same.
	DefaultFailures = 2
	// DefaultJobLeaderWait is how long a job's master waits for a leader to be known.
	DefaultJobLeaderWait = 5 * time.Minute
	// DefaultPatience is how long a job goes without any slot before another that has
	// no more than its share is asked for one.
	DefaultPatience = 30 * time.Second

	// heartbeatsPerTimeout is how many heartbeats fit into the time-out.
	heartbeatsPerTimeout = 5
	// farewell bounds what is said to peers when a term ends in order, and farewellShare
	// is the share of a heartbeat time-out that it has at most: with a short one a leader
	// has little time to stop.
	farewell      = 500 * time.Millisecond
	farewellShare = 20
	// parallelCalls is how many peers are called at once by what calls all of them, and
	// how many requests for slots one worker has under way.
	parallelCalls = 32
)

// Config says what the managers of all terms work with.
type Config struct {
	// Address is published as the leader's HTTP base URL, RPCAddress as its host:port
	// for RPC. Empty means that the component has none.
	Address    string
	RPCAddress string
	// Network reaches workers and job masters. Required.
	Network Network
	// Records is the guarded storage of the backend that elects. Required.
	Records Driver
	// Leaders is the retrieved leader of the dispatcher. Required.
	Leaders Leaders
	// Host, unless it is nil, lets other processes reach the manager of a term. It is
	// called before the term is published, and leave when the manager has ended. Its
	// error ends the term.
	Host func(term leader.TermID, m gateway.ResourceManager) (leave func(), err error)
	// HeartbeatTimeout is after how long without an answer a peer is lost; heartbeats
	// are sent five times as often. Zero means DefaultHeartbeatTimeout.
	HeartbeatTimeout time.Duration
	// Failures is how many failed heartbeats in a row mean the same. Zero means
	// DefaultFailures.
	Failures int
	// JobLeaderWait bounds how long RegisterJobMaster waits for a leader to be known.
	// Zero means DefaultJobLeaderWait.
	JobLeaderWait time.Duration
	// Patience is how long a job's demand goes without any slot before another job that
	// has no more than its share has to give one up. Zero means DefaultPatience.
	Patience time.Duration
	// Hooks are told of what happens. The zero value listens to nothing.
	Hooks Hooks
	// Logger receives the log. Nil means none.
	Logger hclog.Logger

	// checked has the endpoint look at who touches the state, in tests.
	checked bool
}

// Validate returns an error that names every missing or impossible field.
func (c Config) Validate() error {
	var errs []error
	if c.Network == nil || c.Records == nil || c.Leaders == nil {
		errs = append(errs, errors.New("resourcemanager: Config.Network, Config.Records and Config.Leaders are required"))
	}
	for name, d := range map[string]time.Duration{
		"HeartbeatTimeout": c.HeartbeatTimeout, "JobLeaderWait": c.JobLeaderWait, "Patience": c.Patience,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("resourcemanager: Config.%s is %s: a duration cannot be negative", name, d))
		}
	}
	if c.Failures < 0 {
		errs = append(errs, fmt.Errorf("resourcemanager: Config.Failures is %d: it cannot be negative", c.Failures))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&c.HeartbeatTimeout, DefaultHeartbeatTimeout)
	orDefault(&c.JobLeaderWait, DefaultJobLeaderWait)
	orDefault(&c.Patience, DefaultPatience)
	if c.Failures == 0 {
		c.Failures = DefaultFailures
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c
}

// interval is the time between two heartbeats.
func (c Config) interval() time.Duration { return c.HeartbeatTimeout / heartbeatsPerTimeout }
