package resourcemanager_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/resourcemanager"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// host is a worker whose slots are all free. Embedding the interface stands for what the
// example does not need.
type host struct {
	gateway.TaskExecutor
	slots chan gateway.SlotRequest
}

func (h host) Heartbeat(context.Context, gateway.Peer) (gateway.WorkerReport, error) {
	return gateway.WorkerReport{Slots: 4}, nil
}

func (h host) Disconnect(context.Context, gateway.Peer, string) error { return nil }

func (h host) RequestSlots(_ context.Context, r gateway.SlotRequest) ([]gateway.Slot, error) {
	h.slots <- r
	return []gateway.Slot{"slot-1", "slot-2"}, nil
}

// master is the master of a job.
type master struct{ gateway.JobMaster }

func (master) DisconnectResourceManager(context.Context, string) error { return nil }

// local reaches both within the process.
type local struct{ host host }

func (l local) TaskExecutor(context.Context, gateway.Worker, leader.TermID) (gateway.TaskExecutor, func(), error) {
	return l.host, func() {}, nil
}

func (local) JobMaster(context.Context, gateway.MasterLocation, leader.TermID) (gateway.JobMaster, func(), error) {
	return master{}, func() {}, nil
}

func (local) Probe(context.Context, string) error { return nil }

// follower is the retrieved leader of the dispatcher.
type follower struct{ r *retrieval.Retriever }

func (f follower) Latest() (retrieval.State, <-chan struct{}) { return f.r.State() }

// Example runs a resource manager on the embedded backend: it is elected, a worker
// registers, a job's master declares what it needs, and the worker is asked for slots.
func Example() {
	backend, err := embedded.New(embedded.Config{Standalone: true})
	if err != nil {
		log.Fatal(err)
	}
	node := backend.Participant("node-1")
	dispatcher, err := retrieval.New(retrieval.Config{Driver: node.Retrieval(), Component: leader.Dispatcher})
	if err != nil {
		log.Fatal(err)
	}
	worker := host{slots: make(chan gateway.SlotRequest, 1)}
	contender, err := resourcemanager.New(resourcemanager.Config{
		RPCAddress: "127.0.0.1:7421", Network: local{worker}, Records: node.Store(), Leaders: follower{dispatcher},
	})
	if err != nil {
		log.Fatal(err)
	}
	terms := make(chan leader.TermID, 1)
	elector, err := election.New(election.Config{ID: "node-1", Driver: node.Election(), Component: "cluster"})
	if err != nil {
		log.Fatal(err)
	}
	group := election.Group{
		leader.ResourceManager: contender,
		// In place of the coordinator.
		leader.Dispatcher: election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
			if err := t.Publish(ctx, leader.Info{}); err != nil {
				return err
			}
			terms <- leader.TermID{SessionID: t.SessionID(), Epoch: t.Epoch()}
			<-ctx.Done()
			return nil
		}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = node.Run(ctx) })
	wg.Go(func() { _ = dispatcher.Run(ctx) })
	wg.Go(func() { _ = elector.Run(ctx, group) })
	for changed := elector.Changed(); elector.Status().Phase != leader.PhaseReady; changed = elector.Changed() {
		<-changed
	}

	manager, err := contender.Manager()
	if err != nil {
		log.Fatal(err)
	}
	term := <-terms
	_, err = manager.RegisterWorker(ctx, gateway.WorkerRegistration{
		Worker: gateway.Worker{ID: "worker-1", Instance: "a", Address: "127.0.0.1:7431"},
		Labels: map[string]string{"gpu": "true"}, Report: gateway.WorkerReport{Slots: 4},
	})
	fmt.Println("worker registered:", err)
	err = manager.RegisterJobMaster(ctx, gateway.MasterRegistration{
		Term: term, MasterLocation: gateway.MasterLocation{Job: "etl", Address: "127.0.0.1:7421"},
	})
	fmt.Println("master registered:", err)
	needs := []gateway.Need{{Requires: map[string]string{"gpu": "true"}, Count: 2}}
	fmt.Println("needs declared:", manager.DeclareNeeds(ctx, term, "etl", needs))
	asked := <-worker.slots
	fmt.Println("the worker is asked for", asked.Count, "slots for job", asked.Job)

	cancel()
	wg.Wait()
	_, err = manager.Workers(context.Background())
	fmt.Println("after the term:", errors.Is(err, gateway.ErrNotLeader))
	// Output:
	// worker registered: <nil>
	// master registered: <nil>
	// needs declared: <nil>
	// the worker is asked for 2 slots for job etl
	// after the term: true
}
