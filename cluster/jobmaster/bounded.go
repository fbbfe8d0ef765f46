package jobmaster

import (
	"context"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// readsAtOnce hides the round trip and leaves the connection to others: to the leader's
// own publication, and to the renewals of its lease.
const readsAtOnce = 32

// Bounded is a ProgressStore that masters share, of which a bounded number reads at once.
// After a failover thousands begin with a read, which has to wait for nothing else.
type Bounded struct {
	store ProgressStore
	turns chan struct{}
}

var _ ProgressStore = (*Bounded)(nil)

// NewBounded returns a store on top of another.
func NewBounded(store ProgressStore) *Bounded {
	return &Bounded{store: store, turns: make(chan struct{}, readsAtOnce)}
}

// Progress implements ProgressStore. It waits for its turn; its error is ctx's when that
// ends first.
func (b *Bounded) Progress(ctx context.Context, g leader.Guard, id job.ID, graph job.Graph) (jobstore.Progress, error) {
	if err := b.take(ctx); err != nil {
		return jobstore.Progress{}, err
	}
	defer b.give()
	return b.store.Progress(ctx, g, id, graph)
}

// Outputs implements ProgressStore, as Progress does.
func (b *Bounded) Outputs(ctx context.Context, g leader.Guard, id job.ID, of []jobstore.OutputID) ([]jobstore.Output, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.give()
	return b.store.Outputs(ctx, g, id, of)
}

// PutProgress implements ProgressStore. It does not wait.
func (b *Bounded) PutProgress(ctx context.Context, g leader.Guard, id job.ID, p jobstore.Progress, outputs ...jobstore.Output) error {
	return b.store.PutProgress(ctx, g, id, p, outputs...)
}

func (b *Bounded) take(ctx context.Context) error {
	select {
	case b.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Bounded) give() { <-b.turns }
