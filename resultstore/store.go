package resultstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Driver is one backend's guarded storage. Users obtain one from ha.Services,
// give it to New, and never call it. resultstoretest.Run checks an
// implementation.
//
// Paths are relative, without a leading slash. Commit fails with an error that
// wraps leader.ErrFenced once the guard's term has lost leadership in the eyes of
// the backend, and so do the reads once the driver knows. Reads of a live term see
// all that any earlier term wrote.
type Driver interface {
	// Get returns the data at path, which the caller owns. Errors:
	// txn.ErrNotFound, leader.ErrFenced, or ctx's. It blocks while the backend is
	// away.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// List returns the names directly under path in no particular order, none
	// when the path does not exist. Errors: leader.ErrFenced, or ctx's.
	List(ctx context.Context, g leader.Guard, path string) ([]string, error)
	// Commit applies ops all together or not at all, while the guard's term
	// leads. Errors: txn.ErrExists, txn.ErrNotFound (both name the path),
	// txn.ErrTooLarge, leader.ErrFenced, or txn.ErrUnknownOutcome with the reason
	// when ctx or the session ended before the outcome was known. A lost reply is
	// resolved by the driver, never passed on.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// What a caller of Store decides upon; compare with errors.Is. Besides these,
// every method fails with leader.ErrFenced or its context's error, and every
// write may fail with txn.ErrUnknownOutcome.
var (
	// ErrExists: the job has a result already, dirty or clean.
	ErrExists = errors.New("job has a result already")
	// ErrNoResult: the job has no result.
	ErrNoResult = errors.New("job has no result")
	// ErrNotTerminal: the status is not one that a job can end with.
	ErrNotTerminal = errors.New("status is not terminal")
	// ErrInvalidID: the id cannot be stored; it is not one that job.ID allows.
	ErrInvalidID = layout.ErrInvalidID
	// ErrDamaged: the value was found, and is not what was stored. It concerns
	// this result alone.
	ErrDamaged = envelope.ErrDamaged
	// ErrNewerFormat: a newer coordd wrote the value. It is not damaged: leave it
	// alone, and let a newer node lead.
	ErrNewerFormat = envelope.ErrNewerFormat
)

// Store keeps results through a Driver. Make one with New.
type Store struct {
	driver Driver
}

// New returns a store over the driver.
func New(driver Driver) *Store { return &Store{driver: driver} }

// CreateDirty records the one result of a job whose externals are still to be
// removed. When it returns nil, nothing of the job runs again. Errors: ErrExists
// when the job has a result, dirty or clean, which stays as it is; ErrNotTerminal,
// ErrInvalidID, txn.ErrTooLarge before anything was sent; ErrDamaged or
// ErrNewerFormat never. Calls that write the result of one id must not overlap.
func (s *Store) CreateDirty(ctx context.Context, g leader.Guard, r job.Result) error {
	id := r.Snapshot.ID
	at, err := locate(id)
	if err != nil {
		return fmt.Errorf("record result: %w", err)
	}
	data, err := encodeEnd(r)
	if err != nil {
		return fmt.Errorf("record result of job %q: %w", id, err)
	}
	// Whether the clean result can be read does not matter here: it is there.
	switch _, err := s.driver.Get(ctx, g, at.clean); {
	case err == nil:
		return fmt.Errorf("record result of job %q: %w: it is clean", id, ErrExists)
	case !errors.Is(err, txn.ErrNotFound):
		return fmt.Errorf("record result of job %q: %w", id, err)
	}
	err = s.driver.Commit(ctx, g, txn.Op{Kind: txn.Create, Path: at.dirty, Data: data})
	if errors.Is(err, txn.ErrExists) {
		return fmt.Errorf("record result of job %q: %w: %w", id, ErrExists, err)
	}
	if err != nil {
		return fmt.Errorf("record result of job %q: %w", id, err)
	}
	return nil
}

// MarkClean makes a dirty result clean, and applies also in the same
// transaction: jobstore.Removal, so that a job's graph goes exactly when its
// result is clean. A result that is clean already is left alone, and also is not
// applied: it was, in the transaction that made the result clean. Errors:
// ErrNoResult, ErrInvalidID, ErrDamaged or ErrNewerFormat when the dirty result
// cannot be read (it stays dirty). Calls that write the result of one id must not
// overlap.
func (s *Store) MarkClean(ctx context.Context, g leader.Guard, id job.ID, also ...txn.Op) error {
	at, err := locate(id)
	if err != nil {
		return fmt.Errorf("mark result clean: %w", err)
	}
	r, clean, err := s.find(ctx, g, id, at)
	if clean {
		return nil
	}
	if err != nil {
		return fmt.Errorf("mark result of job %q clean: %w", id, err)
	}
	// Encoded anew, as every created value must differ from every other.
	data, err := encode(r)
	if err != nil {
		return fmt.Errorf("mark result of job %q clean: %w", id, err)
	}
	ops := append([]txn.Op{
		{Kind: txn.Delete, Path: at.dirty},
		{Kind: txn.Create, Path: at.clean, Data: data},
	}, also...)
	if err := s.driver.Commit(ctx, g, ops...); err != nil {
		return fmt.Errorf("mark result of job %q clean: %w", id, err)
	}
	return nil
}

// Get returns the result of a job and whether it is clean. Errors: ErrNoResult,
// ErrInvalidID, and for a result that was found and cannot be read ErrDamaged or
// ErrNewerFormat; clean is set also then.
func (s *Store) Get(ctx context.Context, g leader.Guard, id job.ID) (res job.Result, clean bool, err error) {
	at, err := locate(id)
	if err != nil {
		return job.Result{}, false, fmt.Errorf("get result: %w", err)
	}
	res, clean, err = s.find(ctx, g, id, at)
	if err != nil {
		return job.Result{}, clean, fmt.Errorf("get result of job %q: %w", id, err)
	}
	return res, clean, nil
}

// find reads the dirty result, then the clean one: results move in this
// direction only, so one that moves meanwhile is found.
func (s *Store) find(ctx context.Context, g leader.Guard, id job.ID, at places) (res job.Result, clean bool, err error) {
	for _, path := range [...]string{at.dirty, at.clean} {
		data, err := s.driver.Get(ctx, g, path)
		if errors.Is(err, txn.ErrNotFound) {
			continue
		}
		if err != nil {
			return job.Result{}, false, err
		}
		res, err := decode(data, id)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return res, path == at.clean, err
	}
	return job.Result{}, false, ErrNoResult
}

// places is where the result of one job can stand.
type places struct {
	dirty, clean string
}

func locate(id job.ID) (places, error) {
	dirty, err := layout.Path(layout.Dirty, string(id))
	if err != nil {
		return places{}, err
	}
	clean, err := layout.Path(layout.Clean, string(id))
	return places{dirty: dirty, clean: clean}, err
}
