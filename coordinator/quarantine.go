package coordinator

import (
	"context"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// recordCleaner names the writes of quarantine records in metrics.
const recordCleaner = "quarantine"

// aside is what is known of a job's quarantine. It outlives the stay there, so
// that a job that comes back keeps the time since when. It belongs to the
// goroutine that owns the registry.
type aside struct {
	reason     string
	since      time.Time
	sinceEpoch leader.Epoch
	// stored is the record as it stands in the store, nil without one.
	stored *jobstore.Quarantine
	// failure is why the record could not be written, empty when it could.
	failure string
	// writing is closed when the goroutine that writes the record has ended, nil
	// when there is none.
	writing chan struct{}
	// reviewing is closed when an operator's order has been carried out, nil when
	// there is none.
	reviewing chan struct{}
}

// recorded returns what a predecessor noted of the job, nil when it did not.
func recorded(records map[job.ID]jobstore.Quarantine, id job.ID) *aside {
	q, ok := records[id]
	if !ok {
		return nil
	}
	return &aside{reason: q.Reason, since: q.Since, sinceEpoch: q.SinceEpoch, stored: &q}
}

// setAside notes why the job, now quarantined, is kept and not run. The first
// stay decides since when.
func (e *entry) setAside(snap job.Snapshot, reason error, epoch leader.Epoch) {
	if e.aside == nil {
		e.aside = &aside{}
	}
	if e.aside.since.IsZero() {
		e.aside.since, e.aside.sinceEpoch = time.Now().UTC(), epoch
	}
	e.aside.reason = reason.Error()
	e.aside.reason = e.aside.reason[:min(len(e.aside.reason), maxError)]
	e.snap = suspended(snap, reason)
}

// suspended is the snapshot of a job that is kept but not run.
func suspended(s job.Snapshot, reason error) job.Snapshot {
	s.Status = job.StatusSuspended
	s.Error = "in quarantine, kept for the next leader: " + reason.Error()
	if s.Tasks == nil {
		s.Tasks = []job.TaskSnapshot{}
	}
	return s
}

// quarantine keeps a running job for the next leader. Nothing of it is touched.
func (d *Dispatcher) quarantine(id job.ID, snap job.Snapshot, reason error) {
	d.log.Error("job is put aside; it is kept for the next leader and not run", "job", id, "error", reason)
	d.cfg.Hooks.quarantined(id)
	d.tell(func(st *state) {
		e := st.jobs[id]
		if e == nil || !e.state.mayBecome(quarantined) {
			return
		}
		e.become(quarantined, snap)
		e.setAside(snap, reason, d.token.Epoch)
		d.keepRecord(st, e)
	})
}

// wanted returns the record that should be in the store, nil for none. Until the
// result of a job that was dropped is recorded, its record stays.
func (e *entry) wanted(writer string) *jobstore.Quarantine {
	switch a := e.aside; {
	case e.state == ending:
		return a.stored
	case e.state != quarantined:
		return nil
	case a.stored != nil && a.stored.Reason == a.reason:
		return a.stored
	default:
		return &jobstore.Quarantine{
			ID: e.id, Reason: a.reason, Since: a.since, SinceEpoch: a.sinceEpoch, Writer: writer,
		}
	}
}

// keepRecord lets a goroutine bring the job's record in line, unless there is
// nothing to do, or one that does it already.
func (d *Dispatcher) keepRecord(st *state, e *entry) {
	if e.aside == nil || e.aside.writing != nil || e.wanted(d.cfg.ID) == e.aside.stored {
		return
	}
	e.aside.writing = make(chan struct{})
	st.spawn(e.id, func(ctx context.Context) { d.writeRecord(ctx, e.id) })
}

// writeRecord writes the record until it is as wanted or the term is over. There
// is one such goroutine for a job, so that its writes do not overtake each other.
func (d *Dispatcher) writeRecord(ctx context.Context, id job.ID) {
	err := d.cfg.ResultRetry.retry(ctx, func(ctx context.Context) error {
		for {
			next, done := d.nextRecord(id)
			if done {
				return nil
			}
			if err := d.storeRecord(ctx, id, next); err != nil {
				return err
			}
			d.update(id, func(e *entry) { e.aside.stored, e.aside.failure = next, "" })
		}
	}, func(err error, next time.Duration) {
		d.log.Warn("quarantine record could not be written", "job", id, "error", err, "retry_in", next)
		d.cfg.Hooks.cleanupFailed(recordCleaner)
		d.update(id, func(e *entry) { e.aside.failure = err.Error() })
	})
	if err != nil {
		d.log.Debug("quarantine record is left to the next leader", "job", id, "cause", err)
	}
}

// nextRecord returns the record to write, nil to remove it. It reports done when
// there is nothing to do: the writer must end then, as another may be started.
func (d *Dispatcher) nextRecord(id job.ID) (next *jobstore.Quarantine, done bool) {
	done = true
	d.update(id, func(e *entry) {
		next = e.wanted(d.cfg.ID)
		if done = next == e.aside.stored; done {
			close(e.aside.writing)
			e.aside.writing = nil
		}
	})
	return next, done
}

func (d *Dispatcher) storeRecord(ctx context.Context, id job.ID, q *jobstore.Quarantine) error {
	if q == nil {
		return d.cfg.Jobs.DeleteQuarantine(ctx, d.token.Guard, id)
	}
	return d.cfg.Jobs.PutQuarantine(ctx, d.token.Guard, *q)
}

// removeRecord removes the record of a job that has ended, if it has one. The
// transaction that makes the result clean would do so too, but not if the result
// is clean already, nor while a record is on its way.
func (d *Dispatcher) removeRecord(ctx context.Context, id job.ID) error {
	var writing <-chan struct{}
	d.tell(func(st *state) {
		if e := st.jobs[id]; e != nil && e.aside != nil {
			d.keepRecord(st, e)
			writing = e.aside.writing
		}
	})
	if writing == nil {
		return nil
	}
	select {
	case <-writing:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
