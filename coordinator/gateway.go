package coordinator

import (
	"context"
	"fmt"
	"maps"

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

// Report is what an operator should know of a leader's recovery.
type Report struct {
	// Quarantined are kept but not run, by submission time where it is known.
	Quarantined []job.Snapshot
	// Dirty are the jobs whose clean-up is not complete, by submission time.
	Dirty []PendingCleanup
}

// PendingCleanup is a job whose result is recorded and whose clean-up goes on.
type PendingCleanup struct {
	ID job.ID
	// Failures holds the newest error of each cleaner that failed, by its name;
	// empty while none has.
	Failures map[string]string
}

// Report lists quarantined jobs and pending clean-ups. Errors:
// gateway.ErrNotLeader, or ctx's.
func (d *Dispatcher) Report(ctx context.Context) (Report, error) {
	var r Report
	err := d.ask(ctx, func(st *state) {
		for _, v := range st.views() {
			switch v.state {
			case quarantined:
				r.Quarantined = append(r.Quarantined, v.snap)
			case dirty:
				r.Dirty = append(r.Dirty, PendingCleanup{ID: v.snap.ID, Failures: maps.Clone(st.jobs[v.snap.ID].trouble)})
			}
		}
	})
	return r, err
}
