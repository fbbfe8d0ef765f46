package jobstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// progressV1 is version 1 of the stored form of a Progress, which is read and not
// written any more. It names tasks, and says of each subtask what it knows.
type progressV1 struct {
	StartedAt time.Time                 `json:"started_at,omitzero"`
	Tasks     map[string]taskProgressV1 `json:"tasks,omitempty"`
}

type taskProgressV1 struct {
	Finished []finishedV1 `json:"f,omitempty"`
	Attempts map[int]int  `json:"a,omitempty"`
}

// finishedV1 is an array: [index, attempt, epoch, exit code], with the output as
// fifth element when there is one. The exit code is 0, as that of every success.
type finishedV1 struct {
	index, attempt int
	epoch          leader.Epoch
	output         string
}

// UnmarshalJSON reads the array form.
func (f *finishedV1) UnmarshalJSON(data []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	exitCode := 0
	fields := []any{&f.index, &f.attempt, &f.epoch, &exitCode, &f.output}
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

func decodeProgressV1(data []byte, graph job.Graph) (Progress, error) {
	var r progressV1
	if err := envelope.Open("progress", progressFormat, data, &r); err != nil {
		return Progress{}, err
	}
	p := Progress{StartedAt: r.StartedAt}
	first, named := 0, 0
	for _, spec := range graph.Tasks {
		t, ok := r.Tasks[spec.ID]
		if ok {
			named++
		}
		for _, f := range t.Finished {
			if f.index < 0 || f.index >= spec.Subtasks() || p.finished.has(first+f.index) {
				return Progress{}, fmt.Errorf("%w: the record says of task %q that subtask %d of %d has finished, or says it twice",
					ErrDamaged, spec.ID, f.index, spec.Subtasks())
			}
			p.Finish(first+f.index, f.epoch, f.attempt, false)
			if f.output != "" {
				p.keepText(first+f.index, f.output)
			}
		}
		for index, used := range t.Attempts {
			if index < 0 || index >= spec.Subtasks() || p.finished.has(first+index) {
				return Progress{}, fmt.Errorf("%w: the record counts attempts of task %q, subtask %d of %d, or says that it has finished, too",
					ErrDamaged, spec.ID, index, spec.Subtasks())
			}
			p.Fail(first+index, 0, used, used)
		}
		first += spec.Subtasks()
	}
	if named < len(r.Tasks) {
		return Progress{}, fmt.Errorf("%w: the record speaks of %d tasks that the job does not have", ErrDamaged, len(r.Tasks)-named)
	}
	return p, nil
}

func (p *Progress) keepText(n int, text string) {
	if p.texts == nil {
		p.texts = map[int]string{}
	}
	p.texts[n] = text
}
