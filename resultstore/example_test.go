package resultstore_test

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/resultstore"
)

// A leader records that a job ended, removes what the job left elsewhere, and
// then makes the result clean while it removes the job itself.
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

	store, guard := resultstore.New(node.Store()), tenure.Guard()
	result := job.Result{Snapshot: job.Snapshot{ID: "hello-1", Status: job.StatusFinished}}
	fmt.Println("recorded:", store.CreateDirty(ctx, guard, result))
	fmt.Println("cleaned:", store.MarkClean(ctx, guard, "hello-1", jobstore.Removal("hello-1")...))
	found, clean, err := store.Get(ctx, guard, "hello-1")
	fmt.Println(found.Snapshot.Status, clean, err)

	cancel()
	<-ended
	// Output:
	// recorded: <nil>
	// cleaned: <nil>
	// FINISHED true <nil>
}
