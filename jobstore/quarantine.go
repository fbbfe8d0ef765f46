package jobstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Quarantine is the record of a job that is kept and not run, because something
// of it cannot be read. It stands beside the job and changes nothing of it.
type Quarantine struct {
	ID job.ID
	// Reason says what could not be read.
	Reason string
	// Since is when that was first found, and SinceEpoch the term that did.
	Since      time.Time
	SinceEpoch leader.Epoch
	// Writer names the node that wrote the record.
	Writer string
}

// QuarantineEntry is one record of a list.
type QuarantineEntry struct {
	ID job.ID
	// Record is set when Err is nil.
	Record Quarantine
	// Err says why this record could not be read: it wraps ErrDamaged,
	// ErrNewerFormat, or what the backend answered.
	Err error
}

// PutQuarantine stores the record of q.ID in place of the one that is there.
// Errors: ErrInvalidID, txn.ErrTooLarge. Only one write of a job's record may be
// under way.
func (s *Store) PutQuarantine(ctx context.Context, g leader.Guard, q Quarantine) error {
	path, err := layout.Path(layout.Quarantine, string(q.ID))
	if err != nil {
		return fmt.Errorf("put quarantine record: %w", err)
	}
	data, err := encodeQuarantine(q)
	if err != nil {
		return fmt.Errorf("put quarantine record of job %q: %w", q.ID, err)
	}
	err = s.driver.Commit(ctx, g, txn.Op{Kind: txn.Create, Path: path, Data: data})
	if errors.Is(err, txn.ErrExists) {
		err = s.driver.Commit(ctx, g, txn.Op{Kind: txn.Put, Path: path, Data: data})
	}
	if err != nil {
		return fmt.Errorf("put quarantine record of job %q: %w", q.ID, err)
	}
	return nil
}

// DeleteQuarantine removes the record of a job. Without one it does nothing.
// Errors: ErrInvalidID. Only one write of a job's record may be under way.
func (s *Store) DeleteQuarantine(ctx context.Context, g leader.Guard, id job.ID) error {
	path, err := layout.Path(layout.Quarantine, string(id))
	if err != nil {
		return fmt.Errorf("delete quarantine record: %w", err)
	}
	if err := s.driver.Commit(ctx, g, txn.Op{Kind: txn.Remove, Path: path}); err != nil {
		return fmt.Errorf("delete quarantine record of job %q: %w", id, err)
	}
	return nil
}

// Quarantined returns all quarantine records in no particular order. One that
// cannot be read is an entry with an error and hides no other. Quarantined itself
// fails only when the list is not to be had.
func (s *Store) Quarantined(ctx context.Context, g leader.Guard) ([]QuarantineEntry, error) {
	ids, err := layout.IDs(ctx, layout.Quarantine, func(ctx context.Context, path string) ([]string, error) {
		return s.driver.List(ctx, g, path)
	})
	if err != nil {
		return nil, fmt.Errorf("list quarantine records: %w", err)
	}
	var (
		mu      sync.Mutex
		entries = make([]QuarantineEntry, 0, len(ids))
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layout.Concurrency)
	for _, id := range ids {
		group.Go(func() error {
			e := QuarantineEntry{ID: job.ID(id)}
			e.Record, e.Err = s.quarantine(ctx, g, e.ID)
			switch {
			case e.Err != nil && (errors.Is(e.Err, leader.ErrFenced) || ctx.Err() != nil):
				return e.Err
			case errors.Is(e.Err, ErrNotFound): // it was removed since the list
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, e)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("read quarantine records: %w", err)
	}
	return entries, nil
}

func (s *Store) quarantine(ctx context.Context, g leader.Guard, id job.ID) (Quarantine, error) {
	path, err := layout.Path(layout.Quarantine, string(id))
	if err != nil {
		return Quarantine{}, err
	}
	data, err := s.read(ctx, g, path)
	if err != nil {
		return Quarantine{}, fmt.Errorf("read %s: %w", path, err)
	}
	q, err := decodeQuarantine(data)
	switch {
	case err != nil:
		return Quarantine{}, fmt.Errorf("read %s: %w", path, err)
	case q.ID != id:
		return Quarantine{}, fmt.Errorf("read %s: %w: it is the record of job %q", path, ErrDamaged, q.ID)
	}
	return q, nil
}

// quarantineFormat is the version of quarantineRecord. The next one is read,
// too.
const quarantineFormat = 1

// quarantineRecord is the stored form of a Quarantine.
type quarantineRecord struct {
	Version    int          `json:"v"`
	ID         job.ID       `json:"id"`
	Reason     string       `json:"reason"`
	Since      time.Time    `json:"since"`
	SinceEpoch leader.Epoch `json:"since_epoch"`
	Writer     string       `json:"writer"`
}

func encodeQuarantine(q Quarantine) ([]byte, error) {
	return seal(quarantineRecord{
		Version: quarantineFormat, ID: q.ID, Reason: q.Reason,
		Since: q.Since.UTC(), SinceEpoch: q.SinceEpoch, Writer: q.Writer,
	})
}

func decodeQuarantine(data []byte) (Quarantine, error) {
	var r quarantineRecord
	if err := envelope.Open("quarantine record", quarantineFormat, data, &r); err != nil {
		return Quarantine{}, err
	}
	return Quarantine{ID: r.ID, Reason: r.Reason, Since: r.Since, SinceEpoch: r.SinceEpoch, Writer: r.Writer}, nil
}
