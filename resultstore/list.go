package resultstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Entry is one result of a list.
type Entry struct {
	ID job.ID
	// Result is set when Err is nil.
	Result job.Result
	// Err says why this result could not be read: it wraps ErrDamaged,
	// ErrNewerFormat, or what the backend answered. The job has a result all the
	// same, so nothing of it may run.
	Err error
}

// Dirty returns all results whose externals are still to be removed, in no
// particular order. One that cannot be read is an Entry with an error and hides
// no other. Dirty itself fails only when the list is not to be had: with
// leader.ErrFenced, ctx's error, or what the backend answered.
func (s *Store) Dirty(ctx context.Context, g leader.Guard) ([]Entry, error) {
	return s.entries(ctx, g, layout.Dirty)
}

// Clean returns all retained clean results, as Dirty does the dirty ones.
func (s *Store) Clean(ctx context.Context, g leader.Guard) ([]Entry, error) {
	return s.entries(ctx, g, layout.Clean)
}

func (s *Store) entries(ctx context.Context, g leader.Guard, folder string) ([]Entry, error) {
	ids, err := layout.IDs(ctx, folder, func(ctx context.Context, path string) ([]string, error) {
		return s.driver.List(ctx, g, path)
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	var (
		mu      sync.Mutex
		entries = make([]Entry, 0, len(ids))
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layout.Concurrency)
	for _, id := range ids {
		group.Go(func() error {
			e := Entry{ID: job.ID(id)}
			e.Result, e.Err = s.readFrom(ctx, g, folder, e.ID)
			if e.Err != nil && (errors.Is(e.Err, leader.ErrFenced) || ctx.Err() != nil) {
				return e.Err
			}
			// It moved or was dropped since the bucket was listed.
			if errors.Is(e.Err, txn.ErrNotFound) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, e)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read %s: %w", folder, err)
	}
	return entries, nil
}

func (s *Store) readFrom(ctx context.Context, g leader.Guard, folder string, id job.ID) (job.Result, error) {
	path, err := layout.Path(folder, string(id))
	if err != nil {
		return job.Result{}, err
	}
	data, err := s.driver.Get(ctx, g, path)
	if err != nil {
		return job.Result{}, fmt.Errorf("read %s: %w", path, err)
	}
	res, err := decode(data, id)
	if err != nil {
		return job.Result{}, fmt.Errorf("read %s: %w", path, err)
	}
	return res, nil
}
