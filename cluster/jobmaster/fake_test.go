package jobmaster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// worker is an executor under the test's hand: it starts what is deployed, and
// the test ends it.
type worker struct {
	mu       sync.Mutex
	vacant   int
	waiting  []chan gateway.Slot
	held     map[gateway.Slot]bool
	granted  int
	deployed []gateway.Deployment // in order, all ever
	at       []time.Time          // when
	running  map[gateway.AttemptID]gateway.JobMaster
	canceled []gateway.AttemptID

	// deployErr, slotErr and onDeploy are asked on each call, if set.
	deployErr func(n int) error
	slotErr   func() error
	onDeploy  func(d gateway.Deployment, m gateway.JobMaster)
	// stubborn keeps cancelled attempts running.
	stubborn bool
}

func newWorker(slots int) *worker {
	return &worker{vacant: slots, held: map[gateway.Slot]bool{}, running: map[gateway.AttemptID]gateway.JobMaster{}}
}

func (w *worker) RequestSlot(ctx context.Context, _ job.ID) (gateway.Slot, error) {
	w.mu.Lock()
	if w.slotErr != nil {
		if err := w.slotErr(); err != nil {
			w.mu.Unlock()
			return "", err
		}
	}
	grant := make(chan gateway.Slot, 1)
	w.waiting = append(w.waiting, grant)
	w.grant()
	w.mu.Unlock()
	select {
	case s := <-grant:
		return s, nil
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waiting = slices.DeleteFunc(w.waiting, func(c chan gateway.Slot) bool { return c == grant })
		select {
		case s := <-grant: // it came too late
			w.free(s)
		default:
		}
		return "", ctx.Err()
	}
}

func (w *worker) grant() {
	for w.vacant > 0 && len(w.waiting) > 0 {
		w.vacant--
		w.granted++
		s := gateway.Slot(fmt.Sprint(w.granted))
		w.held[s] = true
		w.waiting[0] <- s
		w.waiting = w.waiting[1:]
	}
}

func (w *worker) FreeSlot(s gateway.Slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free(s)
}

func (w *worker) free(s gateway.Slot) {
	if w.held[s] {
		delete(w.held, s)
		w.vacant++
		w.grant()
	}
}

func (w *worker) Deploy(ctx context.Context, s gateway.Slot, d gateway.Deployment, m gateway.JobMaster) error {
	w.mu.Lock()
	if w.deployErr != nil {
		if err := w.deployErr(len(w.deployed) + 1); err != nil {
			w.mu.Unlock()
			return err
		}
	}
	if err := ctx.Err(); err != nil || !w.held[s] {
		w.mu.Unlock()
		return errors.Join(err, gateway.ErrNoSlot)
	}
	w.deployed = append(w.deployed, d)
	w.at = append(w.at, time.Now())
	w.running[d.Attempt] = m
	then := w.onDeploy
	w.mu.Unlock()
	if then != nil {
		then(d, m)
	}
	return nil
}

func (w *worker) CancelAttempt(_ context.Context, id gateway.AttemptID) error {
	w.mu.Lock()
	w.canceled = append(w.canceled, id)
	end := !w.stubborn
	w.mu.Unlock()
	if end {
		w.end(gateway.AttemptEnd{Attempt: id, Outcome: gateway.OutcomeCanceled, Reason: "canceled"})
	}
	return nil
}

// end reports the end of a running attempt, and whether it was running.
func (w *worker) end(end gateway.AttemptEnd) bool {
	w.mu.Lock()
	m := w.running[end.Attempt]
	delete(w.running, end.Attempt)
	w.mu.Unlock()
	if m != nil {
		m.AttemptEnded(end)
	}
	return m != nil
}

// store is a ProgressStore that fails when told to.
type store struct {
	mu     sync.Mutex
	record jobstore.Progress
	writes []jobstore.Progress
	// readErr and writeErr are asked on each call, if set; n counts from 1.
	readErr, writeErr func(n int) error
	reads             int
	// gate, when set, holds writes back until it is closed.
	gate chan struct{}
}

