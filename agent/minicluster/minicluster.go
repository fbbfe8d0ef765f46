package minicluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/cluster/taskexecutor"
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
	// Slots is the number of slots of each agent. Zero means DefaultSlots in a cluster
	// without Workers, and none in one with them.
	Slots int
	// Workers is the number of members that only run tasks. Zero means none.
	Workers int
	// WorkerSlots is the number of slots of each of them. Zero means DefaultSlots.
	WorkerSlots int
	// Funcs are the functions that tasks can name, on all workers.
	Funcs taskexecutor.Funcs
	// SessionTimeout is how long a crashed leader is waited for, and after how long
	// without a heartbeat components regard one another as gone. Zero means
	// DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Version is what the members report of themselves.
	Version web.Version
	// Logger returns the log of the member with the ID. Nil means none.
	Logger func(id string) hclog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Size < 0 || c.Slots < 0 || c.Workers < 0 || c.WorkerSlots < 0 || c.SessionTimeout < 0 {
		return c, errors.New("minicluster: Size, Slots, Workers, WorkerSlots and SessionTimeout cannot be negative")
	}
	if c.Size == 0 {
		c.Size = DefaultSize
	}
	if c.Slots == 0 && c.Workers == 0 {
		c.Slots = DefaultSlots
	}
	if c.WorkerSlots == 0 {
		c.WorkerSlots = DefaultSlots
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = DefaultSessionTimeout
	}
	if c.Logger == nil {
		c.Logger = func(string) hclog.Logger { return hclog.NewNullLogger() }
	}
	return c, nil
}

// Cluster is several agents and workers in one process. Make it with New, run it once
// with Run; the other methods may be called from any goroutine.
type Cluster struct {
	cfg             Config
	backend         *embedded.Backend
	agents, workers []*Member
	started         chan struct{}
}

// New returns a cluster that has started nothing. Its error names the field that
// cannot be used.
func New(cfg Config) (*Cluster, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	backend, err := embedded.New(embedded.Config{SessionTimeout: cfg.SessionTimeout, Logger: cfg.Logger("backend")})
	if err != nil {
		return nil, err
	}
	c := &Cluster{cfg: cfg, backend: backend, started: make(chan struct{})}
	for i := range cfg.Size {
		c.agents = append(c.agents, c.newAgent(fmt.Sprintf("node-%d", i+1)))
	}
	for i := range cfg.Workers {
		c.workers = append(c.workers, c.newWorker(fmt.Sprintf("worker-%d", i+1)))
	}
	return c, nil
}

func (c *Cluster) newMember(id string) *Member {
	return &Member{
		id: id, participant: c.backend.Participant(id), cable: newCable(),
		killed: make(chan struct{}), gone: make(chan struct{}),
	}
}

func (c *Cluster) newAgent(id string) *Member {
	m := c.newMember(id)
	var http, rpc net.Listener
	m.listen = func(ctx context.Context) (err error) {
		var address string
		if http, address, err = m.cable.listen(ctx); err != nil {
			return err
		}
		m.url = "http://" + address
		rpc, _, err = m.cable.listen(ctx)
		return err
	}
	m.run = func(ctx context.Context) error {
		return agent.Run(ctx, agent.Config{
			ID: id, Backend: m.participant, Listener: http, HTTP: http.Addr().String(),
			RPCListener: rpc, RPCDial: m.cable.dial, Slots: c.cfg.Slots, Funcs: c.cfg.Funcs,
			SessionTimeout: c.cfg.SessionTimeout, Version: c.cfg.Version, Logger: c.cfg.Logger(id),
		})
	}
	return m
}

func (c *Cluster) newWorker(id string) *Member {
	m := c.newMember(id)
	var rpc net.Listener
	m.listen = func(ctx context.Context) (err error) {
		rpc, _, err = m.cable.listen(ctx)
		return err
	}
	m.run = func(ctx context.Context) error {
		w, err := agent.NewWorker(agent.WorkerConfig{
			ID: id, Backend: m.participant, RPCListener: rpc, RPCDial: m.cable.dial,
			Slots: c.cfg.WorkerSlots, Funcs: c.cfg.Funcs,
			SessionTimeout: c.cfg.SessionTimeout, Version: c.cfg.Version, Logger: c.cfg.Logger(id),
		})
		if err != nil {
			return err
		}
		return w.Run(ctx)
	}
	return m
}

// Run runs the members until ctx ends, and returns nil when all of them have ended: first
// the workers, so that there is somebody to whom they can say that they stop, then the
// agents. It returns earlier, with an error, when a member fails that was not killed. A
// worker that was drained ends alone.
func (c *Cluster) Run(ctx context.Context) error {
	members := c.members()
	for _, m := range members {
		if err := m.listen(ctx); err != nil {
			for _, other := range members {
				other.cable.crash()
			}
			return fmt.Errorf("listen for %s: %w", m.id, err)
		}
	}
	close(c.started)
	workers, stopWorkers := context.WithCancel(ctx)
	agents, stopAgents := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, len(members))
	var working, rest sync.WaitGroup
	for _, m := range c.workers {
		working.Go(func() { ended <- m.live(workers) })
	}
	for _, m := range c.agents {
		rest.Go(func() { ended <- m.live(agents) })
	}
	rest.Go(func() {
		<-workers.Done()
		for _, m := range members {
			m.cable.flow() // or what is under way could not end
		}
		working.Wait()
		stopAgents()
	})
	var first error
	for range members {
		if err := <-ended; err != nil && first == nil {
			first = err
			stopWorkers()
		}
	}
	stopWorkers()
	rest.Wait()
	return first
}

// members returns all of them.
func (c *Cluster) members() []*Member {
	return append(c.Agents(), c.workers...)
}

// Started is closed when every member's address is known and listens.
func (c *Cluster) Started() <-chan struct{} { return c.started }

// Agents returns the agents, in the order of their numbers.
func (c *Cluster) Agents() []*Member { return append([]*Member(nil), c.agents...) }

// Workers returns the workers, in the order of their numbers. Those that are part of
// agents are not among them.
func (c *Cluster) Workers() []*Member { return append([]*Member(nil), c.workers...) }

// URLs returns the HTTP base URLs of the agents, in the order of their numbers.
// Call it after Started.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.agents))
	for i, m := range c.agents {
		urls[i] = m.url
	}
	return urls
}

// Member returns the member with the ID, and nil when there is none.
func (c *Cluster) Member(id string) *Member {
	for _, m := range c.members() {
		if m.id == id {
			return m
		}
	}
	return nil
}
