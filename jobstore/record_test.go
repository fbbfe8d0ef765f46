package jobstore

import (
	"encoding/json"
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

func goldenProgress() Progress {
	return Progress{
		StartedAt: time.Date(2026, 11, 21, 5, 0, 1, 0, time.UTC),
		Tasks: map[string]TaskProgress{
			"extract": {Finished: []Finished{{Index: 0, Attempt: 1, Epoch: 7}, {Index: 2, Attempt: 2, Epoch: 4294967321}}, Attempts: map[int]int{1: 2}},
			"load":    {Finished: []Finished{{Index: 0, Attempt: 1, Epoch: 9, Output: "done\n"}}},
		},
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
	back, err := decodeJob(wrap(t, golden(t, "job.v1.json")))
	if err != nil {
		t.Fatal(err)
	}
	if want := goldenJob(); !reflect.DeepEqual(back, want) {
		t.Errorf("decoded %+v, want %+v", back, want)
	}
}

func TestProgressKeepsItsStoredForm(t *testing.T) {
	for name, p := range map[string]Progress{"progress.v1.json": goldenProgress(), "progress-empty.v1.json": {}} {
		stored, err := encodeProgress(p)
		if got, want := payload(t, stored, err), string(golden(t, name)); got != want {
			t.Errorf("stored form changed:\n got %s\nwant %s", got, want)
		}
		back, err := decodeProgress(wrap(t, golden(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, p) {
			t.Errorf("decoded %+v, want %+v", back, p)
		}
	}
}

func TestARecordOfANewerReleaseIsNotDamaged(t *testing.T) {
	newer := wrap(t, []byte(`{"v":2,"graph":["another","shape"],"tasks":7}`))
	_, jobErr := decodeJob(newer)
	_, progressErr := decodeProgress(newer)
	for _, err := range []error{jobErr, progressErr} {
		if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrDamaged) {
			t.Errorf("error %v, want ErrNewerFormat alone", err)
		}
	}
}

func TestProgressRefusesAnotherShape(t *testing.T) {
	for _, f := range []string{`[]`, `[1,2,3]`, `[1,2,3,4,"x",6]`, `["a",1,1,0]`, `{}`} {
		var got finishedV1
		if err := json.Unmarshal([]byte(f), &got); err == nil {
			t.Errorf("%s was read as %+v", f, got)
		}
	}
}

func TestTheProgressOfAWideJobStaysSmall(t *testing.T) {
	const subtasks = 10000
	task := TaskProgress{}
	for i := range subtasks {
		task.Finished = append(task.Finished, Finished{Index: i, Attempt: 1, Epoch: 4294967321})
	}
	stored, err := encodeProgress(Progress{Tasks: map[string]TaskProgress{"wide": task}})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) > 64<<10 {
		t.Errorf("%d finished subtasks take %d bytes, want at most 64 KiB", subtasks, len(stored))
	}
}
