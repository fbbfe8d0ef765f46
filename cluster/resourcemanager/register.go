package resourcemanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
)

// RegisterWorker implements gateway.ResourceManager. Registering the same instance again
// is welcome: its report takes the place of what was known. A later call for the same ID
// supersedes one under way.
func (m *Manager) RegisterWorker(ctx context.Context, w gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	if err := checkWorker(w); err != nil {
		return gateway.WorkerReply{}, fmt.Errorf("register worker %q: %w: %w", w.Worker.ID, gateway.ErrRejected, err)
	}
	reply, err := perform(ctx, m, func(term context.Context) (gateway.WorkerReply, error) {
		// Calls to the worker end with the caller, and with whoever supersedes it; what is
		// stored does not.
		dial, cancel := context.WithCancelCause(term)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		give, err := m.turns.take(dial, workerTurn(w.Worker.ID), true, cancel)
		if err != nil {
			return gateway.WorkerReply{}, err
		}
		defer give()
		reply, err := m.register(term, dial, w)
		if err != nil && dial.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(dial), err)
		}
		return reply, err
	})
	if err != nil {
		return gateway.WorkerReply{}, fmt.Errorf("register worker %q: %w", w.Worker.ID, err)
	}
	return reply, nil
}

// checkWorker says what can never be right about a registration.
func checkWorker(w gateway.WorkerRegistration) error {
	switch {
	case !layout.Valid(w.Worker.ID):
		return errInvalidID
	case w.Worker.Instance == "" || w.Worker.Address == "":
		return errors.New("it names no instance or no address")
	case w.Report.Slots < 0:
		return fmt.Errorf("it has %d slots", w.Report.Slots)
	}
	return job.CheckLabels(w.Labels)
}

// register makes a worker known whose turn it is. term is the context of the term, dial
// that of calls to the worker.
func (m *Manager) register(term, dial context.Context, w gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	now := time.Now()
	fresh := &worker{
		Worker: w.Worker, labels: w.Labels, release: w.Release,
		since: now, heard: now, draining: w.Report.Draining,
	}
	former, err := ask(term, m, func(st *state) (worker, error) {
		if known := st.workers[w.Worker.ID]; known != nil {
			return *known, nil
		}
		return worker{}, nil
	})
	if err != nil {
		return gateway.WorkerReply{}, err
	}
	fresh.drain = former.drain
	switch former.Instance {
	case "": // there is none
	case fresh.Instance:
		fresh.since = former.since
	default:
		if err := m.checkTwin(dial, former.Worker, former.link, fresh.Worker); err != nil {
			return gateway.WorkerReply{}, err
		}
	}
	executor, closeIt, err := m.cfg.Network.TaskExecutor(dial, w.Worker, m.term.ID)
	if err != nil {
		return gateway.WorkerReply{}, fmt.Errorf("connect back to %s: %w", w.Worker.Address, err)
	}
	if former.Worker != fresh.Worker { // else the record is there as it should be
		if err := m.records.put(term, fresh.record(m.term.ID.Epoch)); err != nil {
			closeIt()
			return gateway.WorkerReply{}, err
		}
	}
	// Whatever becomes of term, it must be known whether it was entered.
	if err := m.do(context.WithoutCancel(term), func(st *state) error {
		m.install(st, fresh, w.Report, executor, closeIt)
		return nil
	}); err != nil {
		closeIt()
		return gateway.WorkerReply{}, err
	}
	return gateway.WorkerReply{HeartbeatTimeout: m.cfg.HeartbeatTimeout, Drain: fresh.drain}, nil
}

// checkTwin refuses a worker whose ID belongs to another process that lives. A former
// instance at the same address cannot.
func (m *Manager) checkTwin(ctx context.Context, former gateway.Worker, link *workerLink, fresh gateway.Worker) error {
	if former.Address == fresh.Address {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, m.cfg.interval())
	defer cancel()
	var executor gateway.TaskExecutor
	if link != nil {
		executor = link.executor
	} else {
		e, closeIt, err := m.cfg.Network.TaskExecutor(call, former, m.term.ID)
		if err != nil {
			return ctx.Err()
		}
		defer closeIt()
		executor = e
	}
	_, err := executor.Heartbeat(call, gateway.Peer{Term: m.term.ID})
	if err == nil || errors.Is(err, gateway.ErrNotRegistered) {
		return fmt.Errorf("%w: two workers have this ID: one at %s, which is alive, and one at %s",
			gateway.ErrRejected, former.Address, fresh.Address)
	}
	return ctx.Err()
}

// install enters a worker that was connected to, in place of what was known under its
// ID, and begins to watch it.
func (m *Manager) install(st *state, w *worker, r gateway.WorkerReport, executor gateway.TaskExecutor, closeIt func()) {
	switch former := st.workers[w.ID]; {
	case former == nil:
	case former.Instance != w.Instance:
		m.log.Warn("worker was replaced", "worker", w.ID, "instance", former.Instance, "address", former.Address, "by", w.Instance)
		m.cfg.Hooks.workerLost()
		m.remove(st, former, errReplaced, "another instance has registered")
	default:
		m.unlinkWorker(st, former, errReplaced, "")
		m.arrived(st, former)
	}
	w.link = &workerLink{
		link: link{
			scope: st.sub(), hangUp: closeIt,
			leave: func(ctx context.Context, reason string) error {
				return executor.Disconnect(ctx, gateway.Peer{Term: m.term.ID}, reason)
			},
		},
		executor: executor, requests: make(chan struct{}, parallelCalls),
	}
	st.workers[w.ID] = w
	st.pool.setWorker(w.ID, w.labels, r, w.drain, time.Now())
	m.log.Info("worker registered", "worker", w.ID, "instance", w.Instance, "address", w.Address,
		"slots", r.Slots, "allocated", len(r.Allocated), "state", w.state())
	st.askWorkers.Monitor(w, func(ctx context.Context) (heard, error) { return m.askWorker(ctx, w, executor) })
}

