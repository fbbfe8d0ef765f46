package coordinator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
)

// blobAge is how old a blob must be before it can be a leftover. A blob is written
// before the znode that names it, so a young one may belong to a submission under
// way; an hour is also more than the clocks of two machines differ.
const blobAge = time.Hour

// Blobs is the store of what is too large for a znode, as Leftovers needs it;
// *blob.Dir is one. A name is the ID of a job, a dot, and letters and digits; that
// of an unfinished write is a dot, the name, another dot, and letters and digits. It
// is used once: so a name that no graph has is not one that a graph will have, and
// deleting it late, even after another leader was elected, harms nobody.
type Blobs interface {
	// List returns the names of all that was last written before, by the clock of the
	// store, and of unfinished writes.
	List(ctx context.Context, before time.Time) ([]string, error)
	// Delete removes what List named. What is not there is no error.
	Delete(ctx context.Context, name string) error
}

// jobOf returns the ID of the job that a blob was written for.
func jobOf(blob string) job.ID {
	name, unfinished := strings.CutPrefix(blob, ".")
	if unfinished {
		name = name[:max(strings.LastIndexByte(name, '.'), 0)]
	}
	return job.ID(name[:max(strings.LastIndexByte(name, '.'), 0)])
}

// blobs returns the blobs of jobs without a graph, and deletes them, if that is
// wanted. A second blob of a job with a graph, from a submission that failed, is left
// until that job is gone: so no graph need be read, and one that cannot be read keeps
// what it names. No transaction covers a blob, so it is confirmed before each that the term leads.
func (c *collection) blobs(ctx context.Context) ([]gateway.Leftover, error) {
	store := c.d.cfg.Blobs
	if store == nil {
		return nil, nil
	}
	before, err := c.d.oldestSubmission(ctx)
	if err != nil {
		return nil, err
	}
	names, err := store.List(ctx, before.Add(-blobAge))
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	if len(names) == 0 {
		return nil, nil
	}
	// After the list: what was accepted meanwhile has its graph by now.
	graphs, err := c.ids(ctx, layout.Graphs)
	if err != nil {
		return nil, err
	}
	var found []gateway.Leftover
	for _, name := range names {
		if graphs[jobOf(name)] {
			continue
		}
		if c.remove {
			if err := c.tree.Commit(ctx, c.guard); err != nil {
				return nil, fmt.Errorf("delete blob %s: %w", name, err)
			}
			if err := store.Delete(ctx, name); err != nil {
				return nil, fmt.Errorf("delete blob %s: %w", name, err)
			}
		}
		found = append(found, gateway.Leftover{
			Kind: kindBlob, Path: name, Reason: "no graph of its job is stored, and it is more than an hour old", Removed: c.remove,
		})
	}
	return found, nil
}

// oldestSubmission returns since when jobs may be on their way into the store: now,
// or when the oldest submission began that has not ended.
func (d *Dispatcher) oldestSubmission(ctx context.Context) (time.Time, error) {
	oldest := time.Now()
	err := d.ask(ctx, func(st *state) {
		for _, e := range st.jobs {
			if e.state == accepting && e.snap.SubmittedAt.Before(oldest) {
				oldest = e.snap.SubmittedAt
			}
		}
	})
	return oldest, err
}
