package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// errNoTree: the dispatcher was not given what Leftovers reads.
var errNoTree = errors.New("this dispatcher cannot look for leftovers: DispatcherConfig.Tree is not set")

// leftoverBatch is how many jobs' leftovers are looked at, and deleted, at once:
// enough to save round trips, few enough to delay neither a renewal of the lease
// nor for long a submission of one of their IDs.
const leftoverBatch = 50

// The kinds of leftovers; see gateway.Leftover.
const (
	kindProgress   = "progress"
	kindOutput     = "output"
	kindQuarantine = "quarantine"
	kindBlob       = "blob"
)

// Tree is the backend's guarded storage, below the stores; ha.Store is one. Paths
// are relative. All methods fail with an error that wraps leader.ErrFenced once the
// guard's term is over.
type Tree interface {
	// Get returns the data at path. Errors: txn.ErrNotFound, or ctx's.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// List returns the names directly under path, none when it does not exist.
	List(ctx context.Context, g leader.Guard, path string) ([]string, error)
	// Commit applies ops all together or not at all. Without any it confirms that
	// the term leads.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

var _ gateway.Recovery = (*Dispatcher)(nil)

// Leftovers implements gateway.Recovery. A leftover is first a suspicion: a value
// of a job of which a list showed neither graph nor dirty result. It is confirmed
// while its ID is held, when nobody can accept a job under it: not this term,
// whose submissions wait, and no other, whose writes would depose this one and
// fail the guarded delete. So nothing of a job that was accepted is ever deleted,
// however the lists and the submissions fall.
func (d *Dispatcher) Leftovers(ctx context.Context, remove bool) ([]gateway.Leftover, error) {
	if d.cfg.Tree == nil {
		return nil, errNoTree
	}
	c := &collection{d: d, tree: d.cfg.Tree, guard: d.token.Guard, remove: remove}
	found, err := c.run(ctx)
	switch {
	case errors.Is(err, leader.ErrFenced):
		return nil, fmt.Errorf("look for leftovers: %w (%w)", gateway.ErrNotLeader, err)
	case err != nil:
		return nil, fmt.Errorf("look for leftovers: %w", err)
	}
	return found, nil
}

// collection is one call of Leftovers.
type collection struct {
	d      *Dispatcher
	tree   Tree
	guard  leader.Guard
	remove bool
}

func (c *collection) run(ctx context.Context) ([]gateway.Leftover, error) {
	suspects, err := c.suspects(ctx)
	if err != nil {
		return nil, err
	}
	found := []gateway.Leftover{}
	for batch := range slices.Chunk(suspects, leftoverBatch) {
		some, err := c.judge(ctx, batch)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	blobs, err := c.blobs(ctx)
	if err != nil {
		return nil, err
	}
	found = append(found, blobs...)
	slices.SortFunc(found, func(a, b gateway.Leftover) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	if c.remove && len(found) > 0 {
		c.d.log.Info("leftovers deleted", "count", len(found))
	}
	return found, nil
}

// ids lists the IDs of a folder.
func (c *collection) ids(ctx context.Context, folder string) (map[job.ID]bool, error) {
	names, err := layout.IDs(ctx, folder, func(ctx context.Context, path string) ([]string, error) {
		return c.tree.List(ctx, c.guard, path)
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	ids := make(map[job.ID]bool, len(names))
	for _, name := range names {
		ids[job.ID(name)] = true
	}
	return ids, nil
}

// suspects returns the IDs of which there is something and neither a graph nor a
// dirty result. What lives is listed last, so that what was accepted meanwhile is
// not suspected.
func (c *collection) suspects(ctx context.Context) ([]job.ID, error) {
	var suspects, alive [3]map[job.ID]bool
	for i, folder := range [...]string{layout.Progress, layout.Outputs, layout.Quarantine} {
		var err error
		if suspects[i], err = c.ids(ctx, folder); err != nil {
			return nil, err
		}
	}
	for i, folder := range [...]string{layout.Graphs, layout.Dirty} {
		var err error
		if alive[i], err = c.ids(ctx, folder); err != nil {
			return nil, err
		}
	}
	all := make(map[job.ID]bool)
	for _, ids := range suspects {
		for id := range ids {
			if !alive[0][id] && !alive[1][id] {
				all[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// judge confirms the suspicion against each of ids and deletes what is left of
// them, if that is wanted.
func (c *collection) judge(ctx context.Context, ids []job.ID) ([]gateway.Leftover, error) {
	held, release, err := c.d.hold(ctx, ids)
	if err != nil {
		return nil, err
	}
	defer release()
	found := make([][]gateway.Leftover, len(held))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(layout.Concurrency)
	for i, id := range held {
		group.Go(func() (err error) {
			found[i], err = c.of(gctx, id)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if c.remove {
		if err := c.delete(ctx, held, found); err != nil {
			return nil, err
		}
	}
	return slices.Concat(found...), nil
}

// of returns what is left of the job, nothing if it lives after all.
func (c *collection) of(ctx context.Context, id job.ID) ([]gateway.Leftover, error) {
	for _, folder := range [...]string{layout.Graphs, layout.Dirty} {
		if there, err := c.there(ctx, folder, id); there || err != nil {
			return nil, err
		}
	}
	const reason = "neither a job nor a result to clean up after has this ID"
	var found []gateway.Leftover
	for _, k := range [...]struct{ kind, folder string }{{kindProgress, layout.Progress}, {kindQuarantine, layout.Quarantine}} {
		there, err := c.there(ctx, k.folder, id)
		if err != nil {
			return nil, err
		}
		if path, _ := layout.Path(k.folder, string(id)); there {
			found = append(found, gateway.Leftover{Kind: k.kind, Path: path, Reason: reason})
		}
	}
	folder, err := layout.Path(layout.Outputs, string(id))
	if err != nil {
		return nil, err
	}
	names, err := c.tree.List(ctx, c.guard, folder)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	for _, name := range names {
		found = append(found, gateway.Leftover{Kind: kindOutput, Path: folder + "/" + name, Reason: reason})
	}
	if len(names) > 0 {
		return found, nil
	}
	// A backend whose folders are nodes can keep an empty one.
	there, err := c.there(ctx, layout.Outputs, id)
	if there {
		found = append(found, gateway.Leftover{Kind: kindOutput, Path: folder, Reason: reason})
	}
	return found, err
}

func (c *collection) there(ctx context.Context, folder string, id job.ID) (bool, error) {
	path, err := layout.Path(folder, string(id))
	if err != nil {
		return false, err
	}
	_, err = c.tree.Get(ctx, c.guard, path)
	if errors.Is(err, txn.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}

// delete removes what was found of each held ID, and notes it there.
func (c *collection) delete(ctx context.Context, held []job.ID, found [][]gateway.Leftover) error {
	var ops []txn.Op
	for i, id := range held {
		folder, err := layout.Path(layout.Outputs, string(id))
		if err != nil {
			return err
		}
		outputs := false
		for n := range found[i] {
			l := &found[i][n]
			l.Removed = true
			if l.Kind == kindOutput && l.Path != folder {
				outputs = true
			} else {
				ops = append(ops, txn.Op{Kind: txn.Remove, Path: l.Path})
			}
		}
		if !outputs {
			continue
		}
		// They can be many, and go in transactions of their own.
		if err := c.d.cfg.Jobs.DeleteOutputs(ctx, c.guard, id); err != nil {
			return err
		}
	}
	if len(ops) == 0 {
		return nil
	}
	if err := c.tree.Commit(ctx, c.guard, ops...); err != nil {
		return fmt.Errorf("delete leftovers: %w", err)
	}
	return nil
}

// hold keeps ids from being accepted until release is called: submissions under
// them wait. It returns those of ids to which nothing in the registry belongs, and
// waits for others that hold one of them. Errors: as ask's.
func (d *Dispatcher) hold(ctx context.Context, ids []job.ID) (held []job.ID, release func(), err error) {
	for {
		var others <-chan struct{}
		mine := make(chan struct{})
		if err := d.ask(ctx, func(st *state) { held, others = st.hold(ids, mine) }); err != nil {
			return nil, nil, err
		}
		if others == nil {
			return held, func() { d.tell(func(st *state) { st.unhold(mine) }) }, nil
		}
		select {
		case <-others:
		case <-d.ended:
			return nil, nil, gateway.ErrNotLeader
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// hold notes by as the holder of those of ids that are free, unless one of them is
// held already: then it holds none and returns what to wait for.
func (r *registry) hold(ids []job.ID, by chan struct{}) (held []job.ID, others <-chan struct{}) {
	for _, id := range ids {
		if other := r.held[id]; other != nil {
			return nil, other
		}
	}
	for _, id := range ids {
		if e := r.jobs[id]; e == nil || e.leftAlone() {
			r.held[id] = by
			held = append(held, id)
		}
	}
	return held, nil
}

// leftAlone reports whether nothing is or will be written for the job, so that
// what stands there besides its clean result is a leftover.
func (e *entry) leftAlone() bool {
	return e.state == clean && (e.aside == nil || e.aside.writing == nil && e.aside.stored == nil)
}

// unhold gives the IDs held by free and wakes who waits for them.
func (r *registry) unhold(by chan struct{}) {
	maps.DeleteFunc(r.held, func(_ job.ID, holder chan struct{}) bool { return holder == by })
	close(by)
}
