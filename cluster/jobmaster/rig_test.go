package jobmaster

import (
	"context"
	"fmt"
	"slices"
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

// rig is a master at work inside a synctest bubble.
type rig struct {
	t       *testing.T
	cluster *cluster
	worker  *host // the first one
	store   *store
	master  *Master
	cfg     Config
	next    map[*host]int // of worker.deployed, for started
	cancel  context.CancelFunc
	ended   chan struct{}
	snap    job.Snapshot
	err     error
}

type option func(*rig, *Config)

func slots(n int) option { return func(r *rig, _ *Config) { r.worker.capacity = n } }

// second adds another worker.
func second(slots int) option {
	return func(r *rig, _ *Config) { newHost(r.cluster, "w2", slots) }
}

func recorded(p jobstore.Progress) option {
	return func(r *rig, c *Config) { r.store.record, c.Recovered = p, true }
}

// recovered makes the job one that was accepted before, whose record is read.
func recovered() option { return func(_ *rig, c *Config) { c.Recovered = true } }

func with(f func(*rig)) option { return func(r *rig, _ *Config) { f(r) } }

func prepare(t *testing.T, graph job.Graph, options ...option) *rig {
	t.Helper()
	r := &rig{t: t, cluster: &cluster{}, store: &store{}, next: map[*host]int{}}
	r.worker = newHost(r.cluster, "w1", 4)
	r.cfg = Config{Term: term(7), Job: jobstore.Job{ID: "j", Graph: graph, SubmittedAt: time.Now()}, checked: true}
	for _, o := range options {
		o(r, &r.cfg)
	}
	r.make()
	return r
}

func term(epoch leader.Epoch) leader.TermID {
	return leader.TermID{SessionID: leader.SessionID(fmt.Sprint("session of ", epoch)), Epoch: epoch}
}

func (r *rig) make() {
	r.t.Helper()
	r.cfg.Resources, r.cfg.Workers, r.cfg.Progress = r.cluster, r.cluster, r.store
	r.cfg.Location = gateway.MasterLocation{Address: "here"}
	m, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.master = m
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.cluster.master, r.cluster.connected, r.cluster.needs = m, false, nil
	for _, w := range r.cluster.workers {
		w.registered = false
	}
}

func (r *rig) run() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan struct{})
	ended, m := r.ended, r.master
	beating, still := context.WithCancel(context.Background())
	r.cluster.calls.Go(func() { r.cluster.beat(beating, m) })
	go func() {
		defer close(ended)
		defer cancel()
		defer still()
		r.snap, r.err = m.Run(ctx)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-ended
		r.cluster.calls.Wait()
	})
	return r
}

func begin(t *testing.T, graph job.Graph, options ...option) *rig {
	t.Helper()
	return prepare(t, graph, options...).run()
}

// crash ends the master as a leader that dies does, and lets the next one take over.
// The holders of slots are known, and register when told to.
func (r *rig) takeOver() {
	r.t.Helper()
	r.cancel()
	<-r.ended
	r.cluster.mu.Lock()
	r.cluster.holders = nil
	for _, w := range r.cluster.workers {
		if len(w.slots) > 0 {
			r.cluster.holders = append(r.cluster.holders, w.who)
		}
	}
	r.cluster.mu.Unlock()
	r.cfg.Term, r.cfg.Recovered = term(r.cfg.Term.Epoch+1), true
	r.make()
	r.run()
	synctest.Wait()
}

// rejoin lets a worker register with the present master.
func (r *rig) rejoin(w *host) {
	r.t.Helper()
	synctest.Wait() // until it runs
	if err := w.register(r.master); err != nil {
		r.t.Errorf("worker %s could not register: %v", w.who.ID, err)
	}
	synctest.Wait()
}

// set looks at the cluster and the store, or changes them, while nobody else does.
func (r *rig) set(change func()) {
	synctest.Wait()
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	change()
}

