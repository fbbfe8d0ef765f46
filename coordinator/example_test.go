package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// greeting is a job that prints its name.
type greeting struct{ snap job.Snapshot }

func (g *greeting) Snapshot() job.Snapshot { return g.snap }
func (g *greeting) Cancel()                {}

func (g *greeting) Run(context.Context) (job.Snapshot, error) {
	fmt.Println("hello from", g.snap.Name)
	end := g.snap
	end.Status, end.FinishedAt = job.StatusFinished, time.Now().UTC()
	return end, nil
}

type greetings struct{}

func (greetings) NewJobRunner(a coordinator.Assignment) (coordinator.JobRunner, error) {
	return &greeting{job.Snapshot{
		ID: a.Job.ID, Name: a.Job.Graph.Name, Status: job.StatusRunning,
		SubmittedAt: a.Job.SubmittedAt, StartedAt: time.Now().UTC(), Epoch: int64(a.Epoch),
	}}, nil
}

// Example runs one coordinator on the embedded backend: it is elected, accepts a
// job, runs it, and answers the same submission with the job that is there.
func Example() {
	backend, err := embedded.New(embedded.Config{Standalone: true})
	if err != nil {
		log.Fatal(err)
	}
	node := backend.Participant("node-1")
	jobs, results := jobstore.New(node.Store()), resultstore.New(node.Store())
	ended := make(chan struct{})
	sessions, err := coordinator.NewSessionFactory(coordinator.DispatcherConfig{
		Jobs: jobs, Results: results, Runners: greetings{},
		Hooks: coordinator.Hooks{OnJobEnded: func(job.Status) { close(ended) }},
	})
	if err != nil {
		log.Fatal(err)
	}
	runner, err := coordinator.New(coordinator.Config{
		Address: "http://127.0.0.1:7420", Jobs: jobs, Results: results, Dispatchers: sessions,
	})
	if err != nil {
		log.Fatal(err)
	}
	elector, err := election.New(election.Config{ID: "node-1", Driver: node.Election(), Component: leader.Dispatcher})
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = node.Run(ctx) })
	wg.Go(func() { _ = elector.Run(ctx, runner) })
	for changed := elector.Changed(); elector.Status().Phase != leader.PhaseReady; changed = elector.Changed() {
		<-changed
	}

	dispatcher, err := runner.Dispatcher()
	if err != nil {
		log.Fatal(err)
	}
	s := gateway.Submission{ID: "greet", Graph: job.Graph{
		Name: "a job", Tasks: []job.Task{{ID: "hello", Command: []string{"echo", "hello"}}},
	}}
	_, created, err := dispatcher.Submit(ctx, s)
	fmt.Println("created:", created, err)
	<-ended
	_, created, err = dispatcher.Submit(ctx, s)
	fmt.Println("created again:", created, err)

	cancel()
	wg.Wait()
	_, err = dispatcher.Jobs(context.Background())
	fmt.Println("after the term:", errors.Is(err, gateway.ErrNotLeader))
	// Unordered output:
	// created: true <nil>
	// hello from a job
	// created again: false <nil>
	// after the term: true
}
