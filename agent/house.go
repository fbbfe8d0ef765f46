package agent

import (
	"context"
	"math"
	"net"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/blob"
	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/cluster/resourcemanager"
	"github.com/coordd/coordd/cluster/wire"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/web"
)

// house holds the parts of an agent, wired and not yet started.
type house struct {
	id, address string
	rpcAddress  string
	network     *network
	gateways    *gateways
	backend     ha.Services
	followers   map[string]*follower
	worker      worker
	runner      *coordinator.Runner
	manager     *resourcemanager.Contender
	elector     *election.Elector
	contender   election.Contender
	server      *web.Server
	metrics     *metrics
	// fatal receives what the process must end for.
	fatal chan error
	// blobs is the folder of what is too large for the backend, nil without one.
	blobs *blob.Dir
	// blobGate is among gates, and is asked at the start, too.
	blobGate *blob.Gate
	gates    []coordinator.Gate
}

// build wires the parts. It does no I/O and starts nothing.
func (a *Agent) build(bound net.Addr, rpcListener net.Listener) (*house, error) {
	h := &house{fatal: make(chan error, 1), metrics: newMetrics()}
	var host, port string
	var err error
	if h.id, host, port, err = a.identity(bound); err != nil {
		return nil, err
	}
	h.address = "http://" + net.JoinHostPort(host, port)
	if err := a.buildNetwork(h, rpcListener); err != nil {
		return nil, err
	}
	if h.backend, err = a.newBackend(h.id); err != nil {
		return nil, err
	}
	if err := h.follow(a.log, leader.Dispatcher, leader.ResourceManager, leader.RESTServer); err != nil {
		return nil, err
	}
	// An agent lives as long as it takes for somebody to lead again, and its worker too.
	const never = math.MaxInt64
	if h.worker, err = a.newWorker(h, 0, never); err != nil {
		return nil, err
	}
	if err := a.buildCoordinator(h, a.log); err != nil {
		return nil, err
	}
	h.gateways, err = newGateways(h.network, h.runner, h.followers[leader.Dispatcher], h.followers[leader.ResourceManager], a.log)
	if err != nil {
		return nil, err
	}
	return h, a.buildServer(h, host, bound, a.log)
}

// buildNetwork wires the RPC service. The ID is that of the address, unless there is one.
func (a *Agent) buildNetwork(h *house, listener net.Listener) error {
	id, host, port, err := a.identity(listener.Addr())
	if err != nil {
		return err
	}
	setDefault(&h.id, id)
	h.rpcAddress = net.JoinHostPort(host, port)
	service, err := remote.New(remote.Config{
		Listener: listener, Address: h.rpcAddress, Gateways: wire.Gateways(), Errors: wire.Errors(),
		TLS: a.cfg.RPCTLS, Dial: a.cfg.RPCDial, Metrics: h.metrics.rpc, Logger: a.log.Named("rpc"),
	})
	if err != nil {
		return err
	}
	h.network = &network{service: service, fatal: h.fail}
	return nil
}

// follow makes followers of the leaders of components.
func (h *house) follow(log hclog.Logger, components ...string) (err error) {
	h.followers = make(map[string]*follower, len(components))
	for _, component := range components {
		if h.followers[component], err = newFollower(component, h.backend.Retrieval(), log); err != nil {
			return err
		}
	}
	return nil
}

// newBackend makes the backend that the configuration chooses.
func (a *Agent) newBackend(id string) (ha.Services, error) {
	switch {
	case a.cfg.Backend != nil:
		return a.cfg.Backend, nil
	case a.cfg.Dev:
		file := a.cfg.dataFile()
		b, err := embedded.New(embedded.Config{
			Standalone: true, File: file, SessionTimeout: a.cfg.SessionTimeout, Logger: a.log.Named("embedded"),
		})
		if err != nil {
			return nil, err
		}
		if file == "" {
			a.log.Warn("development mode without a data folder: jobs and results are in memory and end with this process")
		} else {
			a.log.Info("development mode: jobs and results are kept", "file", file)
		}
		return b.Participant(id), nil
	default:
		servers, chroot, err := a.cfg.ensemble()
		if err != nil {
			return nil, err
		}
		return zk.New(zk.Config{
			Servers: servers, Chroot: chroot, Root: a.cfg.ClusterPath(),
			Security: a.cfg.Security, SessionTimeout: a.cfg.SessionTimeout, Logger: a.log,
		})
	}
}

