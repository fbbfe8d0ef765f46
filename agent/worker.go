package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/cluster/wire"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/web"
	"github.com/coordd/coordd/zookeeper"
)

// WorkerConfig says what a Worker is. Exactly one of ZooKeeper and Backend is set.
type WorkerConfig struct {
	// ID names this worker in its cluster, where no other may have it. Empty means host
	// name and RPC port.
	ID string
	// ZooKeeper, Security, ClusterID and Root lead to the cluster, as Config's do.
	ZooKeeper []string
	Security  zookeeper.Security
	ClusterID string
	Root      string
	// Backend is a backend that the caller made, for tests and embedders. Run runs it.
	Backend ha.Services
	// RPC is the address to listen on, HOST:PORT; port 0 takes a free one. Empty means
	// DefaultWorkerRPC.
	RPC string
	// RPCListener serves RPC in place of a listener on RPC. Run closes it. Nil means to
	// listen on RPC.
	RPCListener net.Listener
	// RPCDial makes the connections to other members. Nil means TCP.
	RPCDial func(ctx context.Context, address string) (net.Conn, error)
	// RPCTLS secures RPC, in both directions. All members of a cluster have it or none.
	RPCTLS *remote.TLS
	// Advertise is the host under which others reach this worker. Empty means the host
	// of RPC, or the host name when RPC is bound to all interfaces.
	Advertise string
	// InsecureBind allows RPC on other than loopback addresses.
	InsecureBind bool
	// DataDir is a folder of this worker alone, for the folders and the output of
	// attempts. Empty means a temporary one.
	DataDir string
	// Slots is how many subtasks run at once. At least 1.
	Slots int
	// Labels are what tasks can require of a worker.
	Labels map[string]string
	// Funcs are the functions that tasks can name, beside commands.
	Funcs taskexecutor.Funcs
	// SessionTimeout is what is asked of ZooKeeper, and after how long without a
	// heartbeat a peer is gone. Zero means DefaultSessionTimeout.
	SessionTimeout time.Duration
	// Grace is how long attempts go on without their job's master. Zero means 60 s.
	Grace time.Duration
	// UnregisteredLimit is after how long without a resource manager Run gives up. Zero
	// means 5 min.
	UnregisteredLimit time.Duration
	// Version is what the worker reports of itself.
	Version web.Version
	// Logger receives the log. Nil means none.
	Logger hclog.Logger
}

// DefaultWorkerRPC is where a worker listens that names no address.
const DefaultWorkerRPC = "127.0.0.1:0"

// Worker is a member of a cluster that runs attempts and never leads. Make it with
// NewWorker, run it once with Run.
type Worker struct {
	cfg      WorkerConfig
	base     *Agent // what it has in common with one
	retiring chan struct{}
}

// asAgent returns the part of the configuration that agents have, too.
func (c WorkerConfig) asAgent() Config {
	return Config{
		ID: c.ID, ZooKeeper: c.ZooKeeper, Security: c.Security, ClusterID: c.ClusterID, Root: c.Root, Backend: c.Backend,
		RPC: c.RPC, RPCListener: c.RPCListener, RPCDial: c.RPCDial, RPCTLS: c.RPCTLS, Advertise: c.Advertise, InsecureBind: c.InsecureBind,
		DataDir: c.DataDir, Slots: c.Slots, Labels: c.Labels, Funcs: c.Funcs,
		SessionTimeout: c.SessionTimeout, Version: c.Version, Logger: c.Logger,
	}
}

// NewWorker returns a worker that has started nothing, or an *InvalidError.
func NewWorker(cfg WorkerConfig) (*Worker, error) {
	setDefault(&cfg.RPC, DefaultWorkerRPC)
	if cfg.Slots < 1 {
		return nil, invalid("slots", fmt.Sprint(cfg.Slots), "is too few; a worker needs at least 1")
	}
	if cfg.Backend == nil && len(cfg.ZooKeeper) == 0 {
		return nil, invalid("zookeeper", "", "is missing; give HOST:PORT,... of the cluster's ensemble")
	}
	for flag, d := range map[string]time.Duration{"grace": cfg.Grace, "unregistered-limit": cfg.UnregisteredLimit} {
		if d < 0 {
			return nil, invalid(flag, d.String(), "cannot be negative; 0 means the default")
		}
	}
	base, err := New(cfg.asAgent())
	if err != nil {
		return nil, err
	}
	return &Worker{cfg: cfg, base: base, retiring: make(chan struct{}, 1)}, nil
}

