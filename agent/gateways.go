package agent

import (
	"context"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/wire"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/rpc/remote"
	"github.com/coordd/coordd/web"
)

// gateways are the leader's components as the HTTP side of any node reaches them.
type gateways struct {
	network     *network
	runner      *coordinator.Runner // of this node
	leaders     *follower           // of the dispatcher
	dispatchers *rpc.Retriever[gateway.Dispatcher]
	recoveries  *rpc.Retriever[gateway.Recovery]
	managers    *rpc.Retriever[gateway.ResourceManager]
	manager     *follower // of the resource manager
}

var _ web.Gateways = (*gateways)(nil)

func newGateways(n *network, runner *coordinator.Runner, dispatcher, manager *follower, log hclog.Logger) (*gateways, error) {
	g := &gateways{network: n, runner: runner, leaders: dispatcher, manager: manager}
	var err error
	if g.dispatchers, err = newRetriever(n, wire.Dispatcher(), log); err != nil {
		return nil, err
	}
	if g.recoveries, err = newRetriever(n, wire.Recovery(), log); err != nil {
		return nil, err
	}
	g.managers, err = newRetriever(n, wire.ResourceManager(), log)
	return g, err
}

func newRetriever[G any](n *network, g remote.Gateway[G], log hclog.Logger) (*rpc.Retriever[G], error) {
	return rpc.NewRetriever(rpc.RetrieverConfig[G]{Dial: remote.Dial(n.service, g), Logger: log.Named("gateways")})
}

// Run keeps the connections to whoever leads until ctx ends.
func (g *gateways) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.dispatchers.Run(ctx) })
	group.Go(func() error { return g.recoveries.Run(ctx) })
	group.Go(func() error { return g.managers.Run(ctx) })
	group.Go(func() error {
		return g.leaders.each(ctx, func(t rpc.Target) {
			g.dispatchers.SetTarget(t)
			g.recoveries.SetTarget(t)
		})
	})
	group.Go(func() error { return g.manager.each(ctx, g.managers.SetTarget) })
	return group.Wait()
}

// each calls set with each leader of the component, and with the zero target when there
// is none, until ctx ends. While it is not known who leads, the last one counts.
func (f *follower) each(ctx context.Context, set func(rpc.Target)) error {
	for {
		latest, changed := f.Latest()
		var t rpc.Target
		if latest.Info.RPCAddress != "" {
			t = rpc.Target{Address: latest.Info.RPCAddress, Endpoint: latest.Info.Component, Term: termOf(latest.Info)}
		}
		set(t)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Dispatcher implements web.Gateways. A node that leads asks itself, which it can
// before others have heard of it.
func (g *gateways) Dispatcher() (gateway.Dispatcher, error) {
	if d, err := g.runner.Dispatcher(); err == nil {
		return d, nil
	}
	return current(g.dispatchers)
}

// Recovery implements web.Gateways.
func (g *gateways) Recovery() (gateway.Recovery, error) {
	if d, err := g.runner.Dispatcher(); err == nil {
		if r, ok := d.(gateway.Recovery); ok {
			return r, nil
		}
	}
	return current(g.recoveries)
}

// ResourceManager implements web.Gateways.
func (g *gateways) ResourceManager() (gateway.ResourceManager, error) { return current(g.managers) }

func current[G any](r *rpc.Retriever[G]) (G, error) {
	found, there := r.Current()
	if !there {
		return found, gateway.ErrNotLeader
	}
	return found, nil
}

// JobMaster implements web.Gateways.
func (g *gateways) JobMaster(ctx context.Context, id job.ID) (gateway.JobMaster, func(), error) {
	latest, _ := g.leaders.Latest()
	if latest.Info.RPCAddress == "" {
		return nil, nil, gateway.ErrNotLeader
	}
	return g.network.JobMaster(ctx, latest.Info, id)
}

// Worker implements web.Gateways.
func (g *gateways) Worker(ctx context.Context, w gateway.Worker) (gateway.TaskExecutor, func(), error) {
	return reach{g.network}.TaskExecutor(ctx, w, leader.TermID{})
}
