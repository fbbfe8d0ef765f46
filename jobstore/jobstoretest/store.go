package jobstoretest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func storeTests() []test {
	return []test{
		{"an accepted job is there for every later leader", putAndGet},
		{"an id is accepted once", putTwice},
		{"what is not stored is not found", absent},
		{"ids are listed", ids},
		{"progress is replaced as a whole", progress},
		{"an id that leaves its place is refused", invalidIDs},
		{"a graph that is too large leaves nothing", tooLargeGraph},
		{"deleting leaves nothing and may be repeated", remove},
		{"a job that cannot be read hides no other", unreadable},
		{"a deposed leader's store does nothing", fencedStore},
		{"a list that cannot be had is an error", brokenList},
	}
}

func someJob(id job.ID) jobstore.Job {
	return jobstore.Job{
		ID: id,
		Graph: job.Graph{Name: "etl", Tasks: []job.Task{
			{ID: "extract", Parallelism: 3, Command: []string{"sh", "-c", "echo part"}, Env: map[string]string{"REGION": "eu"}},
			{ID: "load", Needs: []string{"extract"}, Command: []string{"./load.sh"}},
		}},
		SubmittedAt: time.Date(2026, 11, 21, 5, 0, 0, 123456789, time.UTC),
		Digest:      "digest of " + string(id),
	}
}

func accept(t testing.TB, s *jobstore.Store, g leader.Guard, j jobstore.Job) {
	t.Helper()
	if err := s.Put(t.Context(), g, j); err != nil {
		t.Fatal(err)
	}
}

func stores(t testing.TB, s *jobstore.Store, g leader.Guard, want jobstore.Job) {
	t.Helper()
	got, err := s.Get(t.Context(), g, want.ID)
	if err != nil {
		t.Errorf("get job %s: %v", want.ID, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("job %s is %+v, want %+v", want.ID, got, want)
	}
}

func putAndGet(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	stores(t, s, g, someJob("etl"))
	g = h.Lead(t)
	stores(t, s, g, someJob("etl"))
	plain := someJob("plain")
	plain.Digest = ""
	accept(t, s, g, plain)
	plain.Digest = plain.Graph.Digest()
	stores(t, s, g, plain)
	p, err := s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
	if err != nil || !reflect.DeepEqual(p, jobstore.Progress{}) {
		t.Errorf("a fresh job's progress is %+v, %v; want none", p, err)
	}
}

func putTwice(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	other := someJob("etl")
	other.Graph.Name, other.Digest = "another", "another"
	for range 2 {
		fails(t, s.Put(t.Context(), g, other), jobstore.ErrExists, "etl")
		stores(t, s, g, someJob("etl"))
		g = h.Lead(t)
	}
}

func absent(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	_, err := s.Get(t.Context(), g, "etl")
	fails(t, err, jobstore.ErrNotFound, "etl")
	_, err = s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
	fails(t, err, jobstore.ErrNotFound, "etl")
	fails(t, s.PutProgress(t.Context(), g, "etl", jobstore.Progress{}), jobstore.ErrNotFound, "etl")
	_, err = s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
	fails(t, err, jobstore.ErrNotFound, "etl")
	listsJobs(t, s, g)
}

func listsJobs(t testing.TB, s *jobstore.Store, g leader.Guard, want ...job.ID) {
	t.Helper()
	got, err := s.IDs(t.Context(), g)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("jobs %q, %v; want %q", got, err, want)
	}
}

func ids(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	var want []job.ID
	for i := range 50 {
		id := job.ID(fmt.Sprintf("job-%d", i))
		accept(t, s, g, someJob(id))
		want = append(want, id)
	}
	listsJobs(t, s, g, want...)
	listsJobs(t, s, h.Lead(t), want...)
}

func progress(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	accept(t, s, g, someJob("other"))
	want := jobstore.Progress{StartedAt: time.Date(2026, 11, 21, 5, 0, 1, 0, time.UTC)}
	for i := range 3 {
		want.Finish(i, g.Epoch(), i+1, false)
		want.Fail(i+1, g.Epoch(), 2, 1)
		if err := s.PutProgress(t.Context(), g, "etl", want); err != nil {
			t.Fatal(err)
		}
		g = h.Lead(t)
		got, err := s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
		if err != nil || !same(got, want) {
			t.Errorf("progress %+v, %v; want %+v", got, err, want)
		}
	}
	got, err := s.Progress(t.Context(), g, "other", someJob("other").Graph)
	if err != nil || !reflect.DeepEqual(got, jobstore.Progress{}) {
		t.Errorf("another job's progress is %+v, %v; want none", got, err)
	}
}

// same says whether two records say the same.
func same(a, b jobstore.Progress) bool {
	return a.StartedAt.Equal(b.StartedAt) && a.ResultBytes == b.ResultBytes &&
		reflect.DeepEqual(maps.Collect(a.All()), maps.Collect(b.All()))
}

