package jobstore

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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func goldenJob() Job {
	return Job{
		ID: "etl",
		Graph: job.Graph{Name: "etl", Tasks: []job.Task{
			{ID: "extract", Parallelism: 3, Command: []string{"sh", "-c", "echo $COORDD_SUBTASK"}, Env: map[string]string{"REGION": "eu"}},
			{ID: "load", Needs: []string{"extract"}, Command: []string{"./load.sh"}, Timeout: job.Duration(10 * time.Minute), Retry: job.Retry{Attempts: 3, Delay: job.Duration(time.Second)}},
		}},
		SubmittedAt: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC),
		Digest:      "sha256:0b5c",
	}
}

// golden reads the JSON of a record as an earlier release stored it.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSuffix(string(data), "\n"))
}

func wrap(t *testing.T, payload []byte) []byte {
	t.Helper()
	stored, err := envelope.Encode(payload)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func payload(t *testing.T, stored []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	data, err := envelope.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAJobKeepsItsStoredForm(t *testing.T) {
	stored, err := encodeJob(goldenJob())
	if got, want := payload(t, stored, err), string(golden(t, "job.v1.json")); got != want {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
	}
	r, err := decodeJob(wrap(t, golden(t, "job.v1.json")), "etl")
	if err != nil {
		t.Fatal(err)
	}
	if back, want := r.job(), goldenJob(); !reflect.DeepEqual(back, want) {
		t.Errorf("decoded %+v, want %+v", back, want)
	}
}

// TestAJobWithFunctionsOrLabelsIsKeptFromOlderReleases: they would drop what they do not
// know, and run the rest.
func TestAJobWithFunctionsOrLabelsIsKeptFromOlderReleases(t *testing.T) {
	const older = 1 // what releases without these fields wrote
	for name, task := range map[string]job.Task{
		"function": {ID: "a", Func: "f"},
		"labels":   {ID: "a", Command: []string{"true"}, Requires: map[string]string{"gpu": "true"}},
	} {
		want := Job{ID: "etl", Graph: job.Graph{Name: "etl", Tasks: []job.Task{{ID: "b", Func: ""}, task}}, Digest: "d"}
		stored, err := encodeJob(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := envelope.Open("job graph", older, stored, &struct{}{}); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("%s: an older release reads it with %v, want ErrNewerFormat", name, err)
		}
		r, err := decodeJob(stored, "etl")
		if err != nil || !reflect.DeepEqual(r.job(), want) {
			t.Errorf("%s: read %+v, %v; want %+v", name, r, err, want)
		}
	}
	stored, err := encodeJob(Job{ID: "etl", Graph: job.Graph{Name: "etl", Tasks: []job.Task{
		{ID: "a", Func: "f"}, {ID: "b", Command: []string{"true"}, Requires: map[string]string{"gpu": "true"}},
	}}, SubmittedAt: goldenJob().SubmittedAt, Digest: "d"})
	if got, want := payload(t, stored, err), string(golden(t, "job.v3.json")); got != want {
		t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
	}
}

func TestARecordOfANewerReleaseIsNotDamaged(t *testing.T) {
	newer := wrap(t, []byte(`{"v":9,"graph":["another","shape"],"tasks":7,"f":{}}`))
	_, jobErr := decodeJob(newer, "etl")
	_, progressErr := decodeProgress(newer, goldenJob().Graph)
	_, outputErr := decodeOutput(newer, OutputID{})
	for _, err := range []error{jobErr, progressErr, outputErr} {
		if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrDamaged) {
			t.Errorf("error %v, want ErrNewerFormat alone", err)
		}
	}
}
