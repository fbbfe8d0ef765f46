package jobstoretest

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func blobTests() []test {
	return []test{
		{"a large graph is kept in a blob until the job has ended", largeGraph},
		{"a large graph is refused without blobs", largeGraphWithoutBlobs},
		{"a blob that is missing or changed damages its job alone", damagedBlob},
		{"a put that fails leaves no blob", putFailsWithBlob},
		{"no graph names a missing blob, wherever it ends", blobCrash},
	}
}

// errStopped ends a leader in a test.
var errStopped = errors.New("the leader has stopped")

// memory is blobs in memory. Before each call, and each commit of driver, stop may
// say that the leader has stopped.
type memory struct {
	values map[string][]byte
	stop   func() bool
}

var _ jobstore.Blobs = (*memory)(nil)

func newMemory() *memory {
	return &memory{values: map[string][]byte{}, stop: func() bool { return false }}
}

// Put implements jobstore.Blobs.
func (m *memory) Put(_ context.Context, name string, data []byte) error {
	if m.stop() {
		return errStopped
	}
	m.values[name] = slices.Clone(data)
	return nil
}

// Get implements jobstore.Blobs.
func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	if data, ok := m.values[name]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// Delete implements jobstore.Blobs.
func (m *memory) Delete(_ context.Context, name string) error {
	if m.stop() {
		return errStopped
	}
	delete(m.values, name)
	return nil
}

// stopping is a driver whose commits may come after the leader's end.
type stopping struct {
	jobstore.Driver
	stop func() bool
}

// Commit implements jobstore.Driver.
func (s stopping) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	if s.stop() {
		return errors.Join(errStopped, txn.ErrUnknownOutcome)
	}
	return s.Driver.Commit(ctx, g, ops...)
}

// large returns a job whose graph does not fit into a backend.
func large(id job.ID) jobstore.Job {
	var text strings.Builder
	for text.Len() < 900<<10 {
		text.WriteString(rand.Text())
	}
	g := job.Graph{Name: "large", Tasks: []job.Task{{ID: "only", Parallelism: 1, Command: []string{text.String()}}}}
	return jobstore.Job{ID: id, Graph: g, Digest: g.Digest()}
}

func largeGraph(t *testing.T, h Harness) {
	g, blobs := h.Lead(t), newMemory()
	s := jobstore.New(h.Driver, jobstore.WithBlobs(blobs))
	j := large("etl")
	if err := s.Put(t.Context(), g, j); err != nil {
		t.Fatal(err)
	}
	name := slices.Collect(maps.Keys(blobs.values))
	if len(name) != 1 {
		t.Fatalf("%d blobs, want the graph's", len(name))
	}
	got, err := s.Get(t.Context(), g, "etl")
	if err != nil || !reflect.DeepEqual(got, j) {
		t.Errorf("read %q with %d tasks, %v; want the job that was put", got.ID, len(got.Graph.Tasks), err)
	}
	for range 2 {
		if err := s.DeleteBlob(t.Context(), g, "etl"); err != nil {
			t.Fatal(err)
		}
	}
	if len(blobs.values) != 0 {
		t.Errorf("%d blobs are left of an ended job, want none", len(blobs.values))
	}
	if err := s.DeleteBlob(t.Context(), g, "absent"); err != nil {
		t.Errorf("delete the blob of a job that is not stored: %v", err)
	}
}

func largeGraphWithoutBlobs(t *testing.T, h Harness) {
	g := h.Lead(t)
	s := jobstore.New(h.Driver)
	if err := s.Put(t.Context(), g, large("etl")); !errors.Is(err, txn.ErrTooLarge) {
		t.Errorf("put: %v, want txn.ErrTooLarge", err)
	}
	path, err := layout.Path(layout.Graphs, "etl")
	if err != nil {
		t.Fatal(err)
	}
	free(t, h.Driver, g, path)
}

func damagedBlob(t *testing.T, h Harness) {
	g, blobs := h.Lead(t), newMemory()
	s := jobstore.New(h.Driver, jobstore.WithBlobs(blobs))
	for _, id := range []job.ID{"missing", "changed", "good"} {
		if err := s.Put(t.Context(), g, large(id)); err != nil {
			t.Fatal(err)
		}
	}
	for name := range blobs.values {
		switch {
		case strings.HasPrefix(name, "missing."):
			delete(blobs.values, name)
		case strings.HasPrefix(name, "changed."):
			blobs.values[name][1000] ^= 1
		}
	}
	for _, id := range []job.ID{"missing", "changed"} {
		if _, err := s.Get(t.Context(), g, id); !errors.Is(err, jobstore.ErrDamaged) || !strings.Contains(err.Error(), "blob "+string(id)+".") {
			t.Errorf("%s: %v, want ErrDamaged with the blob's name", id, err)
		}
	}
	if _, err := s.Get(t.Context(), g, "good"); err != nil {
		t.Errorf("a job beside them: %v", err)
	}
	if _, err := jobstore.New(h.Driver).Get(t.Context(), g, "good"); err == nil || errors.Is(err, jobstore.ErrDamaged) {
		t.Errorf("without blobs: %v, want an error that is no damage", err)
	}
}

func putFailsWithBlob(t *testing.T, h Harness) {
	g, blobs := h.Lead(t), newMemory()
	s := jobstore.New(h.Driver, jobstore.WithBlobs(blobs))
	if err := s.Put(t.Context(), g, large("etl")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), g, large("etl")); !errors.Is(err, jobstore.ErrExists) {
		t.Errorf("a second put: %v, want ErrExists", err)
	}
	if len(blobs.values) != 1 {
		t.Errorf("%d blobs, want the first put's alone", len(blobs.values))
	}
	if _, err := s.Get(t.Context(), g, "etl"); err != nil {
		t.Errorf("the first put's job: %v", err)
	}
}

// blobCrash stops the leader before the k-th step of Put and DeleteBlob, for every k.
func blobCrash(t *testing.T, h Harness) {
	g := h.Lead(t)
	j := large("etl")
	for k := 0; ; k++ {
		blobs, steps := newMemory(), 0
		stop := func() bool { steps++; return steps > k }
		blobs.stop = stop
		s := jobstore.New(stopping{h.Driver, stop}, jobstore.WithBlobs(blobs))
		ended := s.Put(t.Context(), g, j)
		accepted := ended == nil
		if accepted {
			ended = s.DeleteBlob(t.Context(), g, "etl")
		}
		blobs.stop = func() bool { return false }
		next := jobstore.New(h.Driver, jobstore.WithBlobs(blobs))
		_, err := next.Get(t.Context(), g, "etl")
		switch {
		case errors.Is(err, jobstore.ErrNotFound) && accepted:
			t.Errorf("stopped at step %d: an accepted job is gone", k)
		case errors.Is(err, jobstore.ErrDamaged) && strings.Contains(err.Error(), "missing"):
			t.Errorf("stopped at step %d: %v", k, err)
		}
		if accepted {
			if err := next.DeleteBlob(t.Context(), g, "etl"); err != nil || len(blobs.values) != 0 {
				t.Errorf("stopped at step %d: the next leader left %d blobs, %v; want none", k, len(blobs.values), err)
			}
		}
		if err := next.Delete(t.Context(), g, "etl"); err != nil {
			t.Fatal(err)
		}
		if ended == nil {
			if k < 4 {
				t.Errorf("all was done in %d steps, want put, commit, release and delete", k)
			}
			return
		}
	}
}
