package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// conclude contends as id until the job has its result, and returns that, whichever
// participant ran it.
func conclude(ctx context.Context, id string, backend ha.Services, runners coordinator.JobRunnerFactory, j coordinator.SingleJob) (job.Result, error) {
	jobs, results := jobstore.New(backend.Store()), resultstore.New(backend.Store())
	single, err := coordinator.NewSingleJobFactory(coordinator.DispatcherConfig{
		Jobs: jobs, Results: results, Runners: runners,
	}, j)
	if err != nil {
		return job.Result{}, err
	}
	runner, err := coordinator.New(coordinator.Config{Jobs: jobs, Results: results, Dispatchers: single})
	if err != nil {
		return job.Result{}, err
	}
	elector, err := election.New(election.Config{ID: id, Driver: backend.Election(), Component: leader.Dispatcher})
	if err != nil {
		return job.Result{}, err
	}
	// The backend outlives the last term, in which it releases leadership; an elector
	// has nothing to do without it.
	connected, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	contending, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { defer stop(); ended <- backend.Run(connected) }()

	err = elector.Run(contending, runner)
	disconnect()
	if broken := <-ended; !errors.Is(err, coordinator.ErrJobDone) {
		return job.Result{}, errors.Join(err, broken)
	}
	return single.Result(ctx)
}

// Two participants bring the same job. The one that leads runs it; the one that leads
// after it finds the result, and ends with it too.
func ExampleSingleJobFactory() {
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		log.Fatal(err)
	}
	nightly := coordinator.SingleJob{ID: "nightly-2026-11-21", Graph: job.Graph{
		Name: "nightly", Tasks: []job.Task{{ID: "bill", Command: []string{"bill"}}},
	}}
	for _, id := range []string{"node-1", "node-2"} {
		r, err := conclude(context.Background(), id, backend.Participant(id), greetings{}, nightly)
		fmt.Println(id, "ends with", r.Snapshot.ID, r.Snapshot.Status, err)
	}
	// Output:
	// hello from nightly
	// node-1 ends with nightly-2026-11-21 FINISHED <nil>
	// node-2 ends with nightly-2026-11-21 FINISHED <nil>
}
