package resultstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// forgetBatch is how many results one transaction deletes: enough to save round
// trips, few enough to delay no renewal of the lease.
const forgetBatch = 100

// Forget deletes clean results, in batches, one guarded transaction each. A job
// without a clean result is passed over: a dirty result is never deleted. When
// Forget returns nil the ids are free for other jobs; until then some of them may
// be, and it can be repeated. Errors: ErrInvalidID before anything was sent.
// Nothing else may write the results of these ids meanwhile.
func (s *Store) Forget(ctx context.Context, g leader.Guard, ids ...job.ID) error {
	ops := make([]txn.Op, len(ids))
	for i, id := range ids {
		at, err := locate(id)
		if err != nil {
			return fmt.Errorf("forget result: %w", err)
		}
		ops[i] = txn.Op{Kind: txn.Remove, Path: at.clean}
	}
	for batch := range slices.Chunk(ops, forgetBatch) {
		if err := s.driver.Commit(ctx, g, batch...); err != nil {
			return fmt.Errorf("forget %d results from %s on: %w", len(batch), batch[0].Path, err)
		}
	}
	return nil
}

// Replace records a result as CreateDirty does, and also in place of one that
// cannot be read: an operator has given that up. A damaged clean result becomes
// dirty again by this. Errors: ErrExists when the job has a result that can be
// read, which stays as it is; ErrNewerFormat when a newer coordd wrote it; and
// those of CreateDirty.
func (s *Store) Replace(ctx context.Context, g leader.Guard, r job.Result) error {
	id := r.Snapshot.ID
	at, err := locate(id)
	if err != nil {
		return fmt.Errorf("replace result: %w", err)
	}
	_, clean, err := s.find(ctx, g, id, at)
	switch {
	case errors.Is(err, ErrNoResult), err == nil:
		return s.CreateDirty(ctx, g, r) // which refuses when one is there
	case !errors.Is(err, ErrDamaged):
		return fmt.Errorf("replace result of job %q: %w", id, err)
	}
	data, err := encodeEnd(r)
	if err != nil {
		return fmt.Errorf("replace result of job %q: %w", id, err)
	}
	ops := []txn.Op{{Kind: txn.Put, Path: at.dirty, Data: data}}
	if clean {
		ops = []txn.Op{{Kind: txn.Delete, Path: at.clean}, {Kind: txn.Create, Path: at.dirty, Data: data}}
	}
	if err := s.driver.Commit(ctx, g, ops...); err != nil {
		return fmt.Errorf("replace result of job %q: %w", id, err)
	}
	return nil
}

// encodeEnd makes the stored form of a result that a job can end with.
func encodeEnd(r job.Result) ([]byte, error) {
	if status := r.Snapshot.Status; !status.Terminal() {
		return nil, fmt.Errorf("%w: %s", ErrNotTerminal, status)
	}
	return encode(r)
}
