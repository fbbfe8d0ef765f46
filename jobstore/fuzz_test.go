package jobstore

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/coordd/coordd/internal/envelope"
)

func TestAReferenceToABlobKeepsItsStoredForm(t *testing.T) {
	want := newJobRecord(goldenJob())
	want.Graph = nil
	want.Blob = &reference{Name: "etl.x", Size: 5, SHA256: "ab", Released: true}
	stored, err := seal(want)
	if got, golden := payload(t, stored, err), string(golden(t, "job-blob.v1.json")); got != golden {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, golden)
	}
	back, err := decodeJob(wrap(t, golden(t, "job-blob.v1.json")), "etl")
	if err != nil || back.Graph != nil || back.Blob == nil || *back.Blob != *want.Blob {
		t.Errorf("read %+v, %v; want %+v", back, err, want)
	}
}

func FuzzRecords(f *testing.F) {
	for _, name := range []string{"job.v1.json", "job.v3.json", "job-blob.v1.json", "progress.v1.json", "progress.v3.json", "output.v1.json", "quarantine.v1.json"} {
		seed, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(strings.TrimSpace(string(seed))))
	}
	f.Add([]byte(`{"v":1,"id":"etl"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		stored, err := envelope.Encode(content)
		if err != nil {
			return // too large for a node
		}
		r, jobErr := decodeJob(stored, "etl")
		if jobErr == nil && (r.ID != "etl" || (r.Graph == nil) == (r.Blob == nil)) {
			t.Errorf("read %+v, which is no record of the job", r)
		}
		p, progressErr := decodeProgress(stored, goldenJob().Graph)
		for n, r := range p.All() {
			if n >= 4 || r.Finished == (r.Used > 0) || r.Output && !r.Finished {
				t.Errorf("read of subtask %d: %+v", n, r)
			}
		}
		_, outputErr := decodeOutput(stored, OutputID{Task: "load"})
		_, quarantineErr := decodeQuarantine(stored)
		for _, err := range []error{jobErr, progressErr, outputErr, quarantineErr} {
			if err != nil && errors.Is(err, ErrDamaged) == errors.Is(err, ErrNewerFormat) {
				t.Errorf("error of no kind, or of both: %v", err)
			}
		}
	})
}
