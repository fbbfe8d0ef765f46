package jobstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// A leader accepts a job under the guard of its term.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	node := backend.Participant("node-1")
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	tenure, err := node.Election().Campaign(ctx, election.Candidate{ID: "node-1"})
	if err != nil {
		fmt.Println(err)
		return
	}

	store := jobstore.New(node.Store())
	graph := job.Graph{Name: "hello", Tasks: []job.Task{{ID: "greet", Command: []string{"echo", "hello"}}}}
	accepted := jobstore.Job{ID: "hello-1", Graph: graph, SubmittedAt: time.Now()}
	fmt.Println("first:", store.Put(ctx, tenure.Guard(), accepted))
	fmt.Println("again:", errors.Is(store.Put(ctx, tenure.Guard(), accepted), jobstore.ErrExists))
	ids, err := store.IDs(ctx, tenure.Guard())
	fmt.Println(ids, err)

	cancel()
	<-ended
	// Output:
	// first: <nil>
	// again: true
	// [hello-1] <nil>
}
