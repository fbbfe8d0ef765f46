package coordinator

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/coordd/coordd/job"
)

const (
	// DefaultRetainCount is how many clean results are kept.
	DefaultRetainCount = 1000
	// DefaultRetainAge is how long a clean result is kept.
	DefaultRetainAge = 7 * 24 * time.Hour

	// retentionInterval is how often results are looked at for their age.
	retentionInterval = time.Hour
	// retentionBatch is how many results are forgotten at once, so that a term that
	// ends does not wait for many transactions.
	retentionBatch = 100
	// retentionCleaner names retention in logs and metrics.
	retentionCleaner = "retention"
)

// Retention says which clean results are kept. The others are deleted, oldest
// end first. While a result is kept its ID is never run again; afterwards the ID
// is free. Results that cannot be read are kept until they are dropped.
type Retention struct {
	// Count is how many results are kept. Zero means DefaultRetainCount, a negative
	// one that there is no limit.
	Count int
	// Age is how long after its job's end a result is kept. Zero means
	// DefaultRetainAge, a negative one that there is no limit.
	Age time.Duration
}

func (r Retention) withDefaults() Retention {
	r.Count = cmp.Or(r.Count, DefaultRetainCount)
	r.Age = cmp.Or(r.Age, DefaultRetainAge)
	return r
}

// excess returns how many of the retained jobs, oldest end first, are too many or
// too old.
func (r Retention) excess(retained []*entry, now time.Time) int {
	n := 0
	if r.Count >= 0 {
		n = max(len(retained)-r.Count, 0)
	}
	for r.Age >= 0 && n < len(retained) && now.Sub(retained[n].snap.FinishedAt) > r.Age {
		n++
	}
	return n
}

// byEnd orders jobs by the time of their end.
func byEnd(a, b *entry) int {
	return cmp.Or(a.snap.FinishedAt.Compare(b.snap.FinishedAt), cmp.Compare(a.id, b.id))
}

// retain enters a job that has become clean.
func (r *registry) retain(e *entry) {
	at, there := slices.BinarySearchFunc(r.retained, e, byEnd)
	if !there {
		r.retained = slices.Insert(r.retained, at, e)
	}
}

// oldest returns the jobs to forget next, of which there may be more.
func (r *registry) oldest(keep Retention, now time.Time) []job.ID {
	n := min(keep.excess(r.retained, now), retentionBatch)
	ids := make([]job.ID, n)
	for i, e := range r.retained[:n] {
		ids[i] = e.id
	}
	return ids
}

// forget removes jobs whose results were deleted. Their IDs are free from here on.
func (r *registry) forget(ids []job.ID) {
	gone := make(map[job.ID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
		delete(r.jobs, id)
	}
	r.retained = slices.DeleteFunc(r.retained, func(e *entry) bool { return gone[e.id] })
}

// forgetExcess deletes the results that are not retained, at once, whenever one
// has become clean, and from time to time as they grow old, until the term is
// over.
func (d *Dispatcher) forgetExcess(ctx context.Context) {
	ticker := time.NewTicker(retentionInterval)
	defer ticker.Stop()
	for {
		if err := d.forgetNow(ctx); err != nil {
			d.log.Debug("results are left to the next leader", "cause", err)
			return
		}
		select {
		case <-d.excess:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// forgetNow deletes the results that are not retained now. First from the store,
// then from the registry: so an ID is free only when nothing of it is left, also
// for the next leader. Its error says that the term is over.
func (d *Dispatcher) forgetNow(ctx context.Context) error {
	for {
		var ids []job.ID
		alive := d.tell(func(st *state) { ids = st.oldest(d.cfg.Retention, time.Now()) })
		if !alive || len(ids) == 0 {
			return context.Cause(ctx)
		}
		err := d.cfg.CleanupRetry.retry(ctx,
			func(ctx context.Context) error { return d.cfg.Results.Forget(ctx, d.token.Guard, ids...) },
			func(err error, next time.Duration) {
				d.log.Warn("results could not be forgotten", "count", len(ids), "error", err, "retry_in", next)
				d.cfg.Hooks.cleanupFailed(retentionCleaner)
			})
		if err != nil {
			return err
		}
		d.tell(func(st *state) { st.forget(ids) })
		d.cfg.Hooks.forgotten(len(ids))
		d.log.Debug("results forgotten", "count", len(ids))
	}
}

// becomeClean notes that nothing is left of the job but its result.
func (d *Dispatcher) becomeClean(id job.ID) {
	d.tell(func(st *state) {
		e := st.jobs[id]
		if e == nil || !e.state.mayBecome(clean) {
			return
		}
		e.become(clean, e.snap)
		e.resources = nil
		st.retain(e)
	})
	select {
	case d.excess <- struct{}{}:
	default: // it will look anyhow
	}
}
