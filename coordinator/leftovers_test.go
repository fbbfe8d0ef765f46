package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/blob"
	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// put stores a value of a job past the stores, below a path in a folder.
func (w *world) put(folder string, id job.ID, below ...string) string {
	w.t.Helper()
	path, err := layout.Path(folder, string(id))
	if err != nil {
		w.t.Fatal(err)
	}
	path = strings.Join(append([]string{path}, below...), "/")
	w.backend.mu.Lock()
	defer w.backend.mu.Unlock()
	w.backend.data[path] = []byte("x")
	return path
}

// leftovers returns the paths of what Leftovers finds.
func (w *world) leftovers(remove bool) []string {
	w.t.Helper()
	found, err := w.dispatcherNow().Leftovers(w.t.Context(), remove)
	if err != nil {
		w.t.Fatal(err)
	}
	paths := []string{}
	for _, l := range found {
		paths = append(paths, l.Path)
		if l.Removed != remove || l.Reason == "" {
			w.t.Errorf("leftover %+v: want a reason, and removed %v", l, remove)
		}
	}
	return paths
}

// leadAlone runs f in a bubble while one term leads w, which f may furnish before.
func leadAlone(t *testing.T, furnish, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		furnish(t, w)
		l := w.lead(&fakeTerm{epoch: 2})
		defer func() { // also when f gives up: the term's timers would run for ever
			if err := l.stop(); err != nil {
				t.Error(err)
			}
		}()
		f(t, w)
	})
}

func TestLeftoversAreWhatBelongsToNoJob(t *testing.T) {
	var lost, kept []string
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		w.cleaners = []Cleaner{fakeCleaner{name: "stuck", clean: func(context.Context, job.ID) error { return errInjected }}}
		w.has([]job.ID{"runs", "damaged"}, []job.ID{"dirty"}, []job.ID{"clean"})
		w.backend.damage(t, layout.Graphs, "damaged")
		kept = []string{
			w.put(layout.Outputs, "runs", "only", "0"), w.put(layout.Quarantine, "dirty"), w.put(layout.Outputs, "damaged", "only"),
		}
		lost = []string{
			w.put(layout.Outputs, "clean", "only"), w.put(layout.Outputs, "gone", "first"), w.put(layout.Outputs, "gone", "second"),
			w.put(layout.Progress, "clean"), w.put(layout.Progress, "gone"),
			w.put(layout.Outputs, "empty"), // as a backend whose folders are nodes has it
		}
		// Neither an ID nor in its bucket: not coordd's.
		w.backend.data[layout.Progress+"/zz/gone"] = nil
	}, func(t *testing.T, w *world) {
		t.Helper()
		lost = append(lost, w.put(layout.Quarantine, "gone"))
		if found := w.leftovers(false); !sameSet(found, lost) {
			t.Errorf("leftovers %v,\nwant %v", found, lost)
		}
		for _, path := range lost {
			if len(w.backend.has(path)) == 0 {
				t.Errorf("%s was deleted by looking", path)
			}
		}
		if found := w.leftovers(true); !sameSet(found, lost) {
			t.Errorf("deleted %v,\nwant %v", found, lost)
		}
		for _, path := range lost {
			if len(w.backend.has(path)) > 0 {
				t.Errorf("%s is still there", path)
			}
		}
		for _, path := range append(kept, layout.Progress+"/zz/gone", layout.Progress+"/"+layout.Bucket("runs")+"/runs", layout.Quarantine+"/"+layout.Bucket("damaged")+"/damaged") {
			if len(w.backend.has(path)) == 0 {
				t.Errorf("%s was deleted", path)
			}
		}
		if found := w.leftovers(true); len(found) > 0 {
			t.Errorf("leftovers after they were deleted: %v", found)
		}
	})
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestLeftoversOfManyJobsGoInBatches(t *testing.T) {
	const n = 3*leftoverBatch + 1
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		for i := range n {
			w.put(layout.Progress, job.ID(fmt.Sprintf("gone-%d", i)))
		}
	}, func(t *testing.T, w *world) {
		t.Helper()
		before := len(w.backend.log())
		if found := w.leftovers(true); len(found) != n {
			t.Errorf("%d leftovers were deleted, want %d", len(found), n)
		}
		commits := w.backend.log()[before:]
		if len(commits) != 4 {
			t.Errorf("%d transactions, want 4", len(commits))
		}
		for _, c := range commits {
			if ops := strings.Count(c, "remove"); ops > leftoverBatch {
				t.Errorf("a transaction of %d operations, want at most %d", ops, leftoverBatch)
			}
		}
	})
}

