package resourcemanager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// record is what is stored of a worker, for the next leader.
type record struct {
	gateway.Worker
	// epoch is the term at which this instance registered, since when.
	epoch leader.Epoch
	since time.Time
	// drain says that an operator wants it to end.
	drain bool
}

// recordFormat is the version of storedRecord. The next one is read, too.
const recordFormat = 1

// storedRecord is the stored form of a record.
type storedRecord struct {
	Version  int          `json:"v"`
	ID       string       `json:"id"`
	Instance string       `json:"instance"`
	Address  string       `json:"address"`
	Epoch    leader.Epoch `json:"epoch"`
	Since    time.Time    `json:"since"`
	Drain    bool         `json:"drain,omitempty"`
}

func encodeRecord(r record) ([]byte, error) {
	return envelope.Seal(storedRecord{
		Version: recordFormat, ID: r.ID, Instance: r.Instance, Address: r.Address,
		Epoch: r.epoch, Since: r.since.UTC(), Drain: r.drain,
	})
}

// decodeRecord returns the record of the worker with the given ID.
func decodeRecord(data []byte, id string) (record, error) {
	var s storedRecord
	if err := envelope.Open("worker record", recordFormat, data, &s); err != nil {
		return record{}, err
	}
	if s.ID != id || s.Instance == "" {
		return record{}, fmt.Errorf("%w: it is the record of worker %q, instance %q", envelope.ErrDamaged, s.ID, s.Instance)
	}
	return record{
		Worker: gateway.Worker{ID: s.ID, Instance: s.Instance, Address: s.Address},
		epoch:  s.Epoch, since: s.Since, drain: s.Drain,
	}, nil
}

// records keeps what is known of workers in the backend, in one term. Calls for one
// worker must not overlap.
type records struct {
	driver Driver
	guard  leader.Guard
}

// errInvalidID: a worker's ID cannot be stored.
var errInvalidID = errors.New("invalid worker ID: use 1 to 128 letters, digits, '.', '_' and '-', a letter or digit first")

// all returns every record, and for each one that cannot be read why. It fails when the
// records are not to be had, or a newer release wrote one.
func (s records) all(ctx context.Context) ([]record, map[string]error, error) {
	ids, err := s.driver.List(ctx, s.guard, layout.Workers)
	if err != nil {
		return nil, nil, fmt.Errorf("list worker records: %w", err)
	}
	var (
		mu   sync.Mutex
		good []record
		bad  = make(map[string]error)
	)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layout.Concurrency)
	for _, id := range ids {
		group.Go(func() error {
			r, err := s.get(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				good = append(good, r)
			case errors.Is(err, txn.ErrNotFound), errors.Is(err, errInvalidID): // not coordd's
			case errors.Is(err, envelope.ErrDamaged):
				bad[id] = err
			default:
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, fmt.Errorf("read worker records: %w", err)
	}
	return good, bad, nil
}

func (s records) get(ctx context.Context, id string) (record, error) {
	path, ok := layout.Worker(id)
	if !ok {
		return record{}, errInvalidID
	}
	data, err := s.driver.Get(ctx, s.guard, path)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", path, err)
	}
	r, err := decodeRecord(data, id)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", path, err)
	}
	return r, nil
}

// put stores a record in place of the one that is there.
func (s records) put(ctx context.Context, r record) error {
	path, ok := layout.Worker(r.ID)
	if !ok {
		return errInvalidID
	}
	data, err := encodeRecord(r)
	if err != nil {
		return fmt.Errorf("record worker %q: %w", r.ID, err)
	}
	err = s.driver.Commit(ctx, s.guard, txn.Op{Kind: txn.Create, Path: path, Data: data})
	if errors.Is(err, txn.ErrExists) {
		err = s.driver.Commit(ctx, s.guard, txn.Op{Kind: txn.Put, Path: path, Data: data})
	}
	if err != nil {
		return fmt.Errorf("record worker %q: %w", r.ID, err)
	}
	return nil
}

// drop deletes the record of a worker, if there is one.
func (s records) drop(ctx context.Context, id string) error {
	path, ok := layout.Worker(id)
	if !ok {
		return errInvalidID
	}
	if err := s.driver.Commit(ctx, s.guard, txn.Op{Kind: txn.Remove, Path: path}); err != nil {
		return fmt.Errorf("delete the record of worker %q: %w", id, err)
	}
	return nil
}
