package resultstoretest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/txn"
)

type test struct {
	name  string
	check func(t *testing.T, h Harness)
}

func tests() []test {
	return []test{
		{"a dirty result becomes clean and stays", lifeOfAResult},
		{"a job gets one result", oneResult},
		{"a job without a result has none", noResult},
		{"what is removed goes when the result is clean", alsoOnce},
		{"a transaction that fails leaves the result dirty", failingAlso},
		{"only an end is a result", notTerminal},
		{"an id that leaves its place is refused", invalidIDs},
		{"every dirty and every clean result is listed", lists},
		{"a result that cannot be read hides no other", unreadable},
		{"a deposed leader's store does nothing", fenced},
		{"a list that cannot be had is an error", brokenList},
	}
}

func result(id job.ID, status job.Status) job.Result {
	at := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	code := 3
	return job.Result{
		Snapshot: job.Snapshot{
			ID: id, Name: "etl", Status: status, SubmittedAt: at, StartedAt: at.Add(time.Second), FinishedAt: at.Add(time.Minute),
			Epoch: 7, Tasks: []job.TaskSnapshot{{ID: "load", Subtasks: []job.SubtaskSnapshot{
				{Index: 0, Status: job.SubtaskFinished, Attempt: 2, Epoch: 7, ExitCode: &code, Output: "done"},
			}}},
		},
		Digest: "digest of " + string(id),
	}
}

func finished(id job.ID) job.Result { return result(id, job.StatusFinished) }

func record(t testing.TB, s *resultstore.Store, g leader.Guard, r job.Result) {
	t.Helper()
	if err := s.CreateDirty(t.Context(), g, r); err != nil {
		t.Fatal(err)
	}
}

func clean(t testing.TB, s *resultstore.Store, g leader.Guard, id job.ID, also ...txn.Op) {
	t.Helper()
	if err := s.MarkClean(t.Context(), g, id, also...); err != nil {
		t.Fatal(err)
	}
}

// has checks the result of a job.
func has(t testing.TB, s *resultstore.Store, g leader.Guard, want job.Result, wantClean bool) {
	t.Helper()
	got, isClean, err := s.Get(t.Context(), g, want.Snapshot.ID)
	if err != nil {
		t.Errorf("result of %s: %v", want.Snapshot.ID, err)
		return
	}
	if !reflect.DeepEqual(got, want) || isClean != wantClean {
		t.Errorf("result of %s is %+v, clean %t; want %+v, clean %t", want.Snapshot.ID, got, isClean, want, wantClean)
	}
}

// fails checks an error, and that it names what an operator must know.
func fails(t testing.TB, err, want error, names ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q does not name %q", err, name)
		}
	}
}

func lifeOfAResult(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	record(t, s, g, finished("etl"))
	has(t, s, g, finished("etl"), false)
	g = h.Lead(t)
	has(t, s, g, finished("etl"), false)
	for range 2 {
		clean(t, s, g, "etl")
		has(t, s, g, finished("etl"), true)
		listed(t, s, g, nil, []job.ID{"etl"})
		g = h.Lead(t)
	}
}

func oneResult(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	record(t, s, g, finished("etl"))
	for _, isClean := range []bool{false, true} {
		if isClean {
			clean(t, s, g, "etl")
		}
		for range 2 {
			fails(t, s.CreateDirty(t.Context(), g, result("etl", job.StatusFailed)), resultstore.ErrExists, "etl")
			has(t, s, g, finished("etl"), isClean)
			g = h.Lead(t)
		}
	}
	listed(t, s, g, nil, []job.ID{"etl"})
}

func noResult(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	_, isClean, err := s.Get(t.Context(), g, "etl")
	fails(t, err, resultstore.ErrNoResult, "etl")
	if isClean {
		t.Error("a result that is not there is said to be clean")
	}
	fails(t, s.MarkClean(t.Context(), g, "etl"), resultstore.ErrNoResult, "etl")
	listed(t, s, g, nil, nil)
}

