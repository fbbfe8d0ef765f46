package agent

import (
	"context"
	"errors"
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/cluster/resourcemanager"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/cluster/wire"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/rpc/remote"
)

// The names under which components are reached at a process's RPC address. The leading
// ones stand under the name of their component.
func masterEndpoint(id job.ID) string     { return "job_master/" + string(id) }
func workerEndpoint(worker string) string { return "worker/" + worker }

// network is how the components of this process reach those of others, and one another.
type network struct {
	service *remote.Service
	// fatal is told of panics.
	fatal func(error)
}

var (
	_ taskexecutor.Network    = (*network)(nil)
	_ resourcemanager.Network = reach{}
	_ jobmaster.Workers       = reach{}
)

// termOf returns the term that a published leader is in.
func termOf(info leader.Info) leader.TermID {
	return leader.TermID{SessionID: info.SessionID, Epoch: info.Epoch}
}

// ResourceManager implements taskexecutor.Network.
func (n *network) ResourceManager(ctx context.Context, info leader.Info) (gateway.ResourceManager, func(), error) {
	return remote.Connect(ctx, n.service, wire.ResourceManager(),
		rpc.Target{Address: info.RPCAddress, Endpoint: leader.ResourceManager, Term: termOf(info)})
}

// JobMaster implements taskexecutor.Network.
func (n *network) JobMaster(ctx context.Context, info leader.Info, id job.ID) (gateway.JobMaster, func(), error) {
	return remote.Connect(ctx, n.service, wire.JobMaster(),
		rpc.Target{Address: info.RPCAddress, Endpoint: masterEndpoint(id), Term: termOf(info)})
}

// host makes a component reachable under a name. A panic in a call ends the process.
func host[G any](n *network, g remote.Gateway[G], name string, term leader.TermID, impl G) (leave func(), err error) {
	return remote.Host(n.service, g, rpc.NewFence(name, term, func(p *rpc.PanicError) { n.fatal(p) }), impl)
}

// reach is the network as the components that lead use it: they name the term.
type reach struct{ *network }

// TaskExecutor implements resourcemanager.Network and jobmaster.Workers. A worker is not
// fenced as a whole: it judges the term of each call.
func (n reach) TaskExecutor(ctx context.Context, w gateway.Worker, _ leader.TermID) (gateway.TaskExecutor, func(), error) {
	return remote.Connect(ctx, n.service, wire.TaskExecutor(), rpc.Target{Address: w.Address, Endpoint: workerEndpoint(w.ID)})
}

// JobMaster implements resourcemanager.Network.
func (n reach) JobMaster(ctx context.Context, at gateway.MasterLocation, term leader.TermID) (gateway.JobMaster, func(), error) {
	return remote.Connect(ctx, n.service, wire.JobMaster(),
		rpc.Target{Address: at.Address, Endpoint: masterEndpoint(at.Job), Term: term})
}

// Probe implements resourcemanager.Network.
func (n reach) Probe(ctx context.Context, address string) error {
	_, hangUp, err := remote.Connect(ctx, n.service, wire.TaskExecutor(), rpc.Target{Address: address, Endpoint: workerEndpoint("")})
	switch {
	case err == nil:
		hangUp()
		return nil
	case errors.Is(err, rpc.ErrNoEndpoint):
		return nil // somebody answered
	}
	return err
}

// managers leads the job masters of this process to the resource manager of their term,
// over one connection for all of them.
type managers struct {
	network *network
	leaders *follower

	mu      sync.Mutex
	term    leader.TermID
	current gateway.ResourceManager // that of term, nil before it was connected to
	hangUp  func()
}

// managerOf is the resource manager of one term.
type managerOf struct {
	*managers
	term leader.TermID
}

var _ jobmaster.Resources = managerOf{}

// ResourceManager implements jobmaster.Resources.
func (m managerOf) ResourceManager(ctx context.Context) (gateway.ResourceManager, error) {
	for {
		latest, changed := m.leaders.Latest()
		switch {
		case termOf(latest.Info) == m.term:
			return m.connect(ctx, latest.Info)
		case latest.Info.Epoch > m.term.Epoch:
			return nil, gateway.ErrNotLeader
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *managers) connect(ctx context.Context, info leader.Info) (gateway.ResourceManager, error) {
	term := termOf(info)
	if current := m.connected(term); current != nil {
		return current, nil
	}
	manager, hangUp, err := m.network.ResourceManager(ctx, info)
	if err != nil {
		return nil, err
	}
	manager, surplus := m.keep(term, manager, hangUp)
	surplus()
	return manager, nil
}

// connected returns the connection of the term, nil without one.
func (m *managers) connected(term leader.TermID) gateway.ResourceManager {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.term != term {
		return nil
	}
	return m.current
}

// keep takes a connection in place of a former term's, unless another caller was faster,
// and returns how to hang up the one that is not needed.
func (m *managers) keep(term leader.TermID, manager gateway.ResourceManager, hangUp func()) (kept gateway.ResourceManager, surplus func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.term == term && m.current != nil {
		return m.current, hangUp
	}
	surplus = func() {}
	if m.hangUp != nil {
		surplus = m.hangUp
	}
	m.term, m.current, m.hangUp = term, manager, hangUp
	return manager, surplus
}
