package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// storeCleaner is the name of the last step of a clean-up in logs, metrics and
// reports.
const storeCleaner = "stores"

// errPanicked ends a clean-up whose cleaner panicked; the dispatcher ends too.
var errPanicked = errors.New("cleaner panicked")

// cleanUp removes all that a job with a recorded result left, and makes the
// result clean. It returns when that is done or the term is over.
func (d *Dispatcher) cleanUp(ctx context.Context, id job.ID) {
	group, gctx := errgroup.WithContext(ctx)
	for _, c := range d.cfg.Cleaners {
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
	d.update(id, func(e *entry) { e.become(clean, e.snap) })
}

// untilDone tries clean until it succeeds or the term is over, and keeps the
// newest failure where Report shows it.
func (d *Dispatcher) untilDone(ctx context.Context, id job.ID, cleaner string, try func(context.Context) error) error {
	err := d.cfg.CleanupRetry.retry(ctx, try, func(err error, next time.Duration) {
		d.log.Warn("clean-up failed", "job", id, "cleaner", cleaner, "error", err, "retry_in", next)
		d.cfg.Hooks.cleanupFailed(cleaner)
		d.update(id, func(e *entry) { e.fail(cleaner, err) })
	})
	if err != nil {
		return fmt.Errorf("clean up %s of job %q: %w", cleaner, id, err)
	}
	d.update(id, func(e *entry) { delete(e.trouble, cleaner) })
	return nil
}

// fail notes the newest failure of a cleaner.
func (e *entry) fail(cleaner string, err error) {
	if e.trouble == nil {
		e.trouble = make(map[string]string)
	}
	e.trouble[cleaner] = err.Error()
}
