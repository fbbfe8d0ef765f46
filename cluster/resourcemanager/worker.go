package resourcemanager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
)

// worker is one that is registered, or expected to be. doc.go has the states.
type worker struct {
	gateway.Worker
	labels  map[string]string
	release string
	since   time.Time
	// heard is when it answered last.
	heard time.Time
	// link is nil while it is expected.
	link *workerLink
	// recovered says that it is expected since the manager's start.
	recovered bool
	// drain says that an operator wants it to end, as its record says; draining that it
	// does, as it reports.
	drain    bool
	draining bool
}

// workerLink is a connection to a worker.
type workerLink struct {
	link
	executor gateway.TaskExecutor
	// requests holds a value for each request under way.
	requests chan struct{}
}

func (w *worker) state() gateway.WorkerState {
	switch {
	case w.link == nil:
		return gateway.WorkerExpected
	case w.drain || w.draining:
		return gateway.WorkerDraining
	default:
		return gateway.WorkerReady
	}
}

// record is what is stored of the worker.
func (w *worker) record(epoch leader.Epoch) record {
	return record{Worker: w.Worker, epoch: epoch, since: w.since, drain: w.drain}
}

// unlinkWorker ends the connection to a worker, if there is one, and tells it why unless
// the reason is empty.
func (m *Manager) unlinkWorker(st *state, w *worker, cause error, reason string) {
	if w.link == nil {
		return
	}
	st.askWorkers.Unmonitor(w)
	m.part(&w.link.link, cause, reason)
	w.link = nil
}

// linked reports whether the link is still the worker's: late answers of others count no
// more.
func (st *state) linked(id string, l *workerLink) bool {
	w := st.workers[id]
	return w != nil && w.link == l
}

// instance returns the worker if it is this instance of it, registered.
func (st *state) instance(of gateway.Worker) *worker {
	if w := st.workers[of.ID]; w != nil && w.Instance == of.Instance && w.link != nil {
		return w
	}
	return nil
}

// expect begins with the workers of the former leader. Those whose process is gone are
// lost at once, the others when they have not registered in time.
func (m *Manager) expect(st *state, known []record, bad map[string]error) {
	for id, err := range bad {
		m.log.Warn("record of a worker cannot be read and is dropped", "worker", id, "error", err)
		st.begin(func(ctx context.Context) { m.forget(ctx, id) })
	}
	probes := make(chan struct{}, parallelCalls)
	for _, r := range known {
		w := &worker{Worker: r.Worker, since: r.since, drain: r.drain, recovered: true}
		st.workers[r.ID] = w
		st.expected++
		st.begin(func(ctx context.Context) {
			probes <- struct{}{}
			defer func() { <-probes }()
			ctx, cancel := context.WithTimeout(ctx, m.cfg.interval())
			defer cancel()
			if err := m.cfg.Network.Probe(ctx, w.Address); errors.Is(err, gateway.ErrRefused) {
				m.tell(func(st *state) { m.missing(st, w, err.Error()) })
			}
		})
	}
	if st.expected == 0 {
		close(m.settled)
		return
	}
	late := slices.Collect(maps.Values(st.workers))
	m.after(m.cfg.HeartbeatTimeout, func(st *state) {
		for _, w := range late {
			m.missing(st, w, "did not register with the new leader")
		}
	})
}

// missing ends the expectation of a worker, if it is still expected.
func (m *Manager) missing(st *state, w *worker, reason string) {
	if st.workers[w.ID] == w && w.link == nil {
		m.lose(st, w, reason)
	}
}

// arrived notes that a worker which was recovered is expected no longer.
func (m *Manager) arrived(st *state, w *worker) {
	if !w.recovered {
		return
	}
	w.recovered = false
	if st.expected--; st.expected == 0 {
		close(m.settled)
	}
}

// lose forgets a worker that is gone, here and in the store, and tells the masters of
// the jobs that have slots there. This is the only signal of its loss.
func (m *Manager) lose(st *state, w *worker, reason string) {
	m.log.Warn("worker is lost", "worker", w.ID, "instance", w.Instance, "address", w.Address, "reason", reason)
	m.cfg.Hooks.workerLost()
	m.remove(st, w, errLost, reason)
	st.begin(func(ctx context.Context) { m.forget(ctx, w.ID) })
}

// remove takes a worker out of the registry and the pool.
func (m *Manager) remove(st *state, w *worker, cause error, reason string) {
	delete(st.workers, w.ID)
	m.unlinkWorker(st, w, cause, "")
	for _, id := range st.pool.dropWorker(w.ID) {
		if owner := st.masters[id]; owner != nil {
			m.tellMaster(owner, w.Worker, reason)
		}
	}
	m.arrived(st, w)
}

// forget deletes the record of a worker, unless it has registered again. It tries until
// the term is over.
func (m *Manager) forget(ctx context.Context, id string) {
	for delay := firstPause; ; delay = min(2*delay, maxPause) {
		err := m.tryForget(ctx, id)
		if err == nil || ctx.Err() != nil || errors.Is(err, leader.ErrFenced) {
			return
		}
		m.log.Warn("record of a worker could not be deleted", "worker", id, "error", err, "retry_in", delay)
		if !wait(ctx, delay) {
			return
		}
	}
}

func (m *Manager) tryForget(ctx context.Context, id string) error {
	give, err := m.turns.take(ctx, workerTurn(id), false, nil)
	if err != nil {
		return err
	}
	defer give()
	back, err := ask(ctx, m, func(st *state) (bool, error) { return st.workers[id] != nil, nil })
	if err != nil || back {
		return err
	}
	return m.records.drop(ctx, id)
}

// workerTurn names the turn of a worker, masterTurn that of a job's master.
func workerTurn(id string) string { return "worker/" + id }

// wait lets time pass, and reports false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
