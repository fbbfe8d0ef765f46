package jobstoretest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func outputTests() []test {
	return []test{
		{"outputs are stored with the success and read back", putOutputs},
		{"an output that cannot be stored leaves the progress as it was", outputsWithProgress},
		{"a write whose outcome was lost may be repeated with more", repeatedOutputs},
		{"as many outputs as a write may carry are kept", manyOutputs},
		{"deleting outputs leaves none and may be repeated", deleteOutputs},
		{"an output that is missing or spoiled is damaged", damagedOutputs},
	}
}

func idsOf(outputs []jobstore.Output) []jobstore.OutputID {
	ids := make([]jobstore.OutputID, len(outputs))
	for i, o := range outputs {
		ids[i] = jobstore.OutputID{Task: o.Task, Subtask: o.Subtask}
	}
	return ids
}

func hasOutputs(t testing.TB, s *jobstore.Store, g leader.Guard, id job.ID, want ...jobstore.Output) {
	t.Helper()
	got, err := s.Outputs(t.Context(), g, id, idsOf(want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%d outputs of job %s, %v; want the %d that were stored", len(got), id, err, len(want))
	}
}

func putOutputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	want := []jobstore.Output{
		{Task: "extract", Subtask: 1, Result: []byte("\x00\xff part")},
		{Task: "extract.1", Subtask: 0, Result: []byte("a task may have dots")},
		{Task: "load", Subtask: 0, Text: "done\n", Result: []byte(noise(job.MaxResult))},
	}
	var p jobstore.Progress
	p.Finish(1, g.Epoch(), 1, true)
	p.ResultBytes = 77
	if err := s.PutProgress(t.Context(), g, "etl", p, want...); err != nil {
		t.Fatal(err)
	}
	hasOutputs(t, s, g, "etl", want...)
	g = h.Lead(t)
	hasOutputs(t, s, g, "etl", want...)
	hasOutputs(t, s, g, "etl", want[2], want[0])
	got, err := s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
	if err != nil || !same(got, p) {
		t.Errorf("progress %+v, %v; want %+v", got, err, p)
	}
}

func outputsWithProgress(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	var p jobstore.Progress
	p.Finish(0, g.Epoch(), 1, true)
	large := jobstore.Output{Task: "extract", Result: []byte(noise(600 << 10))}
	fails(t, s.PutProgress(t.Context(), g, "etl", p, large), txn.ErrTooLarge, "extract")
	// The record of this job has gone, so its outputs must not be made.
	if err := s.Delete(t.Context(), g, "etl"); err != nil {
		t.Fatal(err)
	}
	fails(t, s.PutProgress(t.Context(), g, "etl", p, jobstore.Output{Task: "extract", Text: "x"}), jobstore.ErrNotFound, "etl")
	_, err := s.Outputs(t.Context(), g, "etl", []jobstore.OutputID{{Task: "extract"}})
	fails(t, err, jobstore.ErrDamaged, "extract.0")
}

func repeatedOutputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	var p jobstore.Progress
	var outputs []jobstore.Output
	for i := range 3 {
		p.Finish(i, g.Epoch(), 1, true)
		outputs = append(outputs, jobstore.Output{Task: "extract", Subtask: i, Text: fmt.Sprint("part ", i)})
		if err := s.PutProgress(t.Context(), g, "etl", p, outputs...); err != nil {
			t.Fatal(err)
		}
		hasOutputs(t, s, g, "etl", outputs...)
	}
	got, err := s.Progress(t.Context(), g, "etl", someJob("etl").Graph)
	if err != nil || !same(got, p) {
		t.Errorf("progress %+v, %v; want %+v", got, err, p)
	}
}

func manyOutputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	var outputs []jobstore.Output
	task := strings.Repeat("x", 128)
	for i := range 500 {
		outputs = append(outputs, jobstore.Output{Task: task, Subtask: i, Result: []byte(noise(512))})
	}
	if err := s.PutProgress(t.Context(), g, "etl", jobstore.Progress{}, outputs...); err != nil {
		t.Fatal(err)
	}
	hasOutputs(t, s, g, "etl", outputs...)
}

func deleteOutputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	kept := jobstore.Output{Task: "extract", Text: "kept"}
	for _, id := range []job.ID{"etl", "other"} {
		accept(t, s, g, someJob(id))
		if err := s.PutProgress(t.Context(), g, id, jobstore.Progress{}, kept); err != nil {
			t.Fatal(err)
		}
	}
	var many []jobstore.Output
	for i := range 250 {
		many = append(many, jobstore.Output{Task: "load", Subtask: i, Text: "x"})
	}
	if err := s.PutProgress(t.Context(), g, "etl", jobstore.Progress{}, many...); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.DeleteOutputs(t.Context(), g, "etl"); err != nil {
			t.Fatal(err)
		}
		lists(t, h.Driver, g, layout.Outputs+"/"+layout.Bucket("etl")+"/etl")
		g = h.Lead(t)
	}
	hasOutputs(t, s, g, "other", kept)
	// The job's records can go, and the ID be used again.
	if err := s.Delete(t.Context(), g, "etl"); err != nil {
		t.Fatal(err)
	}
	accept(t, s, g, someJob("etl"))
	if err := s.PutProgress(t.Context(), g, "etl", jobstore.Progress{}, kept); err != nil {
		t.Fatal(err)
	}
	hasOutputs(t, s, g, "etl", kept)
}

func damagedOutputs(t *testing.T, h Harness) {
	t.Helper()
	s := jobstore.New(h.Driver)
	g := h.Lead(t)
	accept(t, s, g, someJob("etl"))
	outputs := []jobstore.Output{{Task: "extract", Text: "0"}, {Task: "extract", Subtask: 1, Text: "1"}}
	if err := s.PutProgress(t.Context(), g, "etl", jobstore.Progress{}, outputs...); err != nil {
		t.Fatal(err)
	}
	folder, err := layout.Path(layout.Outputs, "etl")
	if err != nil {
		t.Fatal(err)
	}
	moved, err := h.Driver.Get(t.Context(), g, folder+"/extract.0")
	if err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{"garbage": []byte("garbage"), "that of another subtask": moved} {
		commit(t, h.Driver, g, txn.Op{Kind: txn.Put, Path: folder + "/extract.1", Data: data})
		if _, err := s.Outputs(t.Context(), g, "etl", idsOf(outputs)); !errors.Is(err, jobstore.ErrDamaged) {
			t.Errorf("an output that is %s: %v, want ErrDamaged", what, err)
		}
	}
	_, err = s.Outputs(t.Context(), g, "etl", []jobstore.OutputID{{Task: "never"}})
	fails(t, err, jobstore.ErrDamaged, "never.0")
}
