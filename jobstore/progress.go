package jobstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/leader"
)

// Progress is what is recorded of a running job: enough for a later leader to
// resume it without running a finished subtask again.
type Progress struct {
	// StartedAt is when the job's first attempt was deployed, zero before.
	StartedAt time.Time
	// Tasks holds the progress of each task by its id. A task that has none is
	// absent.
	Tasks map[string]TaskProgress
}

// TaskProgress is the progress of one task.
type TaskProgress struct {
	// Finished lists the subtasks whose success is recorded, each once. They never
	// run again.
	Finished []Finished
	// Attempts holds, by index, how many attempts the unfinished subtasks have
	// used up. A subtask that has used none is absent.
	Attempts map[int]int
}

// Finished is a subtask whose success is recorded.
type Finished struct {
	// Index is the subtask's place in its task, from 0.
	Index int
	// Attempt is the number of the attempt that finished, from 1.
	Attempt int
	// Epoch is the term in which that attempt was deployed.
	Epoch leader.Epoch
	// ExitCode is what the attempt exited with.
	ExitCode int
	// Output is the tail of what it wrote, kept only for tasks that nothing needs;
	// keep it short, it is stored again with every further step of the job.
	Output string
}

// progressFormat is the version of progressRecord. This release reads no other.
const progressFormat = 1

// progressRecord is the stored form of a Progress. A job of many subtasks is
// stored again at each step, so the keys are short and a finished subtask is an
// array: [index, attempt, epoch, exit code], with the output as fifth element
// when there is one.
type progressRecord struct {
	Version   int                       `json:"v"`
	StartedAt time.Time                 `json:"started_at,omitzero"`
	Tasks     map[string]taskProgressV1 `json:"tasks,omitempty"`
}

type taskProgressV1 struct {
	Finished []finishedV1 `json:"f,omitempty"`
	Attempts map[int]int  `json:"a,omitempty"`
}

type finishedV1 Finished

// MarshalJSON writes the array form.
func (f finishedV1) MarshalJSON() ([]byte, error) {
	fields := []any{f.Index, f.Attempt, f.Epoch, f.ExitCode}
	if f.Output != "" {
		fields = append(fields, f.Output)
	}
	return json.Marshal(fields)
}

// UnmarshalJSON reads the array form.
func (f *finishedV1) UnmarshalJSON(data []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	fields := []any{&f.Index, &f.Attempt, &f.Epoch, &f.ExitCode, &f.Output}
	if len(raw) < len(fields)-1 || len(raw) > len(fields) {
		return fmt.Errorf("finished subtask has %d fields, want 4 or 5", len(raw))
	}
	for i, field := range raw {
		if err := json.Unmarshal(field, fields[i]); err != nil {
			return fmt.Errorf("finished subtask, field %d: %w", i, err)
		}
	}
	return nil
}

func encodeProgress(p Progress) ([]byte, error) {
	return seal(newProgressRecord(p))
}

func newProgressRecord(p Progress) progressRecord {
	r := progressRecord{Version: progressFormat, Tasks: make(map[string]taskProgressV1, len(p.Tasks))}
	if !p.StartedAt.IsZero() {
		r.StartedAt = p.StartedAt.UTC()
	}
	for id, task := range p.Tasks {
		t := taskProgressV1{Attempts: task.Attempts, Finished: make([]finishedV1, len(task.Finished))}
		for i, f := range task.Finished {
			t.Finished[i] = finishedV1(f)
		}
		r.Tasks[id] = t
	}
	return r
}

func decodeProgress(data []byte) (Progress, error) {
	var r progressRecord
	if err := envelope.Open("progress", progressFormat, data, &r); err != nil {
		return Progress{}, err
	}
	p := Progress{StartedAt: r.StartedAt}
	if len(r.Tasks) > 0 {
		p.Tasks = make(map[string]TaskProgress, len(r.Tasks))
	}
	for id, task := range r.Tasks {
		t := TaskProgress{Attempts: task.Attempts}
		for _, f := range task.Finished {
			t.Finished = append(t.Finished, Finished(f))
		}
		p.Tasks[id] = t
	}
	return p, nil
}
