package election

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
)

// The defaults of Config.
const (
	// DefaultComponent is what a contender leads when Config names nothing.
	DefaultComponent = "service"
	// DefaultStopGrace is how long Lead may take to return.
	DefaultStopGrace = time.Second
	// DefaultReleaseTimeout bounds the release of a term.
	DefaultReleaseTimeout = 5 * time.Second
	// DefaultMinBackoff is the shortest pause after a failed term.
	DefaultMinBackoff = 100 * time.Millisecond
	// DefaultMaxBackoff is the longest pause after a failed term.
	DefaultMaxBackoff = 5 * time.Second
)

// Config is what New needs.
type Config struct {
	// ID names this participant to humans and to the others. Required; it should
	// be unique among the participants and stay the same across restarts.
	ID string
	// Driver connects to the backend. Required. A driver serves one Elector.
	Driver Driver
	// Component is what a plain contender leads and publishes; the members of a
	// Group bring their own. Zero: DefaultComponent.
	Component string
	// StopGrace is how long Lead may take to return once its context ended. The
	// driver takes it off the lease, so it must be well below the session
	// time-out. Zero: DefaultStopGrace, 1 s.
	StopGrace time.Duration
	// ReleaseTimeout bounds how long a release may try to reach the backend, and
	// so how long stopping takes without one. Zero: DefaultReleaseTimeout, 5 s.
	ReleaseTimeout time.Duration
	// Backoff says how long to pause after a failed term. Zero: 100 ms to 5 s.
	Backoff Backoff
	// Hooks are told of the course of things. Zero: nobody is.
	Hooks Hooks
	// Logger receives what an operator should know. Nil: nothing is logged.
	Logger hclog.Logger
}

// Backoff bounds the pauses after failed terms. They double from Min to Max and
// are shortened at random by up to a half, though never below Min.
type Backoff struct {
	// Min is the shortest pause. Zero: DefaultMinBackoff, 100 ms.
	Min time.Duration
	// Max is the longest pause. Zero: DefaultMaxBackoff, 5 s, or Min if that is
	// larger.
	Max time.Duration
}

// Hooks are called as a term goes by; each may be nil. They run on the term's
// goroutine or, OnPublished, on the one that called Publish, never under a lock.
// A hook that blocks delays its term's Lead, Publish or release, and its time
// counts towards the stop grace; it delays neither the end of the term's context
// nor the backend.
type Hooks struct {
	// OnElected is called when a term begins, before Lead.
	OnElected func(Status)
	// OnPublished is called after an info was published.
	OnPublished func(leader.Info)
	// OnLost is called when a term that was given to OnElected is over: after Lead
	// returned and before leadership is released. The cause is the one that Lead's
	// context ended with.
	OnLost func(cause error)
}

// withDefaults returns the configuration with zero values replaced, or an error
// that names the field which cannot be used.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.ID == "":
		return c, errors.New("election: Config.ID is empty: name this participant, for example after its host")
	case c.Driver == nil:
		return c, errors.New("election: Config.Driver is nil: use the driver of a backend, for example of election/zk")
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		zero  time.Duration
	}{
		{"StopGrace", &c.StopGrace, DefaultStopGrace},
		{"ReleaseTimeout", &c.ReleaseTimeout, DefaultReleaseTimeout},
		{"Backoff.Min", &c.Backoff.Min, DefaultMinBackoff},
		{"Backoff.Max", &c.Backoff.Max, max(DefaultMaxBackoff, c.Backoff.Min)},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("election: Config.%s is %s: a duration cannot be negative", d.field, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.Backoff.Min > c.Backoff.Max {
		return c, fmt.Errorf("election: Config.Backoff.Min %s is larger than Config.Backoff.Max %s", c.Backoff.Min, c.Backoff.Max)
	}
	if c.Component == "" {
		c.Component = DefaultComponent
	}
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	return c, nil
}