func invalidIDs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	for _, id := range []job.ID{"", "..", "a/b", "../progress/5e/etl", ".hidden"} {
		_, get := s.Get(t.Context(), g, id)
		_, prog := s.Progress(t.Context(), g, id, someJob(id).Graph)
		for _, err := range []error{
			s.Put(t.Context(), g, someJob(id)), get, prog,
			s.PutProgress(t.Context(), g, id, jobstore.Progress{}), s.Delete(t.Context(), g, id),
		} {
			fails(t, err, jobstore.ErrInvalidID)
		}
		if ops := jobstore.Removal(id); len(ops) > 0 {
			t.Errorf("the removal of %q is %v, want nothing", id, ops)
		}
	}
	listsJobs(t, s, g)
}

func tooLargeGraph(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	large := someJob("large")
	large.Graph.Tasks[0].Env["DATA"] = fmt.Sprintf("%x", noise(600<<10))
	fails(t, s.Put(t.Context(), g, large), txn.ErrTooLarge, "large")
	listsJobs(t, s, g)
	_, err := s.Progress(t.Context(), g, "large", large.Graph)
	fails(t, err, jobstore.ErrNotFound)

	fits := someJob("fits")
	fits.Graph.Tasks[0].Env["DATA"] = fmt.Sprintf("%x", noise(400<<10))
	accept(t, s, g, fits)
	stores(t, s, g, fits)
}

func remove(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	accept(t, s, g, someJob("other"))
	record, err := layout.Path(layout.Quarantine, "etl")
	if err != nil {
		t.Fatal(err)
	}
	commit(t, h.Driver, g, creating(record, "record"))
	for range 2 {
		if err := s.Delete(t.Context(), g, "etl"); err != nil {
			t.Fatal(err)
		}
		listsJobs(t, s, g, "other")
		free(t, h.Driver, g, record)
		_, err = s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
		fails(t, err, jobstore.ErrNotFound)
		g = h.Lead(t)
	}
	stores(t, s, g, someJob("other"))
	accept(t, s, g, someJob("etl"))
}

// unreadable spoils stored values one by one, as a disk, an operator or a newer
// release may.
func unreadable(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	newer, err := envelope.Encode([]byte(`{"v":9}`))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := envelope.Encode([]byte(`{"v":1,"id":"another"}`))
	if err != nil {
		t.Fatal(err)
	}
	values := map[job.ID]struct {
		graph, progress []byte
		want            error
	}{
		"garbage": {[]byte("garbage"), []byte("garbage"), jobstore.ErrDamaged},
		"empty":   {[]byte{0}, []byte{0}, jobstore.ErrDamaged},
		"newer":   {newer, newer, jobstore.ErrNewerFormat},
		"moved":   {foreign, []byte("garbage"), jobstore.ErrDamaged},
	}
	accept(t, s, g, someJob("etl"))
	want := []job.ID{"etl"}
	for id, v := range values {
		want = append(want, id)
		accept(t, s, g, someJob(id))
		graph, _ := layout.Path(layout.Graphs, string(id))
		prog, _ := layout.Path(layout.Progress, string(id))
		commit(t, h.Driver, g, txn.Op{Kind: txn.Put, Path: graph, Data: v.graph}, txn.Op{Kind: txn.Put, Path: prog, Data: v.progress})
	}
	listsJobs(t, s, g, want...)
	stores(t, s, g, someJob("etl"))
	for id, v := range values {
		_, err := s.Get(t.Context(), g, id)
		fails(t, err, v.want, string(id))
		_, err = s.Progress(t.Context(), g, id, someJob(id).Graph)
		fails(t, err, v.want, string(id))
	}
}

func fencedStore(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	old := h.Lead(t)
	accept(t, s, old, someJob("etl"))
	now := h.Lead(t)
	_, get := s.Get(t.Context(), old, "etl")
	_, list := s.IDs(t.Context(), old)
	_, prog := s.Progress(t.Context(), old, "etl", someJob("etl").Graph)
	for call, err := range map[string]error{
		"Put": s.Put(t.Context(), old, someJob("late")), "Get": get, "IDs": list, "Progress": prog,
		"PutProgress": s.PutProgress(t.Context(), old, "etl", jobstore.Progress{StartedAt: time.Unix(1, 0)}),
		"Delete":      s.Delete(t.Context(), old, "etl"),
	} {
		if !errors.Is(err, leader.ErrFenced) {
			t.Errorf("%s of a deposed leader: %v, want ErrFenced", call, err)
		}
	}
	listsJobs(t, s, now, "etl")
	if p, err := s.Progress(t.Context(), now, "etl", someJob("etl").Graph); err != nil || !p.StartedAt.IsZero() {
		t.Errorf("progress %+v, %v; want none: the deposed leader's must not be there", p, err)
	}
}

func brokenList(t *testing.T, h Harness) {
	t.Helper()
	if h.Faults == nil {
		return
	}
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	accept(t, s, g, someJob("other"))
	broken := errors.New("broken")
	stop := h.Faults.Fail(t, "list", layout.Graphs+"/"+layout.Bucket("etl"), broken)
	if got, err := s.IDs(t.Context(), g); !errors.Is(err, broken) {
		t.Errorf("jobs %q, %v; want the driver's error rather than an incomplete list", got, err)
	}
	stop()
	listsJobs(t, s, g, "etl", "other")
}