// started returns what was deployed since the last call, sorted, as
// "task/subtask#attempt".
func (r *rig) started() []string {
	synctest.Wait()
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	var names []string
	for _, w := range r.cluster.workers {
		for ; r.next[w] < len(w.deployed); r.next[w]++ {
			a := w.deployed[r.next[w]].Attempt
			names = append(names, fmt.Sprintf("%s/%d#%d", a.Task, a.Subtask, a.N))
		}
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

func attempt(task string, subtask, n int) gateway.AttemptID { return attemptOf(7, task, subtask, n) }

func attemptOf(epoch leader.Epoch, task string, subtask, n int) gateway.AttemptID {
	return gateway.AttemptID{Job: "j", Task: task, Subtask: subtask, Epoch: epoch, N: n}
}

func finished(id gateway.AttemptID) gateway.AttemptEnd {
	return gateway.AttemptEnd{Attempt: id, Outcome: gateway.OutcomeFinished, ExitCode: new(0), Output: id.Task + " out\n"}
}

func failed(id gateway.AttemptID) gateway.AttemptEnd {
	return gateway.AttemptEnd{
		Attempt: id, Outcome: gateway.OutcomeFailed,
		ExitCode: new(3), Output: "begun\nboom\n", Reason: "exited with code 3",
	}
}

func canceledEnd(id gateway.AttemptID) gateway.AttemptEnd {
	return gateway.AttemptEnd{Attempt: id, Outcome: gateway.OutcomeCanceled}
}

// finish and fail end a running attempt.
func (r *rig) finish(task string, subtask, n int) {
	r.t.Helper()
	r.end(finished(attempt(task, subtask, n)))
}

func (r *rig) fail(task string, subtask, n int) {
	r.t.Helper()
	r.end(failed(attempt(task, subtask, n)))
}

func (r *rig) end(end gateway.AttemptEnd) {
	r.t.Helper()
	synctest.Wait()
	if !slices.ContainsFunc(r.cluster.workers, func(w *host) bool { return w.end(end) }) {
		r.t.Errorf("attempt %+v does not run", end.Attempt)
	}
	synctest.Wait()
}

// result waits for Run.
func (r *rig) result() (job.Snapshot, error) {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(5 * time.Hour):
		r.t.Errorf("Run has not returned; the job is %+v", r.master.Snapshot())
		r.cancel()
		<-r.ended
	}
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	for _, w := range r.cluster.workers {
		if w.connections != 0 {
			r.t.Errorf("%d connections to %s are left after Run", w.connections, w.who.ID)
		}
	}
	return r.snap, r.err
}

// finishes waits for the job's end, at which nothing may be left on workers that
// answer.
func (r *rig) finishes(want job.Status) job.Snapshot {
	r.t.Helper()
	snap, err := r.result()
	if err != nil || snap.Status != want {
		r.t.Errorf("Run returned %s (%s) and error %v, want %s", snap.Status, snap.Error, err, want)
	}
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	for _, w := range r.cluster.workers {
		// Who keeps an end keeps a slot, so that the next leader waits for it.
		if !w.down && !w.frozen && (len(w.slots) != min(1, len(w.kept)) || w.registered) {
			r.t.Errorf("worker %s holds slots %v at the job's end, and is registered: %v", w.who.ID, w.slots, w.registered)
		}
	}
	if r.cluster.connected {
		r.t.Error("the resource manager was not told of the end")
	}
	return snap
}

func (r *rig) writeCount() int {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return len(r.store.writes)
}

// says returns what the store has recorded of a subtask.
func (r *rig) says(n int) jobstore.Recorded {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	rec, _ := r.store.record.Of(n)
	return rec
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

func requiring(t job.Task, label, value string) job.Task {
	t.Requires = map[string]string{label: value}
	return t
}

// pass lets virtual time pass, and all that happens in it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func failTimes(times int, err error) func(int) error {
	return func(int) error {
		if times--; times >= 0 {
			return err
		}
		return nil
	}
}