// The submission comes between the suspicion and the deletion.
func TestASubmissionUnderTheIDOfALeftoverWaitsAndKeepsItsProgress(t *testing.T) {
	var path string
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		path = w.put(layout.Progress, "again")
	}, func(t *testing.T, w *world) {
		t.Helper()
		goOn := make(chan struct{})
		w.backend.set(func(_ context.Context, op, at string) error {
			if op == "commit" && at == path {
				<-goOn
			}
			return nil
		})
		collected := make(chan error, 1)
		go func() {
			_, err := w.dispatcherNow().Leftovers(t.Context(), true)
			collected <- err
		}()
		synctest.Wait()
		submitted := make(chan error, 1)
		go func() {
			_, _, err := w.gateway().Submit(t.Context(), submission("again", "true"))
			submitted <- err
		}()
		synctest.Wait()
		select {
		case err := <-submitted:
			t.Errorf("the submission did not wait for the leftover to be gone: %v", err)
			submitted <- err
		default:
		}
		close(goOn)
		if err := errors.Join(<-collected, <-submitted); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(w.backend.has(path)) == 0 {
			t.Error("the progress of the accepted job was deleted")
		}
		w.wantStatus("again", job.StatusRunning)
	})
}

// The job is accepted after its folder was listed, and before it is judged.
func TestAJobAcceptedDuringTheListsIsNoLeftover(t *testing.T) {
	leadAlone(t, func(*testing.T, *world) {}, func(t *testing.T, w *world) {
		t.Helper()
		w.backend.set(func(ctx context.Context, op, at string) error {
			if op != "list" || at != layout.Outputs {
				return nil
			}
			w.backend.set(nil)
			_, _, err := w.gateway().Submit(ctx, submission("new", "true"))
			return err
		})
		if found := w.leftovers(true); len(found) > 0 {
			t.Errorf("leftovers %v, want none", found)
		}
		if n := len(w.backend.has(layout.Progress, "new")); n != 1 {
			t.Errorf("the new job has %d progress values, want 1", n)
		}
	})
}

func TestTwoCollectionsDoNotOverlapAndBothEnd(t *testing.T) {
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		for i := range 2 * leftoverBatch {
			w.put(layout.Progress, job.ID(fmt.Sprintf("gone-%d", i)))
		}
	}, func(t *testing.T, w *world) {
		t.Helper()
		var all sync.WaitGroup
		found := make([][]gateway.Leftover, 3)
		for i := range found {
			all.Go(func() {
				var err error
				if found[i], err = w.dispatcherNow().Leftovers(t.Context(), true); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		seen := make(map[string]int)
		for _, l := range slices.Concat(found...) {
			seen[l.Path]++
		}
		if len(seen) != 2*leftoverBatch {
			t.Errorf("%d leftovers were deleted, want %d", len(seen), 2*leftoverBatch)
		}
		for path, n := range seen {
			if n != 1 {
				t.Errorf("%s was deleted by %d collections, want one", path, n)
			}
		}
	})
}

func TestADeposedLeaderDeletesNoLeftover(t *testing.T) {
	var path string
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		path = w.put(layout.Progress, "gone")
	}, func(t *testing.T, w *world) {
		t.Helper()
		w.backend.set(func(_ context.Context, op, at string) error {
			if op == "get" && at == path {
				w.backend.elect(3)
			}
			return nil
		})
		found, err := w.dispatcherNow().Leftovers(t.Context(), true)
		if !errors.Is(err, gateway.ErrNotLeader) || found != nil {
			t.Errorf("deposed leader: %v, %v; want ErrNotLeader", found, err)
		}
		if len(w.backend.has(path)) == 0 {
			t.Error("a deposed leader deleted a leftover")
		}
	})
}

