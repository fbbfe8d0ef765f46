package minicluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/web"
)

// The defaults of Config.
const (
	DefaultSize           = 3
	DefaultSlots          = 2
	DefaultSessionTimeout = 2 * time.Second
)

// Config says what a Cluster is. The zero Config is usable.
type Config struct {
	// Size is the number of agents. Zero means DefaultSize.
	Size int
	// Slots is the number of slots of each agent. Zero means DefaultSlots.
	Slots int
	// SessionTimeout is how long a crashed leader is waited for. Zero means
	// DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Version is what the agents report of themselves.
	Version web.Version
	// Logger returns the log of the agent with the ID. Nil means none.
	Logger func(id string) hclog.Logger
}

// Cluster is several agents in one process. Make it with New, run it once with
// Run; the other methods may be called from any goroutine.
type Cluster struct {
	cfg     Config
	backend *embedded.Backend
	members []*member
	started chan struct{}
}

// member is one agent.
type member struct {
	id          string
	participant *embedded.Participant

	// Set before Cluster.started is closed.
	url      string
	listener *crashListener

	once   sync.Once
	dead   atomic.Bool   // set before anything of the agent is broken
	killed chan struct{} // closed behind that
	gone   chan struct{}
}

// New returns a cluster that has started nothing. Its error names the field that
// cannot be used.
func New(cfg Config) (*Cluster, error) {
	if cfg.Size < 0 || cfg.Slots < 0 || cfg.SessionTimeout < 0 {
		return nil, errors.New("minicluster: Size, Slots and SessionTimeout cannot be negative")
	}
	if cfg.Size == 0 {
		cfg.Size = DefaultSize
	}
	if cfg.Slots == 0 {
		cfg.Slots = DefaultSlots
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = DefaultSessionTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = func(string) hclog.Logger { return hclog.NewNullLogger() }
	}
	backend, err := embedded.New(embedded.Config{SessionTimeout: cfg.SessionTimeout, Logger: cfg.Logger("backend")})
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, backend: backend, started: make(chan struct{})}
	for i := range cfg.Size {
		id := fmt.Sprintf("node-%d", i+1)
		c.members = append(c.members, &member{
			id: id, participant: backend.Participant(id),
			killed: make(chan struct{}), gone: make(chan struct{}),
		})
	}
	return c, nil
}

// Run runs the agents until ctx ends, and returns nil when all of them have
// ended. It returns earlier, with an error, when an agent that was not killed ends.
func (c *Cluster) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := c.listen(ctx); err != nil {
		return err
	}
	close(c.started)
	ended := make(chan error, len(c.members))
	for _, m := range c.members {
		go func() {
			defer close(m.gone)
			ended <- c.runMember(ctx, m)
		}()
	}
	var first error
	for range c.members {
		if err := <-ended; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

func (c *Cluster) listen(ctx context.Context) error {
	for i, m := range c.members {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			for _, other := range c.members[:i] {
				err = errors.Join(err, other.listener.Close())
			}
			return fmt.Errorf("listen for %s: %w", m.id, err)
		}
		m.listener = newCrashListener(listener)
		m.url = "http://" + listener.Addr().String()
	}
	return nil
}

// runMember runs one agent until ctx ends or it is killed.
func (c *Cluster) runMember(ctx context.Context, m *member) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	crashed := make(chan struct{})
	go func() {
		defer close(crashed)
		select {
		case <-m.killed:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := agent.Run(ctx, agent.Config{
		ID: m.id, Backend: m.participant, Listener: m.listener, HTTP: m.listener.Addr().String(),
		Slots: c.cfg.Slots, SessionTimeout: c.cfg.SessionTimeout, Version: c.cfg.Version, Logger: c.cfg.Logger(m.id),
	})
	cancel()
	<-crashed
	if m.dead.Load() {
		return nil // how a killed process ends says nothing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.id, err)
	}
	return nil
}

// Started is closed when every agent's address is known and listens.
func (c *Cluster) Started() <-chan struct{} { return c.started }

// URLs returns the HTTP base URLs of the agents, in the order of their numbers.
// Call it after Started.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.members))
	for i, m := range c.members {
		urls[i] = m.url
	}
	return urls
}

// ID returns the ID of an agent, counted from 0.
func (c *Cluster) ID(i int) string { return c.members[i].id }

// Index returns the number of the agent with the ID, and -1 when there is none.
func (c *Cluster) Index(id string) int {
	for i, m := range c.members {
		if m.id == id {
			return i
		}
	}
	return -1
}

// Kill lets an agent crash: its connections break, its session is not closed but
// left to expire, and it resigns nothing. Call it after Started. It returns at
// once; Gone says when the agent's goroutines and commands have ended.
func (c *Cluster) Kill(i int) {
	m := c.members[i]
	m.once.Do(func() {
		m.dead.Store(true)
		// First the session: an agent whose listener breaks stops, and would resign.
		m.participant.Kill()
		m.listener.crash()
		close(m.killed)
	})
}

// Gone is closed when nothing of the agent runs any more.
func (c *Cluster) Gone(i int) <-chan struct{} { return c.members[i].gone }
