package resultstore

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func goldenResult() job.Result {
	zero := 0
	at := func(s int) time.Time { return time.Date(2026, 11, 21, 5, 0, s, 0, time.UTC) }
	return job.Result{
		Snapshot: job.Snapshot{
			ID: "etl", Name: "etl", Status: job.StatusFinished,
			SubmittedAt: at(0), StartedAt: at(1), FinishedAt: at(9), Epoch: 4294967321,
			Tasks: []job.TaskSnapshot{{ID: "load", Subtasks: []job.SubtaskSnapshot{
				{Index: 0, Status: job.SubtaskFinished, Attempt: 2, Epoch: 4294967321, ExitCode: &zero, Output: "done\n"},
			}}},
		},
		Digest: "sha256:0b5c",
	}
}

func golden(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/result.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(string(data), "\n"))
}

func wrap(t *testing.T, payload string) []byte {
	t.Helper()
	stored, err := envelope.Encode([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestAResultKeepsItsStoredForm(t *testing.T) {
	stored, err := encode(goldenResult())
	if err != nil {
		t.Fatal(err)
	}
	got, err := envelope.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	if want := golden(t); string(got) != string(want) {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
	}
	back, err := decode(wrap(t, string(golden(t))), "etl")
	if err != nil {
		t.Fatal(err)
	}
	if want := goldenResult(); !reflect.DeepEqual(back, want) {
		t.Errorf("decoded %+v, want %+v", back, want)
	}
}

func TestDecodeRefusesWhatItCannotTrust(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"newer release": {`{"v":3,"snapshot":[]}`, ErrNewerFormat},
		"another job's": {string(golden(t)), ErrDamaged},
		"another shape": {`{"v":1,"snapshot":[]}`, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decode(wrap(t, c.payload), "another"); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestAResultThatIsTooLargeIsRefused(t *testing.T) {
	r := goldenResult()
	r.Snapshot.Error = strings.Repeat("x", envelope.MaxDecoded)
	if _, err := encode(r); !errors.Is(err, txn.ErrTooLarge) {
		t.Errorf("error %v, want txn.ErrTooLarge", err)
	}
}