func TestADeposedLeaderDeletesNoBlob(t *testing.T) {
	store := &fakeBlobs{}
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		w.blobs = store
		store.write("old.1", time.Now().Add(-2*blobAge))
		w.backend.set(func(_ context.Context, op, at string) error {
			// Its graph was looked for, and it is about to be deleted.
			if op == "commit" && at == "" {
				w.backend.elect(3)
				return leader.ErrFenced
			}
			return nil
		})
	}, func(t *testing.T, w *world) {
		t.Helper()
		if found, err := w.dispatcherNow().Leftovers(t.Context(), true); !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("deposed leader: %v, %v; want ErrNotLeader", found, err)
		}
		if names := store.names(); !slices.Equal(names, []string{"old.1"}) {
			t.Errorf("blobs are %v: a deposed leader deleted one", names)
		}
	})
}

var _ Blobs = (*blob.Dir)(nil)

// fakeBlobs is a blob store in memory.
type fakeBlobs struct {
	mu      sync.Mutex
	written map[string]time.Time
}

func (b *fakeBlobs) write(name string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == nil {
		b.written = make(map[string]time.Time)
	}
	b.written[name] = at
}

func (b *fakeBlobs) names() []string {
	names, _ := b.List(context.Background(), time.Now().Add(time.Hour))
	return names
}

func (b *fakeBlobs) List(_ context.Context, before time.Time) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name, at := range b.written {
		if at.Before(before) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (b *fakeBlobs) Delete(_ context.Context, name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.written, name)
	return nil
}

func TestBlobsThatNoGraphNamesAreLeftoversOnceTheyAreOld(t *testing.T) {
	store := &fakeBlobs{}
	leadAlone(t, func(t *testing.T, w *world) {
		t.Helper()
		w.blobs = store
		w.has([]job.ID{"runs"}, nil, nil)
		store.write("runs.1", time.Now().Add(-48*time.Hour))
		store.write("gone.v2.1", time.Now().Add(-blobAge-time.Second))
		store.write(".runs.2.tmp", time.Now().Add(-48*time.Hour))
		store.write(".gone.2.tmp", time.Now().Add(-48*time.Hour))
		store.write("young.1", time.Now().Add(-blobAge+time.Minute))
	}, func(t *testing.T, w *world) {
		t.Helper()
		if found := w.leftovers(false); !slices.Equal(found, []string{".gone.2.tmp", "gone.v2.1"}) {
			t.Errorf("leftovers %v, want those of gone alone", found)
		}
		w.leftovers(true)
		if names := store.names(); !slices.Equal(names, []string{".runs.2.tmp", "runs.1", "young.1"}) {
			t.Errorf("blobs are %v, want those of runs, and young.1", names)
		}
	})
}

// A submission whose blob is written and whose graph is not, for longer than blobs
// count as young.
func TestTheBlobOfASubmissionUnderWayIsNoLeftover(t *testing.T) {
	store := &fakeBlobs{}
	leadAlone(t, func(_ *testing.T, w *world) { w.blobs = store }, func(t *testing.T, w *world) {
		t.Helper()
		goOn := make(chan struct{})
		w.backend.set(func(_ context.Context, op, at string) error {
			if op == "commit" && strings.Contains(at, "slow") {
				store.write("slow.1", time.Now())
				<-goOn
			}
			return nil
		})
		submitted := make(chan error, 1)
		go func() {
			_, _, err := w.gateway().Submit(t.Context(), submission("slow", "true"))
			submitted <- err
		}()
		synctest.Wait()
		<-time.After(3 * blobAge) // virtual
		if found := w.leftovers(true); len(found) > 0 {
			t.Errorf("leftovers %v, want none: the submission is under way", found)
		}
		close(goOn)
		if err := <-submitted; err != nil {
			t.Fatal(err)
		}
	})
}

func TestLeftoversSayWhyTheyCannotBeHad(t *testing.T) {
	leadAlone(t, func(*testing.T, *world) {}, func(t *testing.T, w *world) {
		t.Helper()
		w.backend.set(func(_ context.Context, op, at string) error {
			if op == "list" && at == layout.Outputs {
				return errInjected
			}
			return nil
		})
		if _, err := w.dispatcherNow().Leftovers(t.Context(), true); !errors.Is(err, errInjected) || !strings.Contains(err.Error(), layout.Outputs) {
			t.Errorf("error %v, want the injected one with the folder's name", err)
		}
		d := w.dispatcherNow()
		d.cfg.Tree = nil
		if _, err := d.Leftovers(t.Context(), true); !errors.Is(err, errNoTree) {
			t.Errorf("without a tree: %v, want errNoTree", err)
		}
	})
}