// heard is what a worker reports when it was asked at a tick of the pool.
type heard struct {
	asked  uint64
	report gateway.WorkerReport
}

// askWorker tells a worker that the manager is there, and returns what it reports.
func (m *Manager) askWorker(ctx context.Context, w *worker, executor gateway.TaskExecutor) (heard, error) {
	type situation struct {
		tick  uint64
		drain bool
	}
	now, err := ask(ctx, m, func(st *state) (situation, error) { return situation{st.pool.tick, w.drain}, nil })
	if err != nil {
		return heard{}, err
	}
	r, err := executor.Heartbeat(ctx, gateway.Peer{Term: m.term.ID})
	if err == nil && now.drain && !r.Draining { // it did not hear of it
		m.tellDrain(ctx, w.ID, executor)
	}
	return heard{now.tick, r}, err
}

// tellDrain has a worker drain. If that fails, it is told again with the next heartbeat.
func (m *Manager) tellDrain(ctx context.Context, id string, executor gateway.TaskExecutor) {
	if err := executor.Drain(ctx, m.term.ID); err != nil && ctx.Err() == nil {
		m.log.Debug("worker could not be told to drain", "worker", id, "error", err)
	}
}

// workerHeard takes over what a worker reports.
func (m *Manager) workerHeard(st *state, w *worker, h heard) {
	now := time.Now()
	w.heard, w.draining = now, h.report.Draining
	st.pool.report(w.ID, h.asked, h.report, now)
	st.pool.close(w.ID, w.drain || w.draining)
}

func (m *Manager) workerLost(st *state, w *worker, err error) {
	if st.over() {
		return
	}
	m.unlinkWorker(st, w, errLost, "no heartbeat: "+err.Error())
	m.lose(st, w, err.Error())
}

// DisconnectWorker implements gateway.ResourceManager. A worker that did not stop is
// expected back for a heartbeat time-out, with its slots, and gets no further ones until
// then. An instance that is not known is ignored.
func (m *Manager) DisconnectWorker(ctx context.Context, w gateway.Worker, reason string, stopped bool) error {
	var err error
	if stopped {
		_, err = perform(ctx, m, func(ctx context.Context) (struct{}, error) { return struct{}{}, m.stopped(ctx, w, reason) })
	} else {
		err = m.do(ctx, func(st *state) error { m.away(st, w, reason); return nil })
	}
	if err != nil {
		return fmt.Errorf("disconnect worker %q: %w", w.ID, err)
	}
	return nil
}

// stopped forgets a worker that has ended, and returns when that is stored.
func (m *Manager) stopped(ctx context.Context, w gateway.Worker, reason string) error {
	give, err := m.turns.take(ctx, workerTurn(w.ID), true, nil)
	if err != nil {
		return err
	}
	defer give()
	other, err := ask(ctx, m, func(st *state) (bool, error) {
		known := st.workers[w.ID]
		if known == nil || known.Instance != w.Instance {
			return known != nil, nil
		}
		m.log.Info("worker stopped", "worker", w.ID, "instance", w.Instance, "reason", reason)
		m.remove(st, known, errStopped, "worker stopped: "+reason)
		return false, nil
	})
	if err != nil || other {
		return err
	}
	if err := m.records.drop(ctx, w.ID); err != nil {
		m.tell(func(st *state) { st.begin(func(ctx context.Context) { m.forget(ctx, w.ID) }) })
		return err
	}
	return nil
}

// away notes that a worker has gone, to register again.
func (m *Manager) away(st *state, of gateway.Worker, reason string) {
	w := st.instance(of)
	if w == nil {
		return
	}
	m.log.Info("worker disconnected", "worker", w.ID, "instance", w.Instance, "reason", reason)
	m.unlinkWorker(st, w, errReplaced, "")
	st.pool.close(w.ID, true)
	m.after(m.cfg.HeartbeatTimeout, func(st *state) { m.missing(st, w, "did not come back: "+reason) })
}

// SlotsFreed implements gateway.ResourceManager. Errors: gateway.ErrNotRegistered for a
// worker that is not registered, or in another instance.
func (m *Manager) SlotsFreed(ctx context.Context, of gateway.Worker, slots []gateway.Slot) error {
	err := m.do(ctx, func(st *state) error {
		w := st.instance(of)
		if w == nil {
			return gateway.ErrNotRegistered
		}
		st.pool.freed(w.ID, slots, time.Now())
		return nil
	})
	if err != nil {
		return fmt.Errorf("free slots of worker %q: %w", of.ID, err)
	}
	return nil
}
