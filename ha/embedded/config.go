package embedded

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
)

const (
	// DefaultSessionTimeout is the session time-out when Config names none.
	DefaultSessionTimeout = 10 * time.Second
	// DefaultMaxTransaction is the size limit of a transaction when Config names
	// none: what fits into ZooKeeper's frame of 1 MiB with room to spare, so that
	// what works here works there.
	DefaultMaxTransaction = 1_000_000
	// marginDivisor makes the margin of the lease 2 % of the session time-out.
	marginDivisor = 50
)

// Config is what New needs. The zero Config is usable.
type Config struct {
	// File is where the stored data is kept, in one file that no other Backend can
	// use meanwhile. A Commit that returned nil is on disk. Candidacies and published
	// leaders end with the process, but epochs go on growing. Empty: in memory.
	File string
	// SessionTimeout is how long the session of a participant outlives its
	// connection. Zero: DefaultSessionTimeout, 10 s.
	SessionTimeout time.Duration
	// MaxTransaction limits the paths and data of one transaction, in bytes. Zero:
	// DefaultMaxTransaction.
	MaxTransaction int
	// Standalone makes the backend that of a cluster with one coordinator, which
	// leads as soon as it contends. A second participant is refused.
	Standalone bool
	// Leaders are the fixed addresses of a standalone cluster, one for each
	// component: what retrieval answers for a component that nobody in this process
	// has published. Component is required in each; what else is zero gets ID
	// "standalone", an all-zero session ID, epoch 1 and phase ready. None: there is
	// no leader until one is published.
	Leaders []leader.Info
	// KeepCommits keeps every transaction in memory for Commits. It is for tests.
	KeepCommits bool
	// Logger receives what an operator should know. Nil: nothing is logged.
	Logger hclog.Logger
}

// fixedSession is the session ID of a leader that was configured, not elected.
const fixedSession leader.SessionID = "00000000-0000-0000-0000-000000000000"

func (c Config) withDefaults() (Config, error) {
	if c.SessionTimeout < 0 {
		return c, fmt.Errorf("embedded: Config.SessionTimeout is %s: a duration cannot be negative", c.SessionTimeout)
	}
	if c.MaxTransaction < 0 {
		return c, fmt.Errorf("embedded: Config.MaxTransaction is %d: a size cannot be negative", c.MaxTransaction)
	}
	if len(c.Leaders) > 0 && !c.Standalone {
		return c, errors.New("embedded: Config.Leaders is set: only a Standalone backend has fixed leaders")
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.MaxTransaction == 0 {
		c.MaxTransaction = DefaultMaxTransaction
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}

// fixedLeaders returns the configured leaders by component.
func (c Config) fixedLeaders() (map[string]leader.Info, error) {
	fixed := make(map[string]leader.Info, len(c.Leaders))
	for i, info := range c.Leaders {
		if info.Component == "" {
			return nil, fmt.Errorf("embedded: Config.Leaders[%d] names no component", i)
		}
		if _, twice := fixed[info.Component]; twice {
			return nil, fmt.Errorf("embedded: Config.Leaders names component %q twice", info.Component)
		}
		if info.ID == "" {
			info.ID = "standalone"
		}
		if info.SessionID == "" {
			info.SessionID = fixedSession
		}
		if info.Epoch == 0 {
			info.Epoch = fixedEpoch
		}
		if info.Phase == "" {
			info.Phase = leader.PhaseReady
		}
		fixed[info.Component] = info
	}
	return fixed, nil
}
