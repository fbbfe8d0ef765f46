package resourcemanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// Holders implements gateway.ResourceManager.
func (m *Manager) Holders(ctx context.Context, id job.ID) ([]gateway.Worker, error) {
	if err := m.serving(); err != nil {
		return nil, err
	}
	select {
	case <-m.settled:
	case <-m.endpoint.Done():
		return nil, gateway.ErrNotLeader
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return ask(ctx, m, func(st *state) ([]gateway.Worker, error) { return st.holders(id), nil })
}

// holders returns the workers that hold slots of the job, by ID.
func (st *state) holders(id job.ID) []gateway.Worker {
	ids := st.pool.holders(id)
	on := make([]gateway.Worker, len(ids))
	for i, id := range ids {
		on[i] = st.workers[id].Worker
	}
	return on
}

// Workers implements gateway.ResourceManager.
func (m *Manager) Workers(ctx context.Context) ([]gateway.WorkerStatus, error) {
	return ask(ctx, m, func(st *state) ([]gateway.WorkerStatus, error) {
		all := make([]gateway.WorkerStatus, 0, len(st.workers))
		for _, w := range st.workers {
			s := gateway.WorkerStatus{
				ID: w.ID, Instance: w.Instance, Address: w.Address, State: w.state(), Labels: w.labels,
				Since: w.since, LastHeartbeat: w.heard, Release: w.release,
			}
			if p := st.pool.workers[w.ID]; p != nil {
				s.Slots, s.FreeSlots = p.slots, p.free()
			}
			all = append(all, s)
		}
		slices.SortFunc(all, func(a, b gateway.WorkerStatus) int { return cmp.Compare(a.ID, b.ID) })
		return all, nil
	})
}

// Drain implements gateway.ResourceManager. When it returns nil the worker will drain,
// whoever leads: one that cannot be told now is told with a heartbeat, or when it
// registers.
func (m *Manager) Drain(ctx context.Context, id string) error {
	_, err := perform(ctx, m, func(ctx context.Context) (struct{}, error) { return struct{}{}, m.drain(ctx, id) })
	if err != nil {
		return fmt.Errorf("drain worker %q: %w", id, err)
	}
	return nil
}

func (m *Manager) drain(ctx context.Context, id string) error {
	give, err := m.turns.take(ctx, workerTurn(id), false, nil)
	if err != nil {
		return err
	}
	defer give()
	r, err := ask(ctx, m, func(st *state) (record, error) {
		w := st.workers[id]
		if w == nil {
			return record{}, gateway.ErrNoWorker
		}
		return w.record(m.term.ID.Epoch), nil
	})
	if err != nil {
		return err
	}
	r.drain = true
	if err := m.records.put(ctx, r); err != nil {
		return err
	}
	m.tell(func(st *state) {
		w := st.workers[id]
		if w == nil { // lost meanwhile: its record is deleted next
			return
		}
		m.log.Info("worker drains", "worker", id)
		w.drain = true
		st.pool.close(id, true)
		if l := w.link; l != nil {
			l.begin(func(ctx context.Context) {
				call, cancel := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
				defer cancel()
				m.tellDrain(call, id, l.executor)
			})
		}
	})
	return nil
}

// ReleaseJob implements gateway.ResourceManager. A worker that is expected has not
// removed anything yet, which is an error: the caller comes again.
func (m *Manager) ReleaseJob(ctx context.Context, id job.ID) error {
	type target struct {
		worker   string
		executor gateway.TaskExecutor
	}
	targets, err := ask(ctx, m, func(st *state) (all []target, _ error) {
		for _, w := range st.workers {
			t := target{worker: w.ID}
			if w.link != nil {
				t.executor = w.link.executor
			}
			all = append(all, t)
		}
		return all, nil
	})
	if err != nil {
		return fmt.Errorf("release job %q: %w", id, err)
	}
	failed := make([]error, len(targets))
	var group errgroup.Group
	group.SetLimit(parallelCalls)
	for i, t := range targets {
		if t.executor == nil {
			failed[i] = fmt.Errorf("worker %q has not registered yet", t.worker)
			continue
		}
		group.Go(func() error {
			call, cancel := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
			defer cancel()
			if err := t.executor.ReleaseJob(call, m.term.ID, id); err != nil {
				failed[i] = fmt.Errorf("worker %q: %w", t.worker, err)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in failed
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("release job %q: %w", id, err)
	}
	return nil
}
