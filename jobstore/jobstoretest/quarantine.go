package jobstoretest

import (
	"cmp"
	"errors"
	"fmt"
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

func quarantineTests() []test {
	return []test{
		{"a quarantine record stays for later leaders until it is removed", recordLife},
		{"a quarantine record touches nothing of its job", recordBesideJob},
		{"a quarantine record that cannot be read hides no other", unreadableRecord},
		{"a deposed leader writes and removes no quarantine record", fencedRecord},
		{"outputs are removed in batches, and all of them", outputs},
	}
}

func someRecord(id job.ID) jobstore.Quarantine {
	return jobstore.Quarantine{
		ID: id, Reason: "cannot be read", SinceEpoch: 7, Writer: "node-1",
		Since: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC),
	}
}

// records checks which records are listed, all readable.
func records(t testing.TB, s *jobstore.Store, g leader.Guard, want ...jobstore.Quarantine) {
	t.Helper()
	got, err := s.Quarantined(t.Context(), g)
	slices.SortFunc(got, func(a, b jobstore.QuarantineEntry) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(want, func(a, b jobstore.Quarantine) int { return cmp.Compare(a.ID, b.ID) })
	same := slices.EqualFunc(got, want, func(e jobstore.QuarantineEntry, q jobstore.Quarantine) bool {
		return e.Err == nil && e.ID == q.ID && e.Record == q
	})
	if err != nil || !same {
		t.Errorf("quarantine records %+v, %v; want %+v", got, err, want)
	}
}

func recordLife(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	records(t, s, g)
	if err := s.DeleteQuarantine(t.Context(), g, "etl"); err != nil {
		t.Errorf("removing a record that is not there: %v, want no error", err)
	}
	for _, id := range []job.ID{"etl", "other"} {
		if err := s.PutQuarantine(t.Context(), g, someRecord(id)); err != nil {
			t.Fatal(err)
		}
	}
	g = h.Lead(t)
	records(t, s, g, someRecord("etl"), someRecord("other"))
	changed := someRecord("etl")
	changed.Reason = "still cannot be read"
	if err := s.PutQuarantine(t.Context(), g, changed); err != nil {
		t.Fatal(err)
	}
	records(t, s, h.Lead(t), changed, someRecord("other"))
	g = h.Lead(t)
	if err := s.DeleteQuarantine(t.Context(), g, "etl"); err != nil {
		t.Fatal(err)
	}
	records(t, s, h.Lead(t), someRecord("other"))
	for _, id := range []job.ID{"", "a/b"} {
		fails(t, s.PutQuarantine(t.Context(), g, someRecord(id)), jobstore.ErrInvalidID)
		fails(t, s.DeleteQuarantine(t.Context(), g, id), jobstore.ErrInvalidID)
	}
}

func recordBesideJob(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	if err := s.PutQuarantine(t.Context(), g, someRecord("etl")); err != nil {
		t.Fatal(err)
	}
	stores(t, s, g, someJob("etl"))
	if _, err := s.Progress(t.Context(), g, "etl", someJob("etl").Graph); err != nil {
		t.Errorf("progress of a job with a record: %v", err)
	}
	if err := s.DeleteQuarantine(t.Context(), g, "etl"); err != nil {
		t.Fatal(err)
	}
	stores(t, s, g, someJob("etl"))
}

func unreadableRecord(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	newer, err := envelope.Encode([]byte(`{"v":3}`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[job.ID]error{"garbage": jobstore.ErrDamaged, "newer": jobstore.ErrNewerFormat, "etl": nil}
	for id, data := range map[job.ID][]byte{"garbage": []byte("garbage"), "newer": newer} {
		path, _ := layout.Path(layout.Quarantine, string(id))
		commit(t, h.Driver, g, creating(path, string(data)))
	}
	if err := s.PutQuarantine(t.Context(), g, someRecord("etl")); err != nil {
		t.Fatal(err)
	}
	got, err := s.Quarantined(t.Context(), g)
	if err != nil || len(got) != len(want) {
		t.Errorf("%d records, %v; want %d", len(got), err, len(want))
	}
	for _, e := range got {
		if !errors.Is(e.Err, want[e.ID]) {
			t.Errorf("record of %s: %v, want %v", e.ID, e.Err, want[e.ID])
		}
	}
	if err := s.PutQuarantine(t.Context(), g, someRecord("garbage")); err != nil {
		t.Errorf("replacing a record that cannot be read: %v", err)
	}
}

func fencedRecord(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	old := h.Lead(t)
	if err := s.PutQuarantine(t.Context(), old, someRecord("etl")); err != nil {
		t.Fatal(err)
	}
	now := h.Lead(t)
	_, list := s.Quarantined(t.Context(), old)
	for call, err := range map[string]error{
		"PutQuarantine": s.PutQuarantine(t.Context(), old, someRecord("late")), "Quarantined": list,
		"DeleteQuarantine": s.DeleteQuarantine(t.Context(), old, "etl"), "DeleteOutputs": s.DeleteOutputs(t.Context(), old, "etl"),
	} {
		if !errors.Is(err, leader.ErrFenced) {
			t.Errorf("%s of a deposed leader: %v, want ErrFenced", call, err)
		}
	}
	records(t, s, now, someRecord("etl"))
}

func outputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	if err := s.DeleteOutputs(t.Context(), g, "etl"); err != nil {
		t.Errorf("removing outputs of a job without any: %v, want no error", err)
	}
	folder, err := layout.Path(layout.Outputs, "etl")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := layout.Path(layout.Outputs, "other")
	ops := []txn.Op{creating(other+"/load", "kept")}
	for i := range 250 {
		ops = append(ops, creating(fmt.Sprintf("%s/task-%d", folder, i), "out"))
	}
	commit(t, h.Driver, g, ops...)
	for range 2 {
		if err := s.DeleteOutputs(t.Context(), g, "etl"); err != nil {
			t.Fatal(err)
		}
		if names, err := h.Driver.List(t.Context(), g, folder); err != nil || len(names) != 0 {
			t.Errorf("%d outputs left, %v; want none", len(names), err)
		}
	}
	if _, err := h.Driver.Get(t.Context(), g, other+"/load"); err != nil {
		t.Errorf("the output of another job: %v, want it untouched", err)
	}
	fails(t, s.DeleteOutputs(t.Context(), g, "a/b"), jobstore.ErrInvalidID)
}
