package agent

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/cluster/taskexecutor"
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

var _ web.Node = node{}

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

// masters makes the masters of jobs.
type masters struct {
	executor gateway.TaskExecutor
	progress jobmaster.ProgressStore
	log      hclog.Logger
}

var _ coordinator.JobRunnerFactory = masters{}

// NewJobRunner implements coordinator.JobRunnerFactory.
func (m masters) NewJobRunner(a coordinator.Assignment) (coordinator.JobRunner, error) {
	master, err := jobmaster.New(jobmaster.Config{
		Guard: a.Guard, Epoch: a.Epoch, Job: a.Job, Recovered: a.Recovered,
		Executor: m.executor, Progress: m.progress, Logger: m.log,
	})
	if err != nil {
		return nil, err
	}
	return master, nil
}

// worker is the agent's part that runs subtasks.
type worker interface {
	gateway.TaskExecutor
	Run(ctx context.Context) error
}

// newWorker returns a worker with as many slots, which may be zero.
func newWorker(id string, slots int, log hclog.Logger) (worker, error) {
	if slots == 0 {
		return noWorker{log: log}, nil
	}
	return taskexecutor.New(taskexecutor.Config{ID: id, Slots: slots, Logger: log})
}

// noWorker stands for the worker of an agent without slots: jobs wait.
type noWorker struct{ log hclog.Logger }

var _ worker = noWorker{}

// Run implements worker.
func (noWorker) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// RequestSlot implements gateway.TaskExecutor: it waits for ever.
func (w noWorker) RequestSlot(ctx context.Context, id job.ID) (gateway.Slot, error) {
	w.log.Warn("job waits: the leading agent has no worker; start agents with --slots", "job", id)
	<-ctx.Done()
	return "", ctx.Err()
}

// FreeSlot implements gateway.TaskExecutor.
func (noWorker) FreeSlot(gateway.Slot) {}

// Deploy implements gateway.TaskExecutor.
func (noWorker) Deploy(context.Context, gateway.Slot, gateway.Deployment, gateway.JobMaster) error {
	return gateway.ErrNoSlot
}

// CancelAttempt implements gateway.TaskExecutor.
func (noWorker) CancelAttempt(context.Context, gateway.AttemptID) error { return nil }
