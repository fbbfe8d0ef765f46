package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// Jobs implements gateway.Dispatcher. Jobs in quarantine are among them, as
// SUSPENDED with the reason.
func (d *Dispatcher) Jobs(ctx context.Context) ([]job.Snapshot, error) {
	var views []view
	if err := d.ask(ctx, func(st *state) { views = st.views() }); err != nil {
		return nil, err
	}
	all := make([]job.Snapshot, len(views))
	for i, v := range views {
		all[i] = v.snapshot()
	}
	return all, nil
}

// Job implements gateway.Dispatcher.
func (d *Dispatcher) Job(ctx context.Context, id job.ID) (job.Snapshot, error) {
	v, err := d.find(ctx, id, func(*entry) {})
	if err != nil {
		return job.Snapshot{}, err
	}
	return v.snapshot(), nil
}

// Cancel implements gateway.Dispatcher. A job in quarantine cannot be canceled:
// nothing of it runs, and it is kept as it is.
func (d *Dispatcher) Cancel(ctx context.Context, id job.ID) (job.Snapshot, error) {
	v, err := d.find(ctx, id, func(e *entry) { e.canceled = e.state == running })
	if err != nil {
		return job.Snapshot{}, err
	}
	if v.state == quarantined {
		return job.Snapshot{}, fmt.Errorf("cancel job %q: it does not run: %s", id, v.snap.Error)
	}
	if v.runner != nil {
		v.runner.Cancel()
	}
	return v.snapshot(), nil
}

// find looks an accepted job up and lets note change its entry.
func (d *Dispatcher) find(ctx context.Context, id job.ID, note func(*entry)) (view, error) {
	var v view
	known := false
	err := d.ask(ctx, func(st *state) {
		e := st.jobs[id]
		if e == nil || e.state == accepting {
			return
		}
		note(e)
		v, known = e.view(), true
	})
	if err != nil {
		return view{}, err
	}
	if !known {
		return view{}, fmt.Errorf("job %q: %w", id, gateway.ErrNoJob)
	}
	return v, nil
}

// Recovery implements gateway.Recovery.
func (d *Dispatcher) Recovery(ctx context.Context) (gateway.RecoveryReport, error) {
	r := gateway.RecoveryReport{
		Epoch: d.token.Epoch, Dirty: []gateway.DirtyJob{}, Quarantine: []gateway.QuarantinedJob{},
	}
	err := d.ask(ctx, func(st *state) {
		for _, e := range st.jobs {
			switch e.state {
			case dirty:
				r.Dirty = append(r.Dirty, gateway.DirtyJob{
					ID: e.id, Status: e.snap.Status, FinishedAt: e.snap.FinishedAt,
					Resources: append([]gateway.Resource{}, e.resources...),
				})
			case quarantined:
				r.Quarantine = append(r.Quarantine, e.aside.report(e.id))
			}
		}
	})
	if err != nil {
		return gateway.RecoveryReport{}, err
	}
	slices.SortFunc(r.Dirty, func(a, b gateway.DirtyJob) int {
		return cmp.Or(a.FinishedAt.Compare(b.FinishedAt), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(r.Quarantine, func(a, b gateway.QuarantinedJob) int { return cmp.Compare(a.ID, b.ID) })
	return r, nil
}

// report is the job as an operator sees it.
func (a *aside) report(id job.ID) gateway.QuarantinedJob {
	q := gateway.QuarantinedJob{ID: id, Reason: a.reason, Since: a.since, SinceEpoch: a.sinceEpoch}
	if a.failure != "" {
		q.Reason += "; and its quarantine record cannot be written: " + a.failure
	}
	return q
}
