package coordinator

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// world is a coordinator over a backend in memory, inside a bubble.
type world struct {
	t         *testing.T
	backend   *backend
	jobs      *jobstore.Store
	results   *resultstore.Store
	runners   *fakeRunners
	cleaners  []Cleaner
	hooks     Hooks
	fatal     func(error)
	retention Retention
	blobs     Blobs
	// dispatcher, when set, replaces the session dispatcher.
	dispatcher func(Service) Service

	runner *Runner

	mu      sync.Mutex
	created []Service
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := newBackend()
	return &world{
		t: t, backend: b, jobs: jobstore.New(b), results: resultstore.New(b),
		runners: &fakeRunners{fails: make(map[job.ID]error)},
	}
}

// NewDispatcher counts the dispatchers.
func (w *world) NewDispatcher(t Token, r Recovery) (Service, error) {
	d, err := NewDispatcher(DispatcherConfig{
		Jobs: w.jobs, Results: w.results, Runners: w.runners, Cleaners: w.cleaners,
		Tree: w.backend, Blobs: w.blobs,
		Fatal: w.fatal, Hooks: w.hooks, Retention: w.retention, ID: "node",
	}, t, r)
	if err != nil {
		return nil, err
	}
	var s Service = d
	if w.dispatcher != nil {
		s = w.dispatcher(s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.created = append(w.created, s)
	return s, nil
}

func (w *world) dispatchers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.created)
}

// coordinator returns the one Runner of this world.
func (w *world) coordinator() *Runner {
	w.t.Helper()
	if w.runner != nil {
		return w.runner
	}
	r, err := New(Config{
		Address: "http://127.0.0.1:7420", RPCAddress: "127.0.0.1:7421",
		Jobs: w.jobs, Results: w.results, Dispatchers: w, Hooks: w.hooks,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.runner = r
	return r
}

// led is a call of Lead.
type led struct {
	term   *fakeTerm
	cancel context.CancelCauseFunc
	done   chan error
}

// lead begins the term and waits until nothing moves.
func (w *world) lead(term *fakeTerm) *led {
	w.t.Helper()
	ctx, cancel := context.WithCancelCause(w.t.Context())
	l := &led{term: term, cancel: cancel, done: make(chan error, 1)}
	r := w.coordinator()
	w.backend.elect(term.epoch)
	go func() { l.done <- r.lead(ctx, term) }()
	synctest.Wait()
	return l
}

// stop ends the term and waits for Lead.
func (l *led) stop() error {
	l.cancel(election.ErrResigned)
	return <-l.done
}

// gateway returns the gateway of the current term.
func (w *world) gateway() gateway.Dispatcher {
	w.t.Helper()
	d, err := w.coordinator().Dispatcher()
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// dispatcherNow returns the session dispatcher of the current term.
func (w *world) dispatcherNow() *Dispatcher {
	w.t.Helper()
	d, ok := w.gateway().(*Dispatcher)
	if !ok {
		w.t.Fatal("the gateway is no session dispatcher")
	}
	return d
}

// status returns the job's status as the gateway shows it.
func (w *world) status(id job.ID) job.Status {
	w.t.Helper()
	s, err := w.gateway().Job(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("job %s: %v", id, err)
	}
	return s.Status
}

func (w *world) wantStatus(id job.ID, want job.Status) {
	w.t.Helper()
	if got := w.status(id); got != want {
		w.t.Errorf("job %s is %s, want %s", id, got, want)
	}
}

// submit submits a job of one command and waits until nothing moves.
func (w *world) submit(id job.ID) {
	w.t.Helper()
	if _, created, err := w.gateway().Submit(w.t.Context(), submission(id, "true")); err != nil || !created {
		w.t.Fatalf("submit %s: created %v, error %v", id, created, err)
	}
	synctest.Wait()
}

// end ends the job's one runner and waits until nothing moves.
func (w *world) end(id job.ID, s job.Status) {
	w.t.Helper()
	w.runners.only(w.t, id).end(s)
	synctest.Wait()
}

func submission(id job.ID, command string) gateway.Submission {
	return gateway.Submission{ID: id, Graph: job.Graph{
		Name: "name of " + string(id), Tasks: []job.Task{{ID: "only", Command: []string{command}}},
	}}
}

func stored(id job.ID) jobstore.Job {
	s := submission(id, "true")
	return jobstore.Job{ID: id, Graph: s.Graph, SubmittedAt: time.Now().UTC(), Digest: s.Graph.Digest()}
}

func result(id job.ID) job.Result {
	j := stored(id)
	snap := initial(j, 1)
	snap.Status, snap.FinishedAt = job.StatusFinished, time.Now().UTC()
	return job.Result{Snapshot: snap, Digest: j.Digest}
}

// has stores what a predecessor left, as epoch 1.
func (w *world) has(graphs, dirtyIDs, cleanIDs []job.ID) {
	w.t.Helper()
	ctx, g := w.t.Context(), leader.NewGuard(1, "test")
	var errs []error
	for _, id := range append(append(append([]job.ID{}, graphs...), dirtyIDs...), cleanIDs...) {
		errs = append(errs, w.jobs.Put(ctx, g, stored(id)))
	}
	for _, id := range dirtyIDs {
		errs = append(errs, w.results.CreateDirty(ctx, g, result(id)))
	}
	for _, id := range cleanIDs {
		errs = append(errs, w.results.CreateDirty(ctx, g, result(id)), w.results.MarkClean(ctx, g, id, jobstore.Removal(id)...))
	}
	if err := errors.Join(errs...); err != nil {
		w.t.Fatal(err)
	}
}
