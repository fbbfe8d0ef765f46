package jobmaster_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/jobmaster"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn/batch"
)

// crew is a resource manager and workers that finish at once what is deployed.
type crew struct {
	gateway.ResourceManager
	master  *jobmaster.Master
	workers []*instant
	once    sync.Once
	calls   sync.WaitGroup
}

type instant struct {
	gateway.TaskExecutor
	crew  *crew
	who   gateway.Worker
	slots []gateway.Slot
}

// resources leads to a crew.
type resources struct{ *crew }

func (r resources) ResourceManager(context.Context) (gateway.ResourceManager, error) {
	return r.crew, nil
}

func (c *crew) TaskExecutor(_ context.Context, w gateway.Worker, _ leader.TermID) (gateway.TaskExecutor, func(), error) {
	for _, i := range c.workers {
		if i.who == w {
			return i, func() {}, nil
		}
	}
	return nil, nil, gateway.ErrNoWorker
}

func (*crew) RegisterJobMaster(context.Context, gateway.MasterRegistration) error { return nil }

func (*crew) DisconnectJobMaster(context.Context, leader.TermID, job.ID, string) error { return nil }

// DeclareNeeds has all workers register with all their slots.
func (c *crew) DeclareNeeds(ctx context.Context, _ leader.TermID, _ job.ID, _ []gateway.Need) error {
	ctx = context.WithoutCancel(ctx)
	c.once.Do(func() {
		for _, w := range c.workers {
			c.calls.Go(func() { _, _ = c.master.RegisterWorker(ctx, w.who, gateway.JobReport{Slots: w.slots}) })
		}
	})
	return nil
}

func (w *instant) Deploy(ctx context.Context, _ leader.TermID, ds []gateway.Deployment) ([]gateway.Refusal, error) {
	ctx = context.WithoutCancel(ctx)
	ends := make([]gateway.AttemptEnd, len(ds))
	for i, d := range ds {
		ends[i] = gateway.AttemptEnd{Attempt: d.Attempt, Outcome: gateway.OutcomeFinished}
	}
	w.crew.calls.Go(func() { _ = w.crew.master.AttemptsEnded(ctx, w.who, ends) })
	return nil, nil
}

func (*instant) FreeSlots(context.Context, leader.TermID, []gateway.Slot) error { return nil }

func (*instant) Heartbeat(context.Context, gateway.Peer) (gateway.WorkerReport, error) {
	return gateway.WorkerReport{}, nil
}

func (*instant) Disconnect(context.Context, gateway.Peer, string) error { return nil }

// BenchmarkNoOpSubtasks runs a job of 20,000 subtasks over four workers that finish
// at once, with group commit over the backend in memory.
func BenchmarkNoOpSubtasks(b *testing.B) {
	const subtasks, slots = 20000, 16
	ctx, cancel := context.WithCancel(b.Context())
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		b.Fatal(err)
	}
	node := backend.Participant("node-1")
	var running sync.WaitGroup
	running.Go(func() { _ = node.Run(ctx) })
	defer running.Wait()
	defer cancel()
	tenure, err := node.Election().Campaign(ctx, election.Candidate{ID: "node-1"})
	if err != nil {
		b.Fatal(err)
	}
	driver, err := batch.New(batch.Config{Storage: node.Store()})
	if err != nil {
		b.Fatal(err)
	}
	store := jobstore.New(driver)
	n := 0
	for b.Loop() {
		n++
		j := jobstore.Job{ID: job.ID(fmt.Sprint("job-", n)), Graph: job.Graph{Name: "wide", Tasks: []job.Task{{ID: "no-op", Parallelism: subtasks, Func: "noop"}}}}
		if err := store.Put(ctx, tenure.Guard(), j); err != nil {
			b.Fatal(err)
		}
		c := &crew{}
		for i := range 4 {
			w := &instant{crew: c, who: gateway.Worker{ID: fmt.Sprint("w", i)}}
			for s := range slots {
				w.slots = append(w.slots, gateway.Slot(fmt.Sprint(i, "/", s)))
			}
			c.workers = append(c.workers, w)
		}
		guard := tenure.Guard()
		m, err := jobmaster.New(jobmaster.Config{
			Guard: guard, Term: leader.TermID{Epoch: guard.Epoch()}, Job: j,
			Resources: resources{c}, Workers: c, Progress: store,
		})
		if err != nil {
			b.Fatal(err)
		}
		c.master = m
		snap, err := m.Run(ctx)
		if err != nil || snap.Status != job.StatusFinished {
			b.Fatalf("%s, %v", snap.Status, err)
		}
		c.calls.Wait()
	}
	b.ReportMetric(float64(subtasks*n)/b.Elapsed().Seconds(), "subtasks/s")
}
