package taskexecutor_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// here is a cluster without a network: one leader, with one job's master, that knows
// of one worker.
type here struct {
	manager manager
	master  master
}

// manager is the resource manager. The worker calls only what is written out.
type manager struct {
	gateway.ResourceManager
	registered chan gateway.Worker
}

// master is the job's master, the like.
type master struct {
	gateway.JobMaster
	ends chan gateway.AttemptEnd
}

func (here) Latest() (retrieval.State, <-chan struct{}) {
	return retrieval.State{Status: retrieval.StatusKnown, Info: leader.Info{SessionID: "s", Epoch: 42}}, nil
}

func (h here) ResourceManager(context.Context, leader.Info) (gateway.ResourceManager, func(), error) {
	return h.manager, func() {}, nil
}

func (h here) JobMaster(context.Context, leader.Info, job.ID) (gateway.JobMaster, func(), error) {
	return h.master, func() {}, nil
}

func (m manager) RegisterWorker(_ context.Context, r gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	m.registered <- r.Worker
	return gateway.WorkerReply{}, nil
}

func (manager) DisconnectWorker(context.Context, gateway.Worker, string, bool) error { return nil }

func (master) RegisterWorker(context.Context, gateway.Worker, gateway.JobReport) (gateway.JobReply, error) {
	return gateway.JobReply{}, nil
}

func (m master) AttemptsEnded(_ context.Context, _ gateway.Worker, ends []gateway.AttemptEnd) error {
	for _, end := range ends {
		m.ends <- end
	}
	return nil
}

func (master) DisconnectWorker(context.Context, gateway.Worker, string) error { return nil }

// A worker that runs a command and a function of its own program.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cluster := here{manager{registered: make(chan gateway.Worker, 1)}, master{ends: make(chan gateway.AttemptEnd, 2)}}
	worker, err := taskexecutor.New(taskexecutor.Config{
		ID: "worker-1", Slots: 2, Network: cluster, Dispatcher: cluster, ResourceManager: cluster,
		Funcs: taskexecutor.Funcs{"upper": func(_ context.Context, t taskexecutor.TaskContext) error {
			return t.SetResult([]byte(strings.ToUpper(string(t.Inputs[0].Data))))
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	fmt.Println((<-cluster.manager.registered).ID, "has registered")

	term := leader.TermID{SessionID: "s", Epoch: 42}
	slots, err := worker.RequestSlots(ctx, gateway.SlotRequest{Term: term, Job: "etl", Count: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	extract := gateway.Deployment{
		Attempt: gateway.AttemptID{Job: "etl", Task: "extract", Subtask: 1, Epoch: 42, N: 1},
		Slot:    slots[0], Parallelism: 3,
		Command: []string{"sh", "-c", `printf "part $COORDD_SUBTASK of $COORDD_PARALLELISM" > $COORDD_OUTPUT`},
	}
	if _, err := worker.Deploy(ctx, term, []gateway.Deployment{extract}); err != nil {
		fmt.Println(err)
		return
	}
	end := <-cluster.master.ends
	fmt.Printf("%s: %s\n", end.Outcome, end.Result)

	load := gateway.Deployment{
		Attempt: gateway.AttemptID{Job: "etl", Task: "load", Epoch: 42, N: 1},
		Slot:    slots[0], Func: "upper",
		Inputs: []gateway.Input{{Task: "extract", Subtask: 1, Data: end.Result}},
	}
	if _, err := worker.Deploy(ctx, term, []gateway.Deployment{load}); err != nil {
		fmt.Println(err)
		return
	}
	end = <-cluster.master.ends
	fmt.Printf("%s: %s\n", end.Outcome, end.Result)

	stop()
	fmt.Println(<-ended)
	// Output:
	// worker-1 has registered
	// finished: part 1 of 3
	// finished: PART 1 OF 3
	// context canceled
}