func alsoOnce(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	const graph = "jobgraphs/5e/etl"
	put := func(data string) {
		t.Helper()
		if err := h.Driver.Commit(t.Context(), g, txn.Op{Kind: txn.Create, Path: graph, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	put("graph")
	record(t, s, g, finished("etl"))
	removal := []txn.Op{{Kind: txn.Remove, Path: graph}, {Kind: txn.Remove, Path: "progress/5e/etl"}}
	clean(t, s, g, "etl", removal...)
	_, err := h.Driver.Get(t.Context(), g, graph)
	fails(t, err, txn.ErrNotFound)

	put("of another life")
	clean(t, s, g, "etl", removal...)
	if _, err := h.Driver.Get(t.Context(), g, graph); err != nil {
		t.Errorf("marking a clean result clean removed something again: %v", err)
	}
}

func failingAlso(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	record(t, s, g, finished("etl"))
	err := s.MarkClean(t.Context(), g, "etl", txn.Op{Kind: txn.Delete, Path: "jobgraphs/5e/absent"})
	fails(t, err, txn.ErrNotFound, "jobgraphs/5e/absent")
	has(t, s, g, finished("etl"), false)
	listed(t, s, g, []job.ID{"etl"}, nil)
	clean(t, s, g, "etl")
}

func notTerminal(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	for _, status := range []job.Status{job.StatusRunning, job.StatusSuspended, job.StatusFailing, ""} {
		fails(t, s.CreateDirty(t.Context(), g, result("etl", status)), resultstore.ErrNotTerminal, "etl")
	}
	listed(t, s, g, nil, nil)
	for i, status := range []job.Status{job.StatusFinished, job.StatusFailed, job.StatusCanceled} {
		r := result(job.ID(fmt.Sprintf("job-%d", i)), status)
		record(t, s, g, r)
		has(t, s, g, r, false)
	}
}

func invalidIDs(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	for _, id := range []job.ID{"", "..", "a/b", "../clean/5e/etl"} {
		_, _, get := s.Get(t.Context(), g, id)
		for _, err := range []error{s.CreateDirty(t.Context(), g, finished(id)), s.MarkClean(t.Context(), g, id), get} {
			fails(t, err, resultstore.ErrInvalidID)
		}
	}
	listed(t, s, g, nil, nil)
}

// listed checks which results are dirty and which are clean, all readable.
func listed(t testing.TB, s *resultstore.Store, g leader.Guard, wantDirty, wantClean []job.ID) {
	t.Helper()
	for what, c := range map[string]struct {
		list func() ([]resultstore.Entry, error)
		want []job.ID
	}{
		"dirty": {func() ([]resultstore.Entry, error) { return s.Dirty(t.Context(), g) }, wantDirty},
		"clean": {func() ([]resultstore.Entry, error) { return s.Clean(t.Context(), g) }, wantClean},
	} {
		entries, err := c.list()
		if err != nil {
			t.Errorf("list of %s results: %v", what, err)
		}
		got := byID(entries)
		if len(entries) != len(c.want) || len(got) != len(c.want) {
			t.Errorf("%d %s results, want %q", len(entries), what, c.want)
		}
		for _, id := range c.want {
			if e, ok := got[id]; !ok || e.Err != nil || e.Result.Snapshot.ID != id {
				t.Errorf("the %s result of %s is %+v, want it readable", what, id, e)
			}
		}
	}
}

func byID(entries []resultstore.Entry) map[job.ID]resultstore.Entry {
	m := make(map[job.ID]resultstore.Entry, len(entries))
	for _, e := range entries {
		m[e.ID] = e
	}
	return m
}

func lists(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	var dirtyIDs, cleanIDs []job.ID
	for i := range 40 {
		id := job.ID(fmt.Sprintf("job-%d", i))
		record(t, s, g, finished(id))
		if i%2 == 0 {
			dirtyIDs = append(dirtyIDs, id)
			continue
		}
		clean(t, s, g, id)
		cleanIDs = append(cleanIDs, id)
	}
	listed(t, s, g, dirtyIDs, cleanIDs)
	listed(t, s, h.Lead(t), dirtyIDs, cleanIDs)
}

func unreadable(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	newer, err := envelope.Encode([]byte(`{"v":3}`))
	if err != nil {
		t.Fatal(err)
	}
	values := map[job.ID]struct {
		data []byte
		want error
	}{
		"garbage": {[]byte("garbage"), resultstore.ErrDamaged},
		"newer":   {newer, resultstore.ErrNewerFormat},
	}
	record(t, s, g, finished("etl"))
	for id, v := range values {
		record(t, s, g, finished(id))
		path, _ := layout.Path(layout.Dirty, string(id))
		if err := h.Driver.Commit(t.Context(), g, txn.Op{Kind: txn.Put, Path: path, Data: v.data}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := s.Dirty(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	got := byID(entries)
	if e := got["etl"]; e.Err != nil || !reflect.DeepEqual(e.Result, finished("etl")) {
		t.Errorf("the readable result is %+v, want it whole", e)
	}
	for id, v := range values {
		fails(t, got[id].Err, v.want, string(id))
		_, _, err := s.Get(t.Context(), g, id)
		fails(t, err, v.want, string(id))
		fails(t, s.MarkClean(t.Context(), g, id), v.want, string(id))
		fails(t, s.CreateDirty(t.Context(), g, finished(id)), resultstore.ErrExists, string(id))
	}
}

func fenced(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	old := h.Lead(t)
	record(t, s, old, finished("etl"))
	now := h.Lead(t)
	_, _, get := s.Get(t.Context(), old, "etl")
	_, dirtyErr := s.Dirty(t.Context(), old)
	_, cleanErr := s.Clean(t.Context(), old)
	for call, err := range map[string]error{
		"CreateDirty": s.CreateDirty(t.Context(), old, finished("late")), "MarkClean": s.MarkClean(t.Context(), old, "etl"),
		"Get": get, "Dirty": dirtyErr, "Clean": cleanErr,
	} {
		if !errors.Is(err, leader.ErrFenced) {
			t.Errorf("%s of a deposed leader: %v, want ErrFenced", call, err)
		}
	}
	listed(t, s, now, []job.ID{"etl"}, nil)
}

func brokenList(t *testing.T, h Harness) {
	t.Helper()
	if h.Faults == nil {
		return
	}
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	record(t, s, g, finished("etl"))
	record(t, s, g, finished("other"))
	broken := errors.New("broken")
	path, _ := layout.Path(layout.Dirty, "etl")

	stop := h.Faults.Fail(t, "list", layout.Dirty+"/"+layout.Bucket("etl"), broken)
	if got, err := s.Dirty(t.Context(), g); !errors.Is(err, broken) {
		t.Errorf("%d results, %v; want the driver's error rather than an incomplete list", len(got), err)
	}
	stop()

	stop = h.Faults.Fail(t, "get", path, broken)
	entries, err := s.Dirty(t.Context(), g)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d results, %v; want 2, one of them with an error", len(entries), err)
	}
	fails(t, byID(entries)["etl"].Err, broken, path)
	if e := byID(entries)["other"]; e.Err != nil {
		t.Errorf("the other result: %v, want it readable", e.Err)
	}
	stop()

	stop = h.Faults.Fail(t, "get", path, leader.ErrFenced)
	if got, err := s.Dirty(t.Context(), g); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("%d results, %v; want ErrFenced rather than an incomplete list", len(got), err)
	}
	stop()
	listed(t, s, g, []job.ID{"etl", "other"}, nil)
}
