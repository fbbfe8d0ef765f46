package jobmaster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// slotState is where the master's one conversation about slots stands. It asks
// for one slot at a time, so that jobs take turns at a busy worker.
type slotState int

const (
	slotNone      slotState = iota
	slotRequested           // slotGranted will come
	slotDeploying           // deployed will come
)

// core decides. It does no I/O, reads no clock and starts nothing: events and the
// time go in by step, what is to be done comes out of plan. One goroutine owns it.
type core struct {
	id        job.ID
	epoch     leader.Epoch
	recovered bool
	log       hclog.Logger
	view      *view

	status job.Status
	reason string // why the job fails
	// fatal ends this run of the job without a result.
	fatal error

	tasks []*task
	// unfinished counts the subtasks of which no attempt has succeeded.
	unfinished int
	ready      queue
	delayed    delayed
	// active holds the attempts that were or are being deployed and have not ended.
	active map[gateway.AttemptID]*subtask

	slot      slotState
	slotRetry backoff
	record    *recorder
	outputs   outputs
	// unread says that the record must be read before anything else, reading that
	// recordRead will come.
	unread, reading bool
	readRetry       backoff
	// stopping silences complaints about calls that a local stop cut short.
	stopping bool

	out actions
}

func newCore(cfg Config, v *view, log hclog.Logger) (*core, error) {
	tasks, err := buildTasks(cfg.Job.Graph)
	if err != nil {
		return nil, err
	}
	c := &core{
		id: cfg.Job.ID, epoch: cfg.Epoch, recovered: cfg.Recovered, log: log, view: v,
		status: job.StatusInitializing, tasks: tasks,
		active: map[gateway.AttemptID]*subtask{},
		record: newRecorder(),
	}
	for _, t := range tasks {
		c.unfinished += t.left
	}
	return c, nil
}

// step takes in one event.
func (c *core) step(e event, now time.Time) {
	switch e := e.(type) {
	case begun:
		c.begin(now)
	case cancelRequested:
		c.cancel(now)
	case recordRead:
		c.recordRead(e.progress, e.err, now)
	case recordWritten:
		c.recordWritten(e.err, now)
	case slotGranted:
		c.slotGranted(e.slot, e.err, now)
	case deployed:
		c.deployed(e.attempt, e.err, now)
	case attemptEnded:
		c.attemptEnded(e.end, now)
	case ticked:
	}
	for s := c.delayed.due(now); s != nil; s = c.delayed.due(now) {
		c.enqueue(s)
	}
}

// plan returns what is to be done now.
func (c *core) plan(now time.Time) actions {
	switch {
	case c.unread && !c.reading && c.readRetry.over(now):
		c.reading = true
		c.out.read = true
	case c.status == job.StatusRunning && c.unfinished > 0:
		if len(c.record.pending) > 0 && !c.record.writing && c.record.retry.over(now) {
			c.out.write = c.record.begin()
		}
		if c.ready.len() > 0 && c.slot == slotNone && c.slotRetry.over(now) {
			c.slot = slotRequested
			c.out.requestSlot = true
		}
	case !c.busy():
		c.conclude(now)
	}
	out := c.out
	c.out = actions{}
	return out
}

// busy says whether an answer or the end of an attempt is outstanding.
func (c *core) busy() bool {
	return c.unread || c.record.writing || c.slot != slotNone || len(c.active) > 0
}

// ended says whether the job has reached its end.
func (c *core) ended() bool { return c.status.Terminal() }

// wake returns how long nothing needs to happen unless an event comes.
func (c *core) wake(now time.Time) time.Duration {
	wait := time.Hour
	until := func(at time.Time) { wait = min(wait, max(at.Sub(now), 0)) }
	if c.unread && !c.reading {
		until(c.readRetry.until)
	}
	if c.status == job.StatusRunning && c.unfinished > 0 {
		if len(c.delayed) > 0 {
			until(c.delayed[0].dueAt)
		}
		if len(c.record.pending) > 0 && !c.record.writing {
			until(c.record.retry.until)
		}
		if c.ready.len() > 0 && c.slot == slotNone {
			until(c.slotRetry.until)
		}
	}
	return wait
}

