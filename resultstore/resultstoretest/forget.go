package resultstoretest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/txn"
)

func forgetTests() []test {
	return []test{
		{"forgotten results are gone and their ids free", forget},
		{"a dirty result is never forgotten", forgetDirty},
		{"a deposed leader forgets and replaces nothing", forgetFenced},
		{"only a result that cannot be read is replaced", replace},
	}
}

func forget(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	var ids []job.ID
	for i := range 250 {
		id := job.ID(fmt.Sprintf("job-%d", i))
		path, _ := layout.Path(layout.Clean, string(id))
		if i == 0 {
			record(t, s, g, finished(id))
			clean(t, s, g, id)
		} else if err := h.Driver.Commit(t.Context(), g, txn.Op{Kind: txn.Create, Path: path, Data: []byte(id)}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	record(t, s, g, finished("kept"))
	clean(t, s, g, "kept")
	for range 2 {
		if err := s.Forget(t.Context(), g, ids...); err != nil {
			t.Fatal(err)
		}
		listed(t, s, g, nil, []job.ID{"kept"})
		g = h.Lead(t)
	}
	if err := s.Forget(t.Context(), g); err != nil {
		t.Errorf("forgetting nothing: %v", err)
	}
	fails(t, s.Forget(t.Context(), g, "kept", "a/b"), resultstore.ErrInvalidID)
	listed(t, s, g, nil, []job.ID{"kept"})

	again := result("job-0", job.StatusFailed)
	record(t, s, g, again)
	clean(t, s, g, "job-0")
	has(t, s, g, again, true)
}

func forgetDirty(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	record(t, s, g, finished("etl"))
	if err := s.Forget(t.Context(), g, "etl", "nobody"); err != nil {
		t.Errorf("forgetting what has no clean result: %v, want nothing done", err)
	}
	has(t, s, g, finished("etl"), false)
}

func forgetFenced(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	old := h.Lead(t)
	record(t, s, old, finished("etl"))
	clean(t, s, old, "etl")
	now := h.Lead(t)
	for call, err := range map[string]error{
		"Forget":  s.Forget(t.Context(), old, "etl"),
		"Replace": s.Replace(t.Context(), old, finished("other")),
	} {
		if !errors.Is(err, leader.ErrFenced) {
			t.Errorf("%s of a deposed leader: %v, want ErrFenced", call, err)
		}
	}
	listed(t, s, now, nil, []job.ID{"etl"})
}

func replace(t *testing.T, h Harness) {
	t.Helper()
	s := resultstore.New(h.Driver)
	g := h.Lead(t)
	newer, err := envelope.Encode([]byte(`{"v":3}`))
	if err != nil {
		t.Fatal(err)
	}
	failed := func(id job.ID) job.Result { return result(id, job.StatusFailed) }
	spoil := func(folder string, id job.ID, data []byte) {
		t.Helper()
		path, _ := layout.Path(folder, string(id))
		if err := h.Driver.Commit(t.Context(), g, txn.Op{Kind: txn.Put, Path: path, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []job.ID{"dirty", "bad-dirty", "clean", "bad-clean", "newer"} {
		record(t, s, g, finished(id))
	}
	clean(t, s, g, "clean")
	clean(t, s, g, "bad-clean")
	spoil(layout.Dirty, "bad-dirty", []byte("garbage"))
	spoil(layout.Clean, "bad-clean", []byte("garbage"))
	spoil(layout.Dirty, "newer", newer)

	for _, id := range []job.ID{"dirty", "clean"} {
		fails(t, s.Replace(t.Context(), g, failed(id)), resultstore.ErrExists, string(id))
		has(t, s, g, finished(id), id == "clean")
	}
	fails(t, s.Replace(t.Context(), g, failed("newer")), resultstore.ErrNewerFormat, "newer")
	fails(t, s.Replace(t.Context(), g, result("absent", job.StatusRunning)), resultstore.ErrNotTerminal, "absent")
	fails(t, s.Replace(t.Context(), g, result("bad-dirty", job.StatusRunning)), resultstore.ErrNotTerminal, "bad-dirty")
	for _, id := range []job.ID{"bad-dirty", "bad-clean", "absent"} {
		if err := s.Replace(t.Context(), g, failed(id)); err != nil {
			t.Errorf("replacing the result of %s: %v", id, err)
		}
		has(t, s, g, failed(id), false)
		clean(t, s, g, id)
		has(t, s, g, failed(id), true)
	}
}
