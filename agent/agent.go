package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// Agent is one member of a cluster. Make it with New, run it once with Run.
type Agent struct {
	cfg Config
	log hclog.Logger
}

// New returns an agent that has started nothing, or the *InvalidError of Validate.
func New(cfg Config) (*Agent, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Agent{cfg: cfg, log: cfg.Logger}, nil
}

// Run is New and Agent.Run.
func Run(ctx context.Context, cfg Config) error {
	a, err := New(cfg)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// Run takes part in the cluster until ctx ends. Then it resigns, stops everything
// else and returns nil. It may be called once.
//
// It returns an error at once when the agent cannot start (the HTTP address is in
// use, the data folder not writable, its file in use or damaged): before it contends.
// A backend that cannot be
// reached is not an error; HTTP says so, and the agent goes on trying. Later errors
// are those that going on cannot cure. With election.ErrStopGrace work of a lost
// term is still going on, and the process must end.
func (a *Agent) Run(ctx context.Context) error {
	if err := checkFolder(a.cfg.DataDir); err != nil {
		return err
	}
	if err := checkBlobDir(ctx, a.cfg.BlobDir); err != nil {
		return err
	}
	listener, err := a.listen(ctx)
	if err != nil {
		return err
	}
	rpcListener, err := a.listenRPC(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	h, err := a.build(listener.Addr(), rpcListener)
	if err != nil {
		return errors.Join(err, listener.Close(), rpcListener.Close())
	}
	err = h.metrics.register(ctx, views{
		cluster: a.cfg.ClusterID, zookeeper: len(a.cfg.ZooKeeper) > 0,
		elector: h.elector, health: h.backend, runner: h.runner,
	})
	if err != nil {
		return errors.Join(err, listener.Close(), rpcListener.Close())
	}
	s := newStack(a.log)
	h.start(ctx, s, listener)
	a.log.Info("listening", "url", h.address, "id", h.id, "cluster", a.cfg.ClusterID)
	why := s.wait(ctx, h.fatal)
	a.log.Info("stopping")
	stopped := s.stop()
	if why == nil {
		return stopped
	}
	return why
}

// listen returns the HTTP listener.
func (a *Agent) listen(ctx context.Context) (net.Listener, error) {
	if a.cfg.Listener != nil {
		return a.cfg.Listener, nil
	}
	return listenOn(ctx, "http", a.cfg.HTTP)
}

// listenRPC returns the RPC listener.
func (a *Agent) listenRPC(ctx context.Context) (net.Listener, error) {
	if a.cfg.RPCListener != nil {
		return a.cfg.RPCListener, nil
	}
	return listenOn(ctx, "rpc", a.cfg.RPC)
}

// listenOn listens on the address that a flag gives.
func listenOn(ctx context.Context, flag, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, invalid(flag, address, "is in use by another program; choose another port, or 0 for any")
	case err != nil:
		return nil, invalid(flag, address, "cannot be listened on: %v", innermost(err))
	}
	return listener, nil
}

// innermost drops the layers that repeat the address.
func innermost(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// checkFolder makes the data folder and tries whether it can be written to.
func checkFolder(dir string) error {
	if dir == "" {
		return nil
	}
	const private = 0o700
	if err := os.MkdirAll(dir, private); err != nil {
		return invalid("data-dir", dir, "cannot be made: %v", pathReason(err))
	}
	probe, err := os.CreateTemp(dir, ".writable-")
	if err != nil {
		return invalid("data-dir", dir, "is not writable: %v; change its owner or choose another folder", pathReason(err))
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return invalid("data-dir", dir, "is not writable: %v", pathReason(err))
	}
	return nil
}

// pathReason drops the operation and the path, which the caller names.
func pathReason(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// identity returns the agent's ID and the host under which others reach it.
func (a *Agent) identity(bound net.Addr) (id, host, port string, err error) {
	host, port, err = net.SplitHostPort(bound.String())
	if err != nil {
		return "", "", "", fmt.Errorf("listener address %s: %w", bound, err)
	}
	id = a.cfg.ID
	if id != "" && (a.cfg.Advertise != "" || !isUnspecified(host)) {
		return id, a.advertised(host, ""), port, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", "", "", fmt.Errorf("find the name of this machine (give --id and --advertise instead): %w", err)
	}
	if id == "" {
		id = strings.Map(idRune, filepath.Base(name)) + "-" + port
	}
	return id, a.advertised(host, name), port, nil
}

func (a *Agent) advertised(bound, machine string) string {
	switch {
	case a.cfg.Advertise != "":
		return a.cfg.Advertise
	case isUnspecified(bound):
		return machine
	}
	return bound
}

// idRune keeps what an ID may hold.
func idRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		return r
	}
	return '-'
}
