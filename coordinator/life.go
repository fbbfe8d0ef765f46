package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/txn"
)

// live carries an accepted job to its clean result, or to the end of the term.
// It is the job's own goroutine. begun is called when the job's runner runs.
func (d *Dispatcher) live(ctx context.Context, j jobstore.Job, recovered bool, begun func()) {
	snap, ok := d.execute(ctx, j, recovered, begun)
	if !ok || !d.update(j.ID, func(e *entry) { e.become(ending, provisional(snap)) }) {
		return
	}
	if d.record(ctx, job.Result{Snapshot: snap, Digest: j.Digest}, d.cfg.Results.CreateDirty) {
		d.cleanUp(ctx, j.ID)
	}
}

// execute runs the job and returns its terminal snapshot. It reports false when
// there is none in this term: the term is over, or the job was put aside.
func (d *Dispatcher) execute(ctx context.Context, j jobstore.Job, recovered bool, begun func()) (job.Snapshot, bool) {
	if ctx.Err() != nil {
		return job.Snapshot{}, false
	}
	runner, err := d.cfg.Runners.NewJobRunner(Assignment{
		Guard: d.token.Guard, Epoch: d.token.Epoch, SessionID: d.token.SessionID,
		Job: j, Recovered: recovered,
	})
	if err != nil {
		return d.notInitialised(j, recovered, err)
	}
	var canceled bool
	if !d.update(j.ID, func(e *entry) { e.runner, canceled = runner, e.canceled }) {
		return job.Snapshot{}, false
	}
	if canceled {
		runner.Cancel()
	}
	begun()
	snap, err := runner.Run(ctx)
	switch {
	case ctx.Err() != nil, errors.Is(err, leader.ErrFenced):
		// The next leader decides how the job ends; what this one saw counts no more.
		d.log.Debug("job stopped locally", "job", j.ID)
		return job.Snapshot{}, false
	case err == nil && !snap.Status.Terminal():
		err = fmt.Errorf("its runner ended in status %s, which is not final", snap.Status)
	}
	if err != nil {
		d.quarantine(j.ID, runner.Snapshot(), fmt.Errorf("job cannot go on: %w", err))
		return job.Snapshot{}, false
	}
	return snap, true
}

// notInitialised ends a submitted job as FAILED, and puts a recovered one aside:
// it was accepted and may have run before, so the fault is likelier here.
func (d *Dispatcher) notInitialised(j jobstore.Job, recovered bool, err error) (job.Snapshot, bool) {
	err = fmt.Errorf("job cannot be initialised: %w", err)
	snap := initial(j, d.token.Epoch)
	if recovered {
		d.quarantine(j.ID, snap, err)
		return job.Snapshot{}, false
	}
	snap.Status, snap.Error, snap.FinishedAt = job.StatusFailed, err.Error(), time.Now().UTC()
	return snap, true
}

// recorder stores a result as dirty, or fails with resultstore.ErrExists.
type recorder func(ctx context.Context, g leader.Guard, r job.Result) error

// record makes the result durable as dirty, and reports false when the term
// ended first. A job that has a result already keeps it.
func (d *Dispatcher) record(ctx context.Context, res job.Result, create recorder) bool {
	id := res.Snapshot.ID
	if res.Snapshot.FinishedAt.IsZero() {
		res.Snapshot.FinishedAt = time.Now().UTC() // retention counts from here
	}
	lessen := lessening()
	err := d.cfg.ResultRetry.retry(ctx,
		func(ctx context.Context) error {
			err := create(ctx, d.token.Guard, res)
			switch {
			case errors.Is(err, resultstore.ErrExists):
				stored, _, getErr := d.cfg.Results.Get(ctx, d.token.Guard, id)
				if getErr != nil {
					return fmt.Errorf("%w, and cannot be read: %w", err, getErr)
				}
				res = stored
				return nil
			case errors.Is(err, txn.ErrTooLarge):
				res = lessen(res)
			}
			return err
		},
		func(err error, next time.Duration) {
			d.log.Warn("result could not be recorded", "job", id, "error", err, "retry_in", next)
		})
	if err != nil {
		d.log.Debug("result is left to the next leader", "job", id, "cause", err)
		return false
	}
	d.log.Info("job ended", "job", id, "status", res.Snapshot.Status)
	d.cfg.Hooks.jobEnded(res.Snapshot.Status)
	return d.update(id, func(e *entry) { e.become(dirty, res.Snapshot) })
}
