package jobmaster

import (
	"fmt"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// recorder knows what the record should say, and which changes a write under way
// or the next one makes durable. At most one write is under way; what happens
// meanwhile shares the next.
type recorder struct {
	// progress says all that was part of a write, done or under way.
	progress jobstore.Progress
	// pending are the changes that no write covers yet; inFlight those of the write
	// under way.
	pending, inFlight []*change
	// owed are outputs that a record of an older format held, and that go with the
	// next write.
	owed    []jobstore.Output
	writing bool
	retry   backoff
}

// change is what one attempt's end makes of its subtask.
type change struct {
	subtask *subtask
	attempt gateway.AttemptID
	// used is how many attempts have failed, zero for a success.
	used int
	// dueAt is when a failed one may be tried again.
	dueAt time.Time
	// output is what is kept of a success, resultCost what its result counts.
	output     *jobstore.Output
	resultCost int
	// waiting are those who want to know when it is recorded.
	waiting  []*settlement
	recorded bool
}

// settlement is an answer that waits for changes to be recorded.
type settlement struct {
	left  int
	reply chan answer[none]
}

// maxWriteOutputs bounds the outputs of one write, in bytes with an allowance for
// each: it leaves room for the progress below what a backend takes at once, and for
// others in the same flight.
const (
	maxWriteOutputs = 256 << 10
	outputAllowance = 512
)

func outputCost(o *jobstore.Output) int {
	if o == nil {
		return 0
	}
	return outputAllowance + len(o.Text) + len(o.Result)
}

// note takes up a change for the next write.
func (r *recorder) note(c *change) {
	r.pending = append(r.pending, c)
	c.subtask.change = c
}

// begin returns a write that covers what is pending, in order, as far as its outputs
// fit.
func (r *recorder) begin() *write {
	w := &write{outputs: slices.Clone(r.owed)}
	room := maxWriteOutputs
	for _, o := range w.outputs {
		room -= outputCost(&o)
	}
	n := 0
	for ; n < len(r.pending); n++ {
		c := r.pending[n]
		if room -= outputCost(c.output); room < 0 && n > 0 {
			break
		}
		r.apply(c)
		if c.output != nil {
			w.outputs = append(w.outputs, *c.output)
		}
	}
	r.writing, r.inFlight, r.pending = true, r.pending[:n:n], r.pending[n:]
	w.progress = r.progress.Clone()
	return w
}

// apply makes a change part of the record. It may be done again.
func (r *recorder) apply(c *change) {
	n, id := c.subtask.number(), c.attempt
	if c.used > 0 {
		r.progress.Fail(n, id.Epoch, id.N, c.used)
		return
	}
	if now, ok := r.progress.Of(n); !ok || !now.Finished {
		r.progress.ResultBytes += c.resultCost
	}
	r.progress.Finish(n, id.Epoch, id.N, c.output != nil)
}

// end returns the changes that are recorded now: none after an error, when the next
// write covers them again.
func (r *recorder) end(err error, now time.Time) []*change {
	covered := r.inFlight
	r.writing, r.inFlight = false, nil
	if err != nil {
		r.pending = append(covered, r.pending...)
		r.retry.failed(now)
		return nil
	}
	r.retry, r.owed = backoff{}, nil
	for _, c := range covered {
		c.recorded = true
		if c.subtask.change == c {
			c.subtask.change = nil
		}
	}
	return covered
}

// restore takes up what earlier terms have recorded of the job and applies it to the
// tasks. It returns the outputs that are to be read: those that something may still
// need.
func (r *recorder) restore(id job.ID, p jobstore.Progress, tasks []*task) (outputs []jobstore.OutputID, err error) {
	r.progress = p
	i := 0
	var stored, printed []*subtask
	for n, rec := range p.All() {
		for i < len(tasks) && n >= tasks[i].first+len(tasks[i].subtasks) {
			i++
		}
		if i == len(tasks) {
			return nil, fmt.Errorf("%w: the record speaks of subtask %d, which the job does not have", jobstore.ErrDamaged, n)
		}
		t := tasks[i]
		s := &t.subtasks[n-t.first]
		s.attempt = gateway.AttemptID{Job: id, Task: t.spec.ID, Subtask: s.index, Epoch: rec.Epoch, N: rec.Attempt}
		s.ended, s.used, s.finished = markOf(s.attempt), rec.Used, rec.Finished
		if s.finished {
			s.place = placeDone
			t.left--
		}
		if rec.Output {
			stored = append(stored, s)
		}
		if rec.Text != "" && t.final() {
			printed = append(printed, s)
			r.owed = append(r.owed, jobstore.Output{Task: t.spec.ID, Subtask: s.index, Text: rec.Text})
		}
	}
	for _, s := range printed {
		r.progress.Finish(s.number(), s.attempt.Epoch, s.attempt.N, true)
	}
	for _, t := range tasks {
		if t.left == 0 {
			t.forget()
		}
	}
	for _, s := range stored {
		if s.task.final() || s.task.wanted() {
			outputs = append(outputs, jobstore.OutputID{Task: s.task.spec.ID, Subtask: s.index})
		}
	}
	return outputs, nil
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
