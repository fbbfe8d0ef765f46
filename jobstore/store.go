package jobstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Driver is one backend's guarded storage. Users obtain one from ha.Services,
// give it to New, and never call it. jobstoretest.Run checks an implementation.
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
// every method that takes a guard fails with leader.ErrFenced or its context's
// error, and every write may fail with txn.ErrUnknownOutcome.
var (
	// ErrExists: the id belongs to a job that is stored already.
	ErrExists = errors.New("job is stored already")
	// ErrNotFound: no such job is stored.
	ErrNotFound = errors.New("job is not stored")
	// ErrInvalidID: the id cannot be stored; it is not one that job.ID allows.
	ErrInvalidID = layout.ErrInvalidID
	// ErrDamaged: the value was found, and is not what was stored. It concerns
	// this job alone.
	ErrDamaged = envelope.ErrDamaged
	// ErrNewerFormat: a newer coordd wrote the value. It is not damaged: leave it
	// alone, and let a newer node lead.
	ErrNewerFormat = envelope.ErrNewerFormat
)

// Job is an accepted job.
type Job struct {
	ID    job.ID
	Graph job.Graph
	// SubmittedAt is when the job was accepted, by the clock of the leader that
	// accepted it.
	SubmittedAt time.Time
	// Digest identifies the graph's content. Empty in a Put: Graph.Digest.
	Digest string
}

// Store keeps jobs through a Driver. Make one with New.
type Store struct {
	driver Driver
}

// New returns a store over the driver.
func New(driver Driver) *Store { return &Store{driver: driver} }

// Put accepts a job: one transaction creates its graph and its empty progress.
// When Put returns nil the job survives any crash. Errors: ErrExists when the id
// is taken, txn.ErrTooLarge before anything was sent, ErrInvalidID.
func (s *Store) Put(ctx context.Context, g leader.Guard, j Job) error {
	graphPath, progressPath, err := paths(j.ID)
	if err != nil {
		return fmt.Errorf("put job: %w", err)
	}
	graph, err := encodeJob(j)
	if err != nil {
		return fmt.Errorf("put job %q: graph: %w", j.ID, err)
	}
	progress, err := encodeProgress(Progress{})
	if err != nil {
		return fmt.Errorf("put job %q: progress: %w", j.ID, err)
	}
	err = s.driver.Commit(ctx, g,
		txn.Op{Kind: txn.Create, Path: graphPath, Data: graph},
		txn.Op{Kind: txn.Create, Path: progressPath, Data: progress},
	)
	if errors.Is(err, txn.ErrExists) {
		return fmt.Errorf("put job %q: %w: %w", j.ID, ErrExists, err)
	}
	if err != nil {
		return fmt.Errorf("put job %q: %w", j.ID, err)
	}
	return nil
}

// Get returns an accepted job. Errors: ErrNotFound, ErrInvalidID, and for a
// value that was found and cannot be read ErrDamaged or ErrNewerFormat.
func (s *Store) Get(ctx context.Context, g leader.Guard, id job.ID) (Job, error) {
	path, err := layout.Path(layout.Graphs, string(id))
	if err != nil {
		return Job{}, fmt.Errorf("get job: %w", err)
	}
	data, err := s.read(ctx, g, path)
	if err != nil {
		return Job{}, fmt.Errorf("get job %q: %w", id, err)
	}
	j, err := decodeJob(data)
	if err != nil {
		return Job{}, fmt.Errorf("get job %q: %s: %w", id, path, err)
	}
	if j.ID != id {
		return Job{}, fmt.Errorf("get job %q: %s: %w: it holds job %q", id, path, ErrDamaged, j.ID)
	}
	return j, nil
}

// IDs returns the ids of all accepted jobs in no particular order, without
// looking at their values. It lists the buckets in parallel, a bounded number at
// once.
func (s *Store) IDs(ctx context.Context, g leader.Guard) ([]job.ID, error) {
	names, err := layout.IDs(ctx, layout.Graphs, func(ctx context.Context, path string) ([]string, error) {
		return s.driver.List(ctx, g, path)
	})
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	ids := make([]job.ID, len(names))
	for i, name := range names {
		ids[i] = job.ID(name)
	}
	return ids, nil
}

// PutProgress replaces the progress of a job. Errors: ErrNotFound when the job
// is not stored (nothing is made then), txn.ErrTooLarge before anything was sent,
// ErrInvalidID. Only one PutProgress of a job may be under way.
func (s *Store) PutProgress(ctx context.Context, g leader.Guard, id job.ID, p Progress) error {
	path, err := layout.Path(layout.Progress, string(id))
	if err != nil {
		return fmt.Errorf("put progress: %w", err)
	}
	data, err := encodeProgress(p)
	if err != nil {
		return fmt.Errorf("put progress of job %q: %w", id, err)
	}
	err = s.driver.Commit(ctx, g, txn.Op{Kind: txn.Put, Path: path, Data: data})
	if errors.Is(err, txn.ErrNotFound) {
		return fmt.Errorf("put progress of job %q: %w: %w", id, ErrNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("put progress of job %q: %w", id, err)
	}
	return nil
}

// Progress returns what of a job has finished, the zero Progress for a job that
// has not begun. Errors: as Get's.
func (s *Store) Progress(ctx context.Context, g leader.Guard, id job.ID) (Progress, error) {
	path, err := layout.Path(layout.Progress, string(id))
	if err != nil {
		return Progress{}, fmt.Errorf("get progress: %w", err)
	}
	data, err := s.read(ctx, g, path)
	if err != nil {
		return Progress{}, fmt.Errorf("get progress of job %q: %w", id, err)
	}
	p, err := decodeProgress(data)
	if err != nil {
		return Progress{}, fmt.Errorf("get progress of job %q: %s: %w", id, path, err)
	}
	return p, nil
}

// Delete removes the job, its progress and its quarantine record. Deleting a job
// that is not stored is no error. Errors: ErrInvalidID.
func (s *Store) Delete(ctx context.Context, g leader.Guard, id job.ID) error {
	if !layout.Valid(string(id)) {
		return fmt.Errorf("delete job %q: %w", id, ErrInvalidID)
	}
	if err := s.driver.Commit(ctx, g, Removal(id)...); err != nil {
		return fmt.Errorf("delete job %q: %w", id, err)
	}
	return nil
}

// Removal returns the operations that remove all that the cluster keeps of a job
// except its result: graph, progress and quarantine record, each if it is there.
// They belong into the transaction that makes the job's result clean. There are
// none for an id that cannot be stored.
func Removal(id job.ID) []txn.Op {
	ops := make([]txn.Op, 0, 3)
	for _, folder := range [...]string{layout.Graphs, layout.Progress, layout.Quarantine} {
		path, err := layout.Path(folder, string(id))
		if err != nil {
			return nil
		}
		ops = append(ops, txn.Op{Kind: txn.Remove, Path: path})
	}
	return ops
}

func (s *Store) read(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	data, err := s.driver.Get(ctx, g, path)
	if errors.Is(err, txn.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return data, err
}

func paths(id job.ID) (graph, progress string, err error) {
	if graph, err = layout.Path(layout.Graphs, string(id)); err != nil {
		return "", "", err
	}
	progress, err = layout.Path(layout.Progress, string(id))
	return graph, progress, err
}
