package agent_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
)

// work is a worker of the cluster of the backend, with a function that tasks can name,
// until ctx ends.
func work(ctx context.Context, backend ha.Services) error {
	w, err := agent.NewWorker(agent.WorkerConfig{
		ID: "worker-1", Backend: backend, Slots: 2, Labels: map[string]string{"unit": "billing"},
		Funcs: taskexecutor.Funcs{"total": func(_ context.Context, t taskexecutor.TaskContext) error {
			var parts []string
			for _, in := range t.Inputs {
				parts = append(parts, string(in.Data))
			}
			return t.SetResult([]byte(strings.Join(parts, " + ")))
		}},
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// A worker inside another program, which runs commands and functions of its own. Agent
// and worker have participants of one backend here; with ZooKeeper they would be on
// different machines.
func ExampleNewWorker() {
	cluster, err := embedded.New(embedded.Config{})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- agent.Run(ctx, agent.Config{ID: "node-1", Backend: cluster.Participant("node-1"), Listener: listener})
	}()
	go func() { ended <- work(ctx, cluster.Participant("worker-1")) }()

	c, err := client.New(client.Config{Addresses: []string{listener.Addr().String()}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, _, err = c.Submit(ctx, "invoices-1", []byte(`
name: invoices
tasks:
  - id: count
    parallelism: 2
    command: [sh, -c, "printf $((COORDD_SUBTASK + 20)) > $COORDD_OUTPUT"]
  - id: sum
    needs: [count]
    func: total
    requires: {unit: billing}
`))
	if err != nil {
		log.Fatal(err)
	}
	end, err := c.Wait(ctx, "invoices-1", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(end.Status, end.Tasks[1].Subtasks[0].Result)

	stop()
	fmt.Println(errors.Join(<-ended, <-ended))
	// Output:
	// FINISHED 20 + 21
	// <nil>
}
