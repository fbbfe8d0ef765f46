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
	blobs  Blobs // nil without
}

// New returns a store over the driver.
func New(driver Driver, options ...Option) *Store {
	s := &Store{driver: driver}
	for _, set := range options {
		set(s)
	}
	return s
}

// Put accepts a job: one transaction creates its graph and its empty progress.
// When Put returns nil the job survives any crash. A graph that is too large for
// the backend is put into a blob before. Errors: ErrExists when the id is taken,
// txn.ErrTooLarge before anything was written, ErrInvalidID, or that of Blobs.Put.
func (s *Store) Put(ctx context.Context, g leader.Guard, j Job) error {
	graphPath, progressPath, err := paths(j.ID)
	if err != nil {
		return fmt.Errorf("put job: %w", err)
	}
	progress, err := encodeProgress(Progress{})
	if err != nil {
		return fmt.Errorf("put job %q: progress: %w", j.ID, err)
	}
	graph, blob, err := s.encodeGraph(ctx, j)
	if err != nil {
		return fmt.Errorf("put job %q: graph: %w", j.ID, err)
	}
	err = s.driver.Commit(ctx, g,
		txn.Op{Kind: txn.Create, Path: graphPath, Data: graph},
		txn.Op{Kind: txn.Create, Path: progressPath, Data: progress},
	)
	if err != nil && !errors.Is(err, txn.ErrUnknownOutcome) {
		s.discard(ctx, blob) // the graph that would name it is not there
	}
	if errors.Is(err, txn.ErrExists) {
		return fmt.Errorf("put job %q: %w: %w", j.ID, ErrExists, err)
	}
	if err != nil {
		return fmt.Errorf("put job %q: %w", j.ID, err)
	}
	return nil
}

// Get returns an accepted job. Errors: ErrNotFound, ErrInvalidID, for a value or
// its blob that was found and cannot be read, or a blob that is missing, ErrDamaged
// or ErrNewerFormat, or that of Blobs.Get.
func (s *Store) Get(ctx context.Context, g leader.Guard, id job.ID) (Job, error) {
	path, err := layout.Path(layout.Graphs, string(id))
	if err != nil {
		return Job{}, fmt.Errorf("get job: %w", err)
	}
	r, err := s.record(ctx, g, path, id)
	if err != nil {
		return Job{}, fmt.Errorf("get job %q: %w", id, err)
	}
	if r.Graph != nil {
		return r.job(), nil
	}
	j, err := s.fetch(ctx, r)
	if err != nil {
		return Job{}, fmt.Errorf("get job %q: %w", id, err)
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

// PutProgress replaces the progress of a job and stores outputs of the subtasks that
// it says have finished since, all together or not at all. Errors: ErrNotFound when
// the job is not stored (nothing is made then), txn.ErrTooLarge before anything was
// sent, ErrInvalidID. Only one PutProgress of a job may be under way. After an error
// it may be repeated, with more: what the failed one has stored after all is replaced.
func (s *Store) PutProgress(ctx context.Context, g leader.Guard, id job.ID, p Progress, outputs ...Output) error {
	path, err := layout.Path(layout.Progress, string(id))
	if err != nil {
		return fmt.Errorf("put progress: %w", err)
	}
	data, err := encodeProgress(p)
	if err != nil {
		return fmt.Errorf("put progress of job %q: %w", id, err)
	}
	ops, err := outputOps(id, outputs)
	if err != nil {
		return fmt.Errorf("put progress of job %q: %w", id, err)
	}
	ops = append(ops, txn.Op{Kind: txn.Put, Path: path, Data: data})
	err = s.driver.Commit(ctx, g, ops...)
	if errors.Is(err, txn.ErrExists) {
		// An output is there that only a write of this term can have made, whose
		// outcome its writer did not learn: all of an earlier term were recorded.
		if ops, err = s.replacing(ctx, g, ops); err == nil {
			err = s.driver.Commit(ctx, g, ops...)
		}
	}
	if errors.Is(err, txn.ErrNotFound) {
		return fmt.Errorf("put progress of job %q: %w: %w", id, ErrNotFound, err)
	}
	if err != nil {
		return fmt.Errorf("put progress of job %q: %w", id, err)
	}
	return nil
}

// Progress returns what of a job has finished, the zero Progress for a job that
// has not begun. The graph is the job's: it says how many subtasks there are, and
// which numbers they have. Errors: as Get's.
func (s *Store) Progress(ctx context.Context, g leader.Guard, id job.ID, graph job.Graph) (Progress, error) {
	path, err := layout.Path(layout.Progress, string(id))
	if err != nil {
		return Progress{}, fmt.Errorf("get progress: %w", err)
	}
	data, err := s.read(ctx, g, path)
	if err != nil {
		return Progress{}, fmt.Errorf("get progress of job %q: %w", id, err)
	}
	p, err := decodeProgress(data, graph)
	if err != nil {
		return Progress{}, fmt.Errorf("get progress of job %q: %s: %w", id, path, err)
	}
	return p, nil
}

// Delete removes the job, its progress and its quarantine record, and fails where an
// output is left and folders are nodes. Deleting a job that is not stored is no
// error. Errors: ErrInvalidID.
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
// except its result: graph, progress, quarantine record, and the folder of its
// outputs, each if it is there. They belong into the transaction that makes the job's
// result clean, which fails where an output is left. There are none for an id that
// cannot be stored.
func Removal(id job.ID) []txn.Op {
	ops := make([]txn.Op, 0, 4)
	for _, folder := range [...]string{layout.Graphs, layout.Progress, layout.Quarantine, layout.Outputs} {
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
