package minicluster_test

import (
	"context"
	"fmt"
	"log"

	"github.com/coordd/coordd/agent/minicluster"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

// A program tests that its job survives the loss of the coordinator: the function that
// runs meanwhile is called once.
func Example() {
	begun, gate := make(chan struct{}), make(chan struct{})
	cluster, err := minicluster.New(minicluster.Config{
		Workers: 1,
		Funcs: taskexecutor.Funcs{"greet": func(_ context.Context, t taskexecutor.TaskContext) error {
			begun <- struct{}{}
			<-gate
			return t.SetResult([]byte("hello " + t.Env["WHO"]))
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- cluster.Run(ctx) }()
	<-cluster.Started()
	c, err := client.New(client.Config{Addresses: cluster.URLs()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, _, err = c.Submit(ctx, "job-1", []byte(`{"name": "greeting", "tasks": [{"id": "greet", "func": "greet", "env": {"WHO": "world"}}]}`))
	if err != nil {
		log.Fatal(err)
	}
	<-begun
	l, err := c.Leader(ctx, "dispatcher")
	if err != nil {
		log.Fatal(err)
	}
	cluster.Member(l.Leader.ID).Kill()
	close(gate)
	end, err := c.Wait(ctx, "job-1", func(job.Snapshot) {})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(end.Status, end.Tasks[0].Subtasks[0].Result)

	stop()
	fmt.Println(<-ended)
	// Output:
	// FINISHED hello world
	// <nil>
}
