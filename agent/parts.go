package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/cluster/resourcemanager"
	"github.com/coordd/coordd/cluster/wire"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/web"
)

// node tells what this agent leads.
type node struct {
	elector *election.Elector
	// info holds the agent's ID and addresses.
	info leader.Info
}

var (
	_ web.Node       = node{}
	_ web.Contenders = (*election.Elector)(nil)
)

// Leading implements web.Node.
func (n node) Leading(component string) (leader.Info, bool, <-chan struct{}) {
	changed := n.elector.Changed()
	st := n.elector.Status()
	if !st.Leading {
		return leader.Info{}, false, changed
	}
	phase, known := st.Phases[component]
	if !known {
		phase = st.Phase
	}
	info := n.info
	info.Component, info.SessionID, info.Epoch, info.Since, info.Phase = component, st.SessionID, st.Epoch, st.Since, phase
	return info, true, changed
}

// restServer publishes where the leading agent's HTTP side is. That serves
// always, so it is ready as soon as the term begins.
type restServer struct{ info leader.Info }

var _ election.Contender = restServer{}

// Lead implements election.Contender.
func (r restServer) Lead(ctx context.Context, t *election.Term) error {
	if err := t.Publish(ctx, r.info); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// masters makes the masters of jobs, and lets workers and the resource manager reach
// them.
type masters struct {
	network  *network
	managers *managers
	progress *jobmaster.Bounded
	address  string // of this node's RPC service
	timeout  time.Duration
	log      hclog.Logger
}

var _ coordinator.JobRunnerFactory = masters{}

// NewJobRunner implements coordinator.JobRunnerFactory.
func (m masters) NewJobRunner(a coordinator.Assignment) (coordinator.JobRunner, error) {
	term := leader.TermID{SessionID: a.SessionID, Epoch: a.Epoch}
	master, err := jobmaster.New(jobmaster.Config{
		Guard: a.Guard, Term: term, Job: a.Job, Recovered: a.Recovered,
		Location:  gateway.MasterLocation{Job: a.Job.ID, Address: m.address},
		Resources: managerOf{m.managers, term}, Workers: reach{m.network}, Progress: m.progress,
		HeartbeatTimeout: m.timeout, Logger: m.log,
	})
	if err != nil {
		return nil, err
	}
	return reachable{Master: master, network: m.network, id: a.Job.ID, term: term}, nil
}

// reachable is a master that others reach while it runs.
type reachable struct {
	*jobmaster.Master

	network *network
	id      job.ID
	term    leader.TermID
}

// Run implements coordinator.JobRunner.
func (r reachable) Run(ctx context.Context) (job.Snapshot, error) {
	leave, err := host(r.network, wire.JobMaster(), masterEndpoint(r.id), r.term, gateway.JobMaster(r.Master))
	if err != nil {
		return r.Snapshot(), err
	}
	defer leave()
	return r.Master.Run(ctx)
}

// workerSide removes what finished jobs left on workers.
type workerSide struct{ manager *resourcemanager.Contender }

var _ coordinator.Cleaner = workerSide{}

// Name implements coordinator.Cleaner.
func (workerSide) Name() string { return "workers" }

// Clean implements coordinator.Cleaner.
func (w workerSide) Clean(ctx context.Context, id job.ID) error {
	m, err := w.manager.Manager()
	if err != nil {
		return err
	}
	return m.ReleaseJob(ctx, id)
}
