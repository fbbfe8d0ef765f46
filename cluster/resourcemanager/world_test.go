package resourcemanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// world is a cluster in a bubble: a backend in memory, a network, and terms of resource
// managers one after another.
type world struct {
	t       *testing.T
	backend *embedded.Backend
	net     *network
	leaders *leaders
	hooks   Hooks
	warned  bytes.Buffer // what was logged as a warning, or worse
	terms   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b, err := embedded.New(embedded.Config{KeepCommits: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, backend: b, net: &network{at: make(map[string]process)}, leaders: newLeaders()}
	t.Cleanup(func() {
		synctest.Wait()
		if n := w.net.connections(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
	})
	return w
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

// reign is one term of a participant.
type reign struct {
	*Manager
	w         *world
	contender *Contender
	node      *embedded.Participant
	tenure    election.Tenure
	elected   *fakeTerm
	cancel    context.CancelCauseFunc
	done      chan error
	over      bool
}

// lead elects a new participant, has it lead, and waits until nothing moves.
func (w *world) lead() *reign {
	w.t.Helper()
	r := w.elect()
	r.start()
	r.await()
	return r
}

// start begins the term of a participant that was elected.
func (r *reign) start() {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.contender.lead(ctx, r.elected) }()
}

// await waits until the manager serves.
func (r *reign) await() {
	r.w.t.Helper()
	synctest.Wait()
	m, err := r.contender.Manager()
	if err != nil {
		r.w.t.Fatalf("no manager serves: %v", err)
	}
	r.Manager = m
}

// elect elects a new participant, whose term start begins.
func (w *world) elect() *reign {
	w.t.Helper()
	w.terms++
	id := fmt.Sprintf("node-%d", w.terms)
	nctx, stop := context.WithCancel(context.Background())
	node := w.backend.Participant(id)
	stopped := make(chan error, 1)
	go func() { stopped <- node.Run(nctx) }()
	tenure, err := node.Election().Campaign(w.t.Context(), election.Candidate{ID: id, StopGrace: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &reign{
		w: w, node: node, tenure: tenure, done: make(chan error, 1), cancel: func(error) {},
		elected: &fakeTerm{guard: tenure.Guard(), session: leader.NewSessionID()},
	}
	r.contender, err = New(Config{
		RPCAddress: id + ":1", Network: w.net, Records: node.Store(), Leaders: w.leaders, Patience: patience, Hooks: w.hooks, checked: true,
		Logger: hclog.New(&hclog.LoggerOptions{Output: &w.warned, Level: hclog.Warn}),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.leaders.set(r.elected.ID())
	w.t.Cleanup(func() {
		_ = r.end(election.ErrResigned)
		stop()
		<-stopped
	})
	return r
}

// end ends the term with a cause, and waits for its end.
func (r *reign) end(cause error) error {
	if r.over {
		return nil
	}
	r.over = true
	if errors.Is(cause, election.ErrSessionExpired) {
		r.node.Expire()
	}
	r.cancel(cause)
	err := <-r.done
	if !errors.Is(cause, election.ErrSessionExpired) {
		_ = r.tenure.Release(context.Background())
	}
	return err
}

// register registers a worker and fails the test if that fails.
func (r *reign) register(f *fakeWorker) gateway.WorkerReply {
	r.w.t.Helper()
	reply, err := r.RegisterWorker(r.w.t.Context(), f.registration())
	if err != nil {
		r.w.t.Fatal(err)
	}
	synctest.Wait()
	return reply
}

// master registers a job's master that needs slots.
func (r *reign) master(id job.ID, needs ...gateway.Need) *fakeMaster {
	r.w.t.Helper()
	f := r.w.net.master(id)
	if err := r.RegisterJobMaster(r.w.t.Context(), gateway.MasterRegistration{Term: r.elected.ID(), MasterLocation: f.at}); err != nil {
		r.w.t.Fatal(err)
	}
	r.needs(id, needs...)
	return f
}

func (r *reign) needs(id job.ID, needs ...gateway.Need) {
	r.w.t.Helper()
	if err := r.DeclareNeeds(r.w.t.Context(), r.elected.ID(), id, needs); err != nil {
		r.w.t.Fatal(err)
	}
	synctest.Wait()
}

// status returns what is known of a worker, "" when it is not known.
func (r *reign) status(id string) gateway.WorkerStatus {
	r.w.t.Helper()
	all, err := r.Workers(r.w.t.Context())
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	return gateway.WorkerStatus{}
}

func (r *reign) wantState(id string, want gateway.WorkerState) {
	r.w.t.Helper()
	if got := r.status(id).State; got != want {
		r.w.t.Errorf("worker %s is %q, want %q", id, got, want)
	}
}

// stored returns the stored records by ID.
func (r *reign) stored() map[string]record {
	r.w.t.Helper()
	all, _, err := r.records.all(r.w.t.Context())
	if err != nil {
		r.w.t.Fatal(err)
	}
	byID := make(map[string]record)
	for _, rec := range all {
		byID[rec.ID] = rec
	}
	return byID
}

// pass lets virtual time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// fakeTerm is what an election gives.
type fakeTerm struct {
	guard   leader.Guard
	session leader.SessionID

	mu        sync.Mutex
	published []leader.Info
}

func (f *fakeTerm) ID() leader.TermID           { return leader.TermID{SessionID: f.session, Epoch: f.Epoch()} }
func (f *fakeTerm) SessionID() leader.SessionID { return f.session }
func (f *fakeTerm) Epoch() leader.Epoch         { return f.guard.Epoch() }
func (f *fakeTerm) Guard() leader.Guard         { return f.guard }
func (f *fakeTerm) SetPhase(leader.Phase)       {}

func (f *fakeTerm) Publish(_ context.Context, info leader.Info) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.published = append(f.published, info)
	return nil
}

// leaders is the retrieved leader.
type leaders struct {
	mu      sync.Mutex
	state   retrieval.State
	changed chan struct{}
}

func newLeaders() *leaders { return &leaders{changed: make(chan struct{})} }

func (l *leaders) Latest() (retrieval.State, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// set announces a leader, the zero term nobody.
func (l *leaders) set(t leader.TermID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = retrieval.State{Status: retrieval.StatusNone}
	if t != (leader.TermID{}) {
		l.state = retrieval.State{
			Status: retrieval.StatusKnown,
			Info:   leader.Info{Component: leader.Dispatcher, SessionID: t.SessionID, Epoch: t.Epoch},
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}