// Retire has the worker take nothing new, and Run return nil when what it does has
// ended and was reported. It may be called at any time, and does not block.
func (w *Worker) Retire() {
	select {
	case w.retiring <- struct{}{}:
	default:
	}
}

// Run takes part in the cluster until ctx ends: then attempts are ended, and Run returns
// nil. It returns nil as well when the worker has retired, or was drained. Errors: one
// that names a setting that cannot be used; taskexecutor.ErrUnregistered and
// gateway.ErrRejected; what going on cannot cure of the backend.
func (w *Worker) Run(ctx context.Context) error {
	a := w.base
	if err := checkFolder(a.cfg.DataDir); err != nil {
		return err
	}
	listener, err := a.listenRPC(ctx)
	if err != nil {
		return err
	}
	h := &house{fatal: make(chan error, 1), metrics: newMetrics()}
	if err := w.build(h, listener); err != nil {
		return errors.Join(err, listener.Close())
	}
	s := newStack(a.log)
	s.start(ctx, "backend", h.backend.Run)
	for component, f := range h.followers {
		s.start(ctx, "retrieval of "+component, f.Run)
	}
	s.start(ctx, "rpc", h.network.service.Run)
	retired := make(chan struct{})
	s.start(ctx, "worker", func(ctx context.Context) error {
		err := h.worker.Run(ctx)
		if err == nil {
			close(retired)
		}
		return err
	})
	a.log.Info("worker listening", "rpc", h.rpcAddress, "id", h.id, "cluster", a.cfg.ClusterID, "slots", a.cfg.Slots)
	why := w.wait(ctx, h, s, retired)
	a.log.Info("stopping")
	stopped := s.stop()
	if why == nil {
		return stopped
	}
	return why
}

// wait passes a wish to retire on, and returns nil when the worker has, or ctx ended.
func (w *Worker) wait(ctx context.Context, h *house, s *stack, retired <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		for {
			select {
			case <-w.retiring:
				h.worker.Retire()
			case <-retired:
				cancel()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	err := s.wait(ctx, h.fatal)
	cancel()
	<-passed
	select {
	case <-retired: // the part has ended because it should
		return nil
	default:
		return err
	}
}

func (w *Worker) build(h *house, listener net.Listener) error {
	a := w.base
	if err := a.buildNetwork(h, listener); err != nil {
		return err
	}
	var err error
	if h.backend, err = a.newBackend(h.id); err != nil {
		return err
	}
	if err := h.follow(a.log, leader.Dispatcher, leader.ResourceManager); err != nil {
		return err
	}
	h.worker, err = a.newWorker(h, w.cfg.Grace, w.cfg.UnregisteredLimit)
	return err
}

// worker is a member's part that runs subtasks.
type worker interface {
	Run(ctx context.Context) error
	Retire()
}

// newWorker returns the worker of the house, one that does nothing without slots. The
// times are taskexecutor's, zero for its defaults.
func (a *Agent) newWorker(h *house, grace, unregistered time.Duration) (worker, error) {
	if a.cfg.Slots == 0 {
		return noWorker{}, nil
	}
	executor, err := taskexecutor.New(taskexecutor.Config{
		ID: h.id, Slots: a.cfg.Slots, Labels: a.cfg.Labels, Address: h.rpcAddress, Release: a.cfg.Version.Version,
		Network: h.network, Dispatcher: h.followers[leader.Dispatcher], ResourceManager: h.followers[leader.ResourceManager],
		Funcs: a.cfg.Funcs, DataDir: a.cfg.workerDir(),
		Grace: grace, UnregisteredLimit: unregistered, HeartbeatTimeout: a.cfg.SessionTimeout, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	return hostedWorker{Executor: executor, network: h.network, id: h.id}, nil
}

// hostedWorker is a worker that others reach while it runs.
type hostedWorker struct {
	*taskexecutor.Executor

	network *network
	id      string
}

// Run implements worker.
func (w hostedWorker) Run(ctx context.Context) error {
	leave, err := host(w.network, wire.TaskExecutor(), workerEndpoint(w.id), leader.TermID{}, gateway.TaskExecutor(w.Executor))
	if err != nil {
		return err
	}
	defer leave()
	return w.Executor.Run(ctx)
}

// noWorker stands for the worker of an agent without slots.
type noWorker struct{}

// Run implements worker.
func (noWorker) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Retire implements worker.
func (noWorker) Retire() {}
