package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	hazk "github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// warmups is how many rounds are not counted.
const warmups = 1

// measure fills a cluster by way of near and measures it by way of e, by turns.
func measure(ctx context.Context, near, e rig.Ensemble, o options, jobs int) (figures, error) {
	root := e.Root + "/" + uuid.NewString()
	filler, err := near.Open(ctx)
	if err != nil {
		return figures{}, err
	}
	defer filler.Close()
	if err := fill(ctx, filler, root, jobs); err != nil {
		return figures{}, fmt.Errorf("store %d jobs: %w", jobs, err)
	}
	bare, err := e.Open(ctx)
	if err != nil {
		return figures{}, err
	}
	defer bare.Close()
	var ours, floor, oneByOne rig.Times
	steps := map[coordinator.Step]rig.Times{}
	for round := range warmups + o.Rounds {
		t, err := takeOver(ctx, e, root, jobs, o.reads)
		if err != nil {
			return figures{}, err
		}
		raw, err := readAll(bare, root, jobs, floorReads)
		if err != nil {
			return figures{}, fmt.Errorf("floor: %w", err)
		}
		single, err := readAll(bare, root, jobs, 1)
		if err != nil {
			return figures{}, fmt.Errorf("one by one: %w", err)
		}
		if round < warmups {
			continue
		}
		ours, floor, oneByOne = append(ours, t.took), append(floor, raw), append(oneByOne, single)
		for step, took := range t.steps {
			steps[step] = append(steps[step], took)
		}
	}
	f := figures{Jobs: jobs, Ours: ours.At(50), Floor: floor.At(50), OneByOne: oneByOne.At(50), Steps: map[string]float64{}}
	for step, times := range steps {
		f.Steps[string(step)] = times.At(50)
	}
	f.Ratio = rig.Ratio(f.Ours, f.Floor)
	f.Gain, f.FloorGain = rig.Ratio(f.OneByOne, f.Ours), rig.Ratio(f.OneByOne, f.Floor)
	f.Share = rig.Ratio(f.Gain, f.FloorGain)
	return f, bare.Remove(root)
}

// nobody is a cluster without a resource manager and workers: jobs are started and wait.
type nobody struct{}

var (
	_ jobmaster.Resources = nobody{}
	_ jobmaster.Workers   = nobody{}
)

// ResourceManager waits until ctx ends.
func (nobody) ResourceManager(ctx context.Context) (gateway.ResourceManager, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TaskExecutor is never called.
func (nobody) TaskExecutor(context.Context, gateway.Worker, leader.TermID) (gateway.TaskExecutor, func(), error) {
	return nil, nil, gateway.ErrRefused
}

// masters makes real masters, as the agent does. They read the progress of their jobs
// while the leader publishes itself.
type masters struct{ store *jobmaster.Bounded }

var _ coordinator.JobRunnerFactory = masters{}

// NewJobRunner implements coordinator.JobRunnerFactory.
func (m masters) NewJobRunner(a coordinator.Assignment) (coordinator.JobRunner, error) {
	return jobmaster.New(jobmaster.Config{
		Guard: a.Guard, Term: leader.TermID{SessionID: a.SessionID, Epoch: a.Epoch}, Job: a.Job, Recovered: a.Recovered,
		Resources: nobody{}, Workers: nobody{}, Progress: m.store,
	})
}

// taken is one take-over.
type taken struct {
	took  time.Duration
	steps map[coordinator.Step]time.Duration
}

// watch notes what the hooks tell of one take-over.
type watch struct {
	ready context.CancelFunc

	mu      sync.Mutex
	elected time.Time
	taken   taken
	jobs    int
}

func (w *watch) onElected(election.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.elected = time.Now()
}

func (w *watch) onPublished(leader.Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken.took = time.Since(w.elected)
}

// onStep ends the take-over after its last step.
func (w *watch) onStep(step coordinator.Step, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken.steps[step] = took
	if step == coordinator.StepPublish {
		w.ready()
	}
}

func (w *watch) onRecovered(jobs, _, _ int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs = jobs
}

// takeOver has a new participant lead until it is ready.
func takeOver(ctx context.Context, e rig.Ensemble, root string, jobs, reads int) (taken, error) {
	services, err := hazk.New(hazk.Config{Servers: e.Servers, Root: root, SessionTimeout: e.SessionTimeout})
	if err != nil {
		return taken{}, err
	}
	leading, ready := context.WithCancel(ctx)
	defer ready()
	w := &watch{ready: ready, taken: taken{steps: map[coordinator.Step]time.Duration{}}}
	store, results := jobstore.New(services.Store()), resultstore.New(services.Store())
	factory, err := coordinator.NewSessionFactory(coordinator.DispatcherConfig{Jobs: store, Results: results, Runners: masters{jobmaster.NewBounded(store)}})
	if err != nil {
		return taken{}, err
	}
	runner, err := coordinator.New(coordinator.Config{
		Address: "http://127.0.0.1:7420", Jobs: store, Results: results, Dispatchers: factory, Reads: reads,
		Hooks: coordinator.Hooks{OnStep: w.onStep, OnRecovered: w.onRecovered},
	})
	if err != nil {
		return taken{}, err
	}
	elector, err := election.New(election.Config{
		ID: "bench", Driver: services.Election(), Component: leader.Dispatcher, StopGrace: e.SessionTimeout / 8,
		Hooks: election.Hooks{OnElected: w.onElected, OnPublished: w.onPublished},
	})
	if err != nil {
		return taken{}, err
	}
	connected, disconnect := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return services.Run(connected) })
	err = elector.Run(leading, runner)
	disconnect()
	if runErr := group.Wait(); err == nil || errors.Is(err, context.Canceled) {
		err = runErr
	}
	switch {
	case ctx.Err() != nil:
		return taken{}, context.Cause(ctx)
	case err != nil && !errors.Is(err, context.Canceled):
		return taken{}, fmt.Errorf("take over: %w", err)
	case w.jobs != jobs:
		return taken{}, fmt.Errorf("take over: recovered %d jobs, want %d", w.jobs, jobs)
	}
	return w.taken, nil
}
