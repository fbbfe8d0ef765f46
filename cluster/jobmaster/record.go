package jobmaster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/jobstore"
)

// recorder knows what the record should say, and which changes a write under way
// or the next one makes durable. At most one write is under way; what happens
// meanwhile shares the next.
type recorder struct {
	startedAt time.Time
	tasks     map[string]*taskRecord
	// pending are the subtasks whose change no write covers yet; inFlight those of
	// the write under way.
	pending, inFlight []*subtask
	writing           bool
	retry             backoff
}

type taskRecord struct {
	// finished only grows, so that writes can share its beginning.
	finished []jobstore.Finished
	// attempts is copied before a change when a write refers to it.
	attempts map[int]int
	shared   bool
}

func newRecorder() *recorder { return &recorder{tasks: map[string]*taskRecord{}} }

func (r *recorder) task(id string) *taskRecord {
	t := r.tasks[id]
	if t == nil {
		t = &taskRecord{}
		r.tasks[id] = t
	}
	return t
}

// setAttempts notes how many attempts a subtask has used; zero forgets it.
func (t *taskRecord) setAttempts(index, used int) {
	if used == 0 && t.attempts[index] == 0 {
		return
	}
	if t.shared || t.attempts == nil {
		t.attempts, t.shared = maps.Clone(t.attempts), false
		if t.attempts == nil {
			t.attempts = map[int]int{}
		}
	}
	if used == 0 {
		delete(t.attempts, index)
	} else {
		t.attempts[index] = used
	}
}

// note takes up the newest change of a subtask for the next write.
func (r *recorder) note(s *subtask) {
	t := r.task(s.task.spec.ID)
	if s.finished != nil {
		t.finished = append(t.finished, *s.finished)
		t.setAttempts(s.index, 0)
	} else {
		t.setAttempts(s.index, s.used)
	}
	r.pending = append(r.pending, s)
}

// begin returns the record for a write that covers all that is pending.
func (r *recorder) begin() *jobstore.Progress {
	r.writing, r.inFlight, r.pending = true, r.pending, nil
	p := &jobstore.Progress{StartedAt: r.startedAt, Tasks: make(map[string]jobstore.TaskProgress, len(r.tasks))}
	for id, t := range r.tasks {
		p.Tasks[id] = jobstore.TaskProgress{Finished: slices.Clip(t.finished), Attempts: t.attempts}
		t.shared = true
	}
	return p
}

// end returns the subtasks whose change is recorded now: none after an error,
// when the next write covers them again.
func (r *recorder) end(err error, now time.Time) []*subtask {
	covered := r.inFlight
	r.writing, r.inFlight = false, nil
	if err != nil {
		r.pending = append(covered, r.pending...)
		r.retry.failed(now)
		return nil
	}
	r.retry = backoff{}
	return covered
}

// restore takes up what earlier terms have recorded and applies it to the tasks.
func (r *recorder) restore(p jobstore.Progress, tasks []*task) error {
	r.startedAt = p.StartedAt
	byID := make(map[string]*task, len(tasks))
	for _, t := range tasks {
		byID[t.spec.ID] = t
	}
	for id, recorded := range p.Tasks {
		t := byID[id]
		if t == nil {
			return fmt.Errorf("%w: the record speaks of task %q, which the job does not have", jobstore.ErrDamaged, id)
		}
		r.tasks[id] = &taskRecord{finished: slices.Clip(recorded.Finished), attempts: recorded.Attempts, shared: true}
		for index, used := range recorded.Attempts {
			if index < 0 || index >= len(t.subtasks) {
				return fmt.Errorf("%w: the record speaks of task %q, subtask %d of %d", jobstore.ErrDamaged, id, index, len(t.subtasks))
			}
			t.subtasks[index].used = used
		}
		for i := range recorded.Finished {
			f := &recorded.Finished[i]
			if f.Index < 0 || f.Index >= len(t.subtasks) || t.subtasks[f.Index].finished != nil {
				return fmt.Errorf("%w: the record says of task %q that subtask %d of %d has finished, or says it twice",
					jobstore.ErrDamaged, id, f.Index, len(t.subtasks))
			}
			t.subtasks[f.Index].finished = f
		}
	}
	return nil
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff spaces the tries of something that fails. The zero value is ready.
type backoff struct {
	wait  time.Duration
	until time.Time
}

func (b *backoff) failed(now time.Time) {
	b.wait = min(max(2*b.wait, minBackoff), maxBackoff)
	b.until = now.Add(b.wait)
}

func (b *backoff) over(now time.Time) bool { return !now.Before(b.until) }