func (s *store) Progress(ctx context.Context, _ leader.Guard, _ job.ID) (jobstore.Progress, error) {
	if err := ctx.Err(); err != nil {
		return jobstore.Progress{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.readErr != nil {
		if err := s.readErr(s.reads); err != nil {
			return jobstore.Progress{}, err
		}
	}
	return s.record, nil
}

func (s *store) PutProgress(ctx context.Context, _ leader.Guard, _ job.ID, p jobstore.Progress) error {
	s.mu.Lock()
	s.writes = append(s.writes, p)
	n, gate := len(s.writes), s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		if err := s.writeErr(n); err != nil {
			return err
		}
	}
	s.record = p
	return nil
}

// rig is a master at work inside a synctest bubble.
type rig struct {
	t      *testing.T
	worker *worker
	store  *store
	master *Master
	next   int // of worker.deployed, for started
	cancel context.CancelFunc
	ended  chan struct{}
	snap   job.Snapshot
	err    error
}

type option func(*rig, *Config)

func slots(n int) option { return func(r *rig, _ *Config) { r.worker = newWorker(n) } }

func recorded(p jobstore.Progress) option {
	return func(r *rig, c *Config) { r.store.record, c.Recovered = p, true }
}

func with(f func(*rig)) option { return func(r *rig, _ *Config) { f(r) } }

func prepare(t *testing.T, graph job.Graph, options ...option) *rig {
	t.Helper()
	r := &rig{t: t, worker: newWorker(4), store: &store{}, ended: make(chan struct{})}
	cfg := Config{Epoch: 7, Job: jobstore.Job{ID: "j", Graph: graph, SubmittedAt: time.Now()}}
	for _, o := range options {
		o(r, &cfg)
	}
	cfg.Executor, cfg.Progress = r.worker, r.store
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.master = m
	return r
}

func (r *rig) run() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		defer cancel()
		r.snap, r.err = r.master.Run(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-r.ended
	})
	return r
}

func begin(t *testing.T, graph job.Graph, options ...option) *rig {
	t.Helper()
	return prepare(t, graph, options...).run()
}

// started returns what was deployed since the last call, sorted, as
// "task/subtask#attempt".
func (r *rig) started() []string {
	synctest.Wait()
	r.worker.mu.Lock()
	defer r.worker.mu.Unlock()
	var names []string
	for ; r.next < len(r.worker.deployed); r.next++ {
		a := r.worker.deployed[r.next].Attempt
		names = append(names, fmt.Sprintf("%s/%d#%d", a.Task, a.Subtask, a.N))
	}
	slices.Sort(names)
	return names
}

func (r *rig) expect(what string, want ...string) {
	r.t.Helper()
	if got := r.started(); !slices.Equal(got, want) {
		r.t.Errorf("%s: started %v, want %v", what, got, want)
	}
}

func attempt(task string, subtask, n int) gateway.AttemptID {
	return gateway.AttemptID{Job: "j", Task: task, Subtask: subtask, Epoch: 7, N: n}
}

// finish and fail end a running attempt.
func (r *rig) finish(task string, subtask, n int) {
	r.t.Helper()
	r.end(gateway.AttemptEnd{Attempt: attempt(task, subtask, n), Outcome: gateway.OutcomeFinished, ExitCode: new(0), Output: task + " out\n"})
}

func (r *rig) fail(task string, subtask, n int) {
	r.t.Helper()
	r.end(gateway.AttemptEnd{
		Attempt: attempt(task, subtask, n), Outcome: gateway.OutcomeFailed,
		ExitCode: new(3), Output: "begun\nboom\n", Reason: "exited with code 3",
	})
}

func (r *rig) end(end gateway.AttemptEnd) {
	r.t.Helper()
	synctest.Wait()
	if !r.worker.end(end) {
		r.t.Errorf("attempt %+v does not run", end.Attempt)
	}
	synctest.Wait()
}

// result waits for Run.
func (r *rig) result() (job.Snapshot, error) {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(100 * time.Hour):
		r.t.Errorf("Run has not returned; the job is %+v", r.master.Snapshot())
		r.cancel()
		<-r.ended
	}
	r.worker.mu.Lock()
	defer r.worker.mu.Unlock()
	if len(r.worker.held) > 0 {
		r.t.Errorf("slots %v are still held after Run", r.worker.held)
	}
	return r.snap, r.err
}

func (r *rig) finishes(want job.Status) job.Snapshot {
	r.t.Helper()
	snap, err := r.result()
	if err != nil || snap.Status != want {
		r.t.Errorf("Run returned %s and error %v, want %s", snap.Status, err, want)
	}
	return snap
}

func (r *rig) writeCount() int {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return len(r.store.writes)
}

func (r *rig) subtask(task, index int) job.SubtaskSnapshot {
	return r.master.Snapshot().Tasks[task].Subtasks[index]
}

// graph helpers

func graph(tasks ...job.Task) job.Graph {
	return job.Graph{Name: "test", Tasks: tasks}
}

func node(id string, parallelism int, needs ...string) job.Task {
	return job.Task{ID: id, Parallelism: parallelism, Needs: needs, Command: []string{"run", id}}
}

func retry(t job.Task, attempts int, delay time.Duration) job.Task {
	t.Retry = job.Retry{Attempts: attempts, Delay: job.Duration(delay)}
	return t
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }
