package taskexecutor_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/taskexecutor"
)

// reports is a job master that only listens.
type reports chan gateway.AttemptEnd

func (r reports) AttemptEnded(end gateway.AttemptEnd) { r <- end }

// A worker with two slots inside another program.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	worker, err := taskexecutor.New(taskexecutor.Config{ID: "worker-1", Slots: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()

	slot, err := worker.RequestSlot(ctx, "etl")
	if err != nil {
		fmt.Println(err)
		return
	}
	master := make(reports, 1)
	err = worker.Deploy(ctx, slot, gateway.Deployment{
		Attempt:     gateway.AttemptID{Job: "etl", Task: "extract", Subtask: 1, Epoch: 42, N: 1},
		Parallelism: 3,
		Command:     []string{"sh", "-c", `echo "part $COORDD_SUBTASK of $COORDD_PARALLELISM in epoch $COORDD_EPOCH"`},
	}, master)
	if err != nil {
		fmt.Println(err)
		return
	}
	end := <-master
	worker.FreeSlot(slot)
	fmt.Print(end.Outcome, ": ", end.Output)

	stop()
	fmt.Println(<-ended)
	// Output:
	// finished: part 1 of 3 in epoch 42
	// context canceled
}
