package jobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Blobs keeps what is too large for the backend, where all that may lead find it;
// *blob.Dir is one. A name is put once and never again. Names are those of jobs, a
// dot, and letters and digits.
type Blobs interface {
	// Put stores a value. When it returns nil the value survives any crash; after an
	// error it may be there all the same.
	Put(ctx context.Context, name string, data []byte) error
	// Get returns what was put. Errors: fs.ErrNotExist, ErrDamaged, ErrNewerFormat,
	// ctx's, or what keeps the store from answering.
	Get(ctx context.Context, name string) ([]byte, error)
	// Delete removes a value. One that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// errNoBlobs: a graph is in a blob, and the store was made without any.
var errNoBlobs = errors.New("its graph is in a blob, and this node has no store of blobs")

// Option changes what New returns.
type Option func(*Store)

// WithBlobs keeps graphs that do not fit into the backend in blobs. Without it they
// are refused.
func WithBlobs(b Blobs) Option { return func(s *Store) { s.blobs = b } }

// encodeGraph returns the value that stands for the job in the backend. A graph that
// does not fit there is put into a blob, whose name is returned too.
func (s *Store) encodeGraph(ctx context.Context, j Job) (data []byte, blob string, err error) {
	data, err = encodeJob(j)
	if !errors.Is(err, txn.ErrTooLarge) || s.blobs == nil {
		return data, "", err
	}
	content, record, err := encodeBlob(j)
	if err != nil {
		return nil, "", err
	}
	if data, err = seal(record); err != nil {
		return nil, "", err
	}
	if err := s.blobs.Put(ctx, record.Blob.Name, content); err != nil {
		s.discard(ctx, record.Blob.Name)
		return nil, "", err
	}
	return data, record.Blob.Name, nil
}

// discard deletes a blob that no graph names or ever will. If that fails it is a
// leftover, which harms nobody and can be collected.
func (s *Store) discard(ctx context.Context, blob string) {
	if blob != "" {
		_ = s.blobs.Delete(context.WithoutCancel(ctx), blob)
	}
}

// fetch returns the job whose graph is in a blob.
func (s *Store) fetch(ctx context.Context, r jobRecord) (Job, error) {
	switch {
	case r.Blob.Released:
		return Job{}, fmt.Errorf("%w: the job has ended, and blob %s is being deleted", ErrDamaged, r.Blob.Name)
	case s.blobs == nil:
		return Job{}, fmt.Errorf("blob %s: %w", r.Blob.Name, errNoBlobs)
	}
	content, err := s.blobs.Get(ctx, r.Blob.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return Job{}, fmt.Errorf("blob %s: %w: it is missing: %w", r.Blob.Name, ErrDamaged, err)
	}
	if err != nil {
		return Job{}, fmt.Errorf("blob %s: %w", r.Blob.Name, err)
	}
	j, err := decodeBlob(content, r)
	if err != nil {
		return Job{}, fmt.Errorf("blob %s: %w", r.Blob.Name, err)
	}
	return j, nil
}

// DeleteBlob removes the blob of a job whose result is recorded, if its graph has
// one, and may be repeated after it was cut short. The graph is first changed to say
// that the blob is being deleted: so no graph ever names a blob that is not there,
// and whoever goes on finds the name. A graph that cannot be read is left alone; its
// blob, if it has one, is a leftover when the graph has gone. Errors: ErrInvalidID,
// ErrNewerFormat, and those of Blobs.Delete.
func (s *Store) DeleteBlob(ctx context.Context, g leader.Guard, id job.ID) error {
	if s.blobs == nil {
		return nil
	}
	path, err := layout.Path(layout.Graphs, string(id))
	if err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	r, err := s.record(ctx, g, path, id)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return nil
	case err != nil:
		return fmt.Errorf("delete blob of job %q: %w", id, err)
	case r.Blob == nil:
		return nil
	}
	if !r.Blob.Released {
		r.Blob.Released = true
		r.Version = jobFormat
		data, err := seal(r)
		if err == nil {
			err = s.driver.Commit(ctx, g, txn.Op{Kind: txn.Put, Path: path, Data: data})
		}
		if err != nil {
			return fmt.Errorf("release blob %s of job %q: %w", r.Blob.Name, id, err)
		}
	}
	if err := s.blobs.Delete(ctx, r.Blob.Name); err != nil {
		return fmt.Errorf("delete blob %s of job %q: %w", r.Blob.Name, id, err)
	}
	return nil
}

// record returns the stored record of a job.
func (s *Store) record(ctx context.Context, g leader.Guard, path string, id job.ID) (jobRecord, error) {
	data, err := s.read(ctx, g, path)
	if err != nil {
		return jobRecord{}, err
	}
	r, err := decodeJob(data, id)
	if err != nil {
		return jobRecord{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