// buildCoordinator wires what leads: the dispatcher and the REST server, under one
// latch and in one term.
func (a *Agent) buildCoordinator(h *house, log hclog.Logger) error {
	if err := h.useBlobs(a.cfg.BlobDir); err != nil {
		return err
	}
	if err := a.buildGates(h); err != nil {
		return err
	}
	jobs, results, err := newStores(h.backend.Store(), h.metrics.store, h.jobOptions()...)
	if err != nil {
		return err
	}
	if err := a.buildManager(h, log); err != nil {
		return err
	}
	hooks := h.metrics.hooks()
	factory, err := coordinator.NewSessionFactory(coordinator.DispatcherConfig{
		Jobs: jobs, Results: results, Hooks: hooks, Logger: log.Named("dispatcher"),
		Runners: masters{
			network: h.network, managers: &managers{network: h.network, leaders: h.followers[leader.ResourceManager]},
			progress: jobmaster.NewBounded(jobs), address: h.rpcAddress, timeout: a.cfg.SessionTimeout, log: log,
		},
		ID: h.id, Fatal: h.fail, Tree: h.backend.Store(), Blobs: h.leftoverBlobs(),
		Limits: a.cfg.Limits, Retention: a.cfg.Retention,
		Cleaners: append([]coordinator.Cleaner{workerSide{h.manager}}, a.cfg.Cleaners...), CleanupRetry: a.cfg.CleanupRetry,
	})
	if err != nil {
		return err
	}
	h.runner, err = coordinator.New(coordinator.Config{
		Address: h.address, RPCAddress: h.rpcAddress, Jobs: jobs, Results: results,
		Dispatchers: factory, Host: h.hostDispatcher, Gates: h.gates, Hooks: hooks, Logger: log.Named("coordinator"),
	})
	if err != nil {
		return err
	}
	h.contender = election.Group{
		leader.Dispatcher:      h.runner,
		leader.ResourceManager: h.manager,
		leader.RESTServer:      restServer{info: leader.Info{Address: h.address, RPCAddress: h.rpcAddress}},
	}
	h.elector, err = election.New(election.Config{
		ID: h.id, Driver: h.backend.Election(), Component: leader.Dispatcher,
		StopGrace: a.cfg.stopGrace(), Logger: log.Named("elector"), Hooks: h.metrics.electionHooks(),
	})
	return err
}

// buildManager wires the resource manager, which leads with the dispatcher.
func (a *Agent) buildManager(h *house, log hclog.Logger) (err error) {
	h.manager, err = resourcemanager.New(resourcemanager.Config{
		Address: h.address, RPCAddress: h.rpcAddress, Network: reach{h.network}, Records: h.backend.Store(),
		Leaders: h.followers[leader.Dispatcher], HeartbeatTimeout: a.cfg.SessionTimeout,
		Host: func(term leader.TermID, m gateway.ResourceManager) (func(), error) {
			return host(h.network, wire.ResourceManager(), leader.ResourceManager, term, m)
		},
		Logger: log.Named("resource_manager"),
	})
	return err
}

// hostDispatcher lets others reach the dispatcher of a term, in both of its faces.
func (h *house) hostDispatcher(term leader.TermID, d coordinator.Service) (func(), error) {
	leave, err := host(h.network, wire.Dispatcher(), leader.Dispatcher, term, gateway.Dispatcher(d))
	if err != nil {
		return nil, err
	}
	recovery, ok := d.(gateway.Recovery)
	if !ok {
		return leave, nil
	}
	leaveRecovery, err := host(h.network, wire.Recovery(), leader.Dispatcher, term, recovery)
	if err != nil {
		leave()
		return nil, err
	}
	return func() { leave(); leaveRecovery() }, nil
}

func (a *Agent) buildServer(h *house, host string, bound net.Addr, log hclog.Logger) error {
	n := node{elector: h.elector, info: leader.Info{ID: h.id, Address: h.address, RPCAddress: h.rpcAddress}}
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
		ID: h.id, Node: n, Backend: h.backend, Gateways: h.gateways, Contenders: h.elector, Followers: followers,
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
	s.start(ctx, "rpc", h.network.service.Run)
	s.start(ctx, "gateways", h.gateways.Run)
	s.start(ctx, "worker", h.worker.Run)
	s.start(ctx, "web", func(ctx context.Context) error { return h.server.Run(ctx, listener) })
	s.start(ctx, "election", h.contend)
}
