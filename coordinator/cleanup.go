package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// storeCleaner is the name of the last step of a clean-up in logs, metrics and
// reports: graph, progress, quarantine record and the dirty result itself.
const storeCleaner = "stores"

// errPanicked ends a clean-up whose cleaner panicked; the dispatcher ends too.
var errPanicked = errors.New("cleaner panicked")

// outputs removes the outputs of a job's tasks. They can be many, so they go in
// batches before the last transaction.
type outputs struct {
	jobs  JobStore
	guard leader.Guard
}

var _ Cleaner = outputs{}

// Name implements Cleaner.
func (outputs) Name() string { return "outputs" }

// Clean implements Cleaner.
func (o outputs) Clean(ctx context.Context, id job.ID) error {
	return o.jobs.DeleteOutputs(ctx, o.guard, id)
}

// blobs removes what is kept of a job outside the backend because it is too large.
type blobs struct {
	jobs  JobStore
	guard leader.Guard
}

var _ Cleaner = blobs{}

// Name implements Cleaner.
func (blobs) Name() string { return "blobs" }

// Clean implements Cleaner.
func (b blobs) Clean(ctx context.Context, id job.ID) error {
	return b.jobs.DeleteBlob(ctx, b.guard, id)
}

// cleaners returns what is to be done before the last step.
func (d *Dispatcher) cleaners() []Cleaner {
	return append(slices.Clip(d.cfg.Cleaners), outputs{d.cfg.Jobs, d.token.Guard}, blobs{d.cfg.Jobs, d.token.Guard})
}

// cleanUp removes all that a job with a recorded result left, and makes the
// result clean. It returns when that is done or the term is over.
func (d *Dispatcher) cleanUp(ctx context.Context, id job.ID) {
	cleaners := d.cleaners()
	d.update(id, func(e *entry) { e.leave(cleaners) })
	group, gctx := errgroup.WithContext(ctx)
	for _, c := range cleaners {
		group.Go(func() error {
			err := errPanicked
			d.protect(id, func() {
				err = d.untilDone(gctx, id, c.Name(), func(ctx context.Context) error { return c.Clean(ctx, id) })
			})
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		err = d.removeRecord(ctx, id)
	}
	if err == nil {
		// The externals are gone for certain: only now may the dirty result go,
		// which is what tells the next leader to clean.
		err = d.untilDone(ctx, id, storeCleaner, func(ctx context.Context) error {
			return d.cfg.Results.MarkClean(ctx, d.token.Guard, id, jobstore.Removal(id)...)
		})
	}
	if err != nil {
		d.log.Debug("clean-up is left to the next leader", "job", id, "cause", err)
		return
	}
	d.log.Debug("job cleaned up", "job", id)
	d.becomeClean(id)
}

// untilDone tries clean until it succeeds or the term is over, and keeps how it
// goes where Recovery shows it.
func (d *Dispatcher) untilDone(ctx context.Context, id job.ID, cleaner string, clean func(context.Context) error) error {
	failed := false
	err := d.cfg.CleanupRetry.retry(ctx,
		func(ctx context.Context) error {
			if failed {
				d.update(id, func(e *entry) { e.trying(cleaner) })
			}
			return clean(ctx)
		},
		func(err error, next time.Duration) {
			failed = true
			d.log.Warn("clean-up failed", "job", id, "cleaner", cleaner, "error", err, "retry_in", next)
			d.cfg.Hooks.cleanupFailed(cleaner)
			d.update(id, func(e *entry) { e.fail(cleaner, err, time.Now().UTC().Add(next)) })
		})
	if err != nil {
		return fmt.Errorf("clean up %s of job %q: %w", cleaner, id, err)
	}
	d.update(id, func(e *entry) { e.removed(cleaner) })
	return nil
}

// leave notes what the job still leaves behind.
func (e *entry) leave(cleaners []Cleaner) {
	e.resources = make([]gateway.Resource, 0, len(cleaners)+1)
	for _, c := range cleaners {
		e.resources = append(e.resources, gateway.Resource{Name: c.Name()})
	}
	e.resources = append(e.resources, gateway.Resource{Name: storeCleaner})
}

// resource returns the resource of a cleaner, nil when it is gone.
func (e *entry) resource(cleaner string) *gateway.Resource {
	for i := range e.resources {
		if e.resources[i].Name == cleaner {
			return &e.resources[i]
		}
	}
	return nil
}

// trying notes that a further try of the cleaner is under way.
func (e *entry) trying(cleaner string) {
	if r := e.resource(cleaner); r != nil {
		r.NextTry = time.Time{}
	}
}

// fail notes the newest failure of a cleaner.
func (e *entry) fail(cleaner string, err error, next time.Time) {
	if r := e.resource(cleaner); r != nil {
		r.Failures++
		r.Error, r.NextTry = err.Error(), next
	}
}

// removed notes that a cleaner has succeeded.
func (e *entry) removed(cleaner string) {
	e.resources = slices.DeleteFunc(e.resources, func(r gateway.Resource) bool { return r.Name == cleaner })
}
