package agent

import (
	"context"
	"net"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/web"
)

// house holds the parts of an agent, wired and not yet started.
type house struct {
	id, address string
	backend     ha.Services
	followers   map[string]*follower
	worker      worker
	runner      *coordinator.Runner
	elector     *election.Elector
	contender   election.Contender
	server      *web.Server
	metrics     *metrics
	// fatal receives what the process must end for.
	fatal chan error
}

// build wires the parts. It does no I/O and starts nothing.
func (a *Agent) build(bound net.Addr) (*house, error) {
	id, host, port, err := a.identity(bound)
	if err != nil {
		return nil, err
	}
	h := &house{id: id, address: "http://" + net.JoinHostPort(host, port), fatal: make(chan error, 1), metrics: newMetrics()}
	log := a.log
	if h.backend, err = a.newBackend(id); err != nil {
		return nil, err
	}
	if h.worker, err = newWorker(id, a.cfg.Slots, log); err != nil {
		return nil, err
	}
	if err := a.buildCoordinator(h, log); err != nil {
		return nil, err
	}
	h.followers = make(map[string]*follower)
	for _, component := range []string{leader.Dispatcher, leader.RESTServer} {
		if h.followers[component], err = newFollower(component, h.backend.Retrieval(), log); err != nil {
			return nil, err
		}
	}
	if err := a.buildServer(h, host, bound, log); err != nil {
		return nil, err
	}
	return h, nil
}

// newBackend makes the backend that the configuration chooses.
func (a *Agent) newBackend(id string) (ha.Services, error) {
	switch {
	case a.cfg.Backend != nil:
		return a.cfg.Backend, nil
	case a.cfg.Dev:
		b, err := embedded.New(embedded.Config{
			Standalone: true, SessionTimeout: a.cfg.SessionTimeout, Logger: a.log.Named("embedded"),
		})
		if err != nil {
			return nil, err
		}
		a.log.Warn("development mode: jobs and results are in memory and end with this process")
		return b.Participant(id), nil
	default:
		return zk.New(zk.Config{
			Servers: a.cfg.ZooKeeper, Root: a.cfg.Root + "/" + a.cfg.ClusterID,
			SessionTimeout: a.cfg.SessionTimeout, Logger: a.log,
		})
	}
}

// buildCoordinator wires what leads: the dispatcher and the REST server, under one
// latch and in one term.
func (a *Agent) buildCoordinator(h *house, log hclog.Logger) error {
	jobs := jobstore.New(h.backend.Store())
	results := resultstore.New(h.backend.Store())
	hooks := h.metrics.hooks()
	factory, err := coordinator.NewSessionFactory(coordinator.DispatcherConfig{
		Jobs: jobs, Results: results, Hooks: hooks, Logger: log.Named("dispatcher"),
		Runners: masters{executor: h.worker, progress: jobs, log: log},
		Fatal:   h.fail,
	})
	if err != nil {
		return err
	}
	h.runner, err = coordinator.New(coordinator.Config{
		Address: h.address, RPCAddress: a.cfg.RPC, Jobs: jobs, Results: results,
		Dispatchers: factory, Hooks: hooks, Logger: log.Named("coordinator"),
	})
	if err != nil {
		return err
	}
	h.contender = election.Group{
		leader.Dispatcher: h.runner,
		leader.RESTServer: restServer{info: leader.Info{Address: h.address, RPCAddress: a.cfg.RPC}},
	}
	h.elector, err = election.New(election.Config{
		ID: h.id, Driver: h.backend.Election(), Component: leader.Dispatcher,
		StopGrace: a.cfg.stopGrace(), Logger: log.Named("elector"), Hooks: h.metrics.electionHooks(),
	})
	return err
}

func (a *Agent) buildServer(h *house, host string, bound net.Addr, log hclog.Logger) error {
	n := node{elector: h.elector, info: leader.Info{ID: h.id, Address: h.address, RPCAddress: a.cfg.RPC}}
	followers := make(map[string]web.Follower, len(h.followers))
	for component, f := range h.followers {
		followers[component] = f
	}
	boundHost, _, err := net.SplitHostPort(bound.String())
	if err != nil {
		return err
	}
	hosts := append([]string{host, boundHost}, a.cfg.AllowedHosts...)
	if configured, _, err := net.SplitHostPort(a.cfg.HTTP); err == nil {
		hosts = append(hosts, strings.TrimSpace(configured))
	}
	h.server, err = web.New(web.Config{
		ID: h.id, Node: n, Backend: h.backend, Dispatchers: h.runner, Followers: followers,
		Metrics: h.metrics.registry, Version: a.cfg.Version, Logger: log,
		AllowedHosts: hosts, AnyAddress: isUnspecified(boundHost),
	})
	return err
}

// fail reports what the process must end for. Only the first counts.
func (h *house) fail(err error) {
	select {
	case h.fatal <- err:
	default:
	}
}

// start starts the parts: HTTP listens before the agent contends, so that the
// published address answers; and the agent resigns before anything else stops.
func (h *house) start(ctx context.Context, s *stack, listener net.Listener) {
	s.start(ctx, "backend", h.backend.Run)
	for component, f := range h.followers {
		s.start(ctx, "retrieval of "+component, f.Run)
	}
	s.start(ctx, "worker", h.worker.Run)
	s.start(ctx, "web", func(ctx context.Context) error { return h.server.Run(ctx, listener) })
	s.start(ctx, "election", func(ctx context.Context) error { return h.elector.Run(ctx, h.contender) })
}