// become is the only way to change the job's status.
func (c *core) become(s job.Status, now time.Time) {
	if !c.status.CanBecome(s) {
		c.fatal = fmt.Errorf("job %s: it cannot become %s after %s; this is a defect of coordd", c.id, s, c.status)
		return
	}
	c.log.Debug("job status changed", "from", c.status, "to", s)
	c.status = s
	c.view.setStatus(s, now, c.reason)
}

func (c *core) begin(now time.Time) {
	if c.recovered {
		c.become(job.StatusReconciling, now)
	} else {
		c.become(job.StatusCreated, now)
	}
	c.unread = true
}

// recordRead resumes from what earlier terms have recorded. A job that was
// canceled meanwhile still takes it up, so that its result says what has finished.
func (c *core) recordRead(p jobstore.Progress, err error, now time.Time) {
	c.reading = false
	if err == nil {
		err = c.record.restore(p, c.tasks)
	}
	switch {
	case err == nil:
	case final(err):
		c.fatal = fmt.Errorf("job %s: resume: %w", c.id, err)
		return
	default:
		c.readRetry.failed(now)
		c.retrying("record could not be read", err, c.readRetry)
		return
	}
	c.unread = false
	if !c.record.startedAt.IsZero() {
		c.view.setStarted(c.record.startedAt)
	}
	c.restoreTasks()
	if c.status == job.StatusCancelling {
		c.wind()
		return
	}
	c.become(job.StatusRunning, now)
	for _, t := range c.tasks {
		if t.blockers == 0 && c.status == job.StatusRunning {
			c.schedule(t, now)
		}
	}
}

// retrying logs a failure that is waited out.
func (c *core) retrying(what string, err error, b backoff) {
	if !c.stopping {
		c.log.Warn(what+", trying again", "error", err, "in", b.wait)
	}
}

// final says whether trying again cannot help.
func final(err error) bool {
	for _, f := range [...]error{
		leader.ErrFenced, txn.ErrTooLarge, jobstore.ErrNotFound, jobstore.ErrInvalidID,
		jobstore.ErrDamaged, jobstore.ErrNewerFormat,
	} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// restoreTasks applies the restored record: what has finished stays so.
func (c *core) restoreTasks() {
	for _, t := range c.tasks {
		for i := range t.subtasks {
			s := &t.subtasks[i]
			s.attempt.N = s.used
			if s.finished != nil {
				s.attempt.N = s.finished.Attempt
				c.unfinished--
				t.left--
				s.finished.Output = c.outputs.result(s.finished.Output)
				c.showFinished(s)
			}
		}
	}
	for _, t := range c.tasks {
		if t.left == 0 {
			for _, n := range t.needed {
				n.blockers--
			}
		}
	}
}

// schedule makes a task's unfinished subtasks ready.
func (c *core) schedule(t *task, now time.Time) {
	for i := range t.subtasks {
		s := &t.subtasks[i]
		switch {
		case s.finished != nil:
		case s.used >= t.budget():
			c.fail(fmt.Sprintf("task %q, subtask %d: all %d attempts failed in an earlier term", t.spec.ID, s.index, s.used), now)
			return
		default:
			c.enqueue(s)
		}
	}
}

func (c *core) enqueue(s *subtask) {
	c.show(s, job.SubtaskScheduled)
	c.ready.push(s)
}

// recordWritten lets happen what waited for the record: tasks whose needs are
// recorded start, and failed attempts that are counted are followed by the next.
func (c *core) recordWritten(err error, now time.Time) {
	covered := c.record.end(err, now)
	switch {
	case err == nil:
	case errors.Is(err, txn.ErrTooLarge):
		c.fail("the job's progress cannot be recorded, use fewer subtasks: "+err.Error(), now)
	case final(err):
		c.fatal = fmt.Errorf("job %s: record progress: %w", c.id, err)
	case c.status == job.StatusRunning:
		c.retrying("progress could not be recorded", err, c.record.retry)
	}
	for _, s := range covered {
		switch {
		case s.finished != nil:
			c.showFinished(s)
			s.task.left--
			if s.task.left == 0 {
				c.release(s.task, now)
			}
		case c.status == job.StatusRunning:
			c.delayed.add(s)
		}
	}
}

// release starts what waited for the task.
func (c *core) release(t *task, now time.Time) {
	for _, n := range t.needed {
		n.blockers--
		if n.blockers == 0 && c.status == job.StatusRunning {
			c.schedule(n, now)
		}
	}
}
