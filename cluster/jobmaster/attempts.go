package jobmaster

import (
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// slotGranted deploys the next ready subtask into the slot.
func (c *core) slotGranted(slot gateway.Slot, err error, now time.Time) {
	c.slot = slotNone
	running := c.status == job.StatusRunning
	switch {
	case err != nil && running:
		c.slotRetry.failed(now)
		c.retrying("no slot", err, c.slotRetry)
	case err != nil: // given up
	case !running || c.ready.len() == 0:
		c.out.free = append(c.out.free, slot)
	default:
		c.deploy(c.ready.pop(), slot)
	}
}

func (c *core) deploy(s *subtask, slot gateway.Slot) {
	spec := s.task.spec
	s.attempt = gateway.AttemptID{Job: c.id, Task: spec.ID, Subtask: s.index, Epoch: c.epoch, N: s.attempt.N + 1}
	s.slot, s.cancel = slot, false
	c.active[s.attempt] = s
	c.slot = slotDeploying
	c.out.deploy = &deployment{slot: slot, what: gateway.Deployment{
		Attempt: s.attempt, Parallelism: spec.Subtasks(),
		Command: spec.Command, Env: spec.Env, Dir: spec.Dir, Timeout: time.Duration(spec.Timeout),
	}}
	s.status = job.SubtaskDeploying
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(c.epoch)}
	})
}

// deployed hears whether the attempt runs. Its end may have come before.
func (c *core) deployed(id gateway.AttemptID, err error, now time.Time) {
	c.slot = slotNone
	s := c.active[id]
	if err != nil {
		c.notDeployed(s, err, now)
		return
	}
	c.slotRetry = backoff{}
	if c.record.startedAt.IsZero() {
		c.record.startedAt = now
		c.view.setStarted(now)
	}
	switch {
	case s == nil:
	case s.cancel:
		c.out.cancel = append(c.out.cancel, id)
	default:
		c.show(s, job.SubtaskRunning)
	}
}

// notDeployed takes back an attempt of which nothing was started.
func (c *core) notDeployed(s *subtask, err error, now time.Time) {
	if s == nil { // it was reported as ended, which settles it
		return
	}
	c.retire(s)
	s.attempt.N--
	if errors.Is(err, gateway.ErrFencingToken) {
		c.fatal = fmt.Errorf("job %s: %w", c.id, err)
		return
	}
	if c.status != job.StatusRunning {
		c.show(s, job.SubtaskCanceled)
		return
	}
	c.slotRetry.failed(now)
	c.retrying("attempt could not be deployed", err, c.slotRetry)
	s.status = job.SubtaskScheduled
	c.view.change(s, func(v *job.SubtaskSnapshot) { v.Status, v.Attempt = s.status, s.attempt.N })
	c.ready.unpop(s)
}

// retire ends the attempt here and gives its slot back.
func (c *core) retire(s *subtask) {
	delete(c.active, s.attempt)
	c.out.free = append(c.out.free, s.slot)
	s.slot = ""
}

// attemptEnded takes a worker's report. One of an attempt that is not running,
// because it was reported before or belongs to another term, is ignored.
func (c *core) attemptEnded(end gateway.AttemptEnd, now time.Time) {
	s := c.active[end.Attempt]
	if s == nil {
		c.log.Debug("report of an unknown attempt ignored", "task", end.Attempt.Task, "subtask", end.Attempt.Subtask,
			"attempt", end.Attempt.N, "attempt_epoch", end.Attempt.Epoch, "outcome", end.Outcome)
		return
	}
	c.retire(s)
	switch {
	case c.status != job.StatusRunning:
		// Whatever ended it, it ended after it was told to.
		s.status = job.SubtaskCanceled
		c.view.change(s, func(v *job.SubtaskSnapshot) { v.Status, v.ExitCode = s.status, end.ExitCode })
	case end.Outcome == gateway.OutcomeFinished:
		c.succeeded(s, end)
	case end.Outcome == gateway.OutcomeFailed:
		c.failed(s, end, now)
	default:
		// The worker ended it by itself: this is no failure of the command.
		c.enqueue(s)
	}
}

// succeeded waits for the record; it is not shown before.
func (c *core) succeeded(s *subtask, end gateway.AttemptEnd) {
	c.unfinished--
	s.finished = &jobstore.Finished{Index: s.index, Attempt: s.attempt.N, Epoch: s.attempt.Epoch}
	if end.ExitCode != nil {
		s.finished.ExitCode = *end.ExitCode
	}
	if s.task.final() {
		s.finished.Output = c.outputs.result(end.Output)
	}
	c.record.note(s)
}

// failed counts the attempt and tries again when that is recorded, or gives up
// the job.
func (c *core) failed(s *subtask, end gateway.AttemptEnd, now time.Time) {
	c.showFailed(s, end)
	s.used++
	retry := s.task.spec.Retry
	if budget := s.task.budget(); s.used >= budget {
		c.fail(fmt.Sprintf("task %q, subtask %d: %s (attempt %d of %d)%s",
			s.task.spec.ID, s.index, end.Reason, s.used, budget, quoteLastLine(end.Output)), now)
		return
	}
	s.dueAt = now.Add(time.Duration(retry.Delay))
	c.record.note(s)
}

// fail ends the job because of reason, once everything that runs has ended.
func (c *core) fail(reason string, now time.Time) {
	if c.status != job.StatusRunning {
		return
	}
	c.reason = reason
	c.log.Info("job fails", "reason", reason)
	c.become(job.StatusFailing, now)
	c.wind()
}

// cancel ends the job because somebody wants it, also while it is failing.
func (c *core) cancel(now time.Time) {
	if c.status.Terminal() || c.status == job.StatusCancelling || c.status == job.StatusSuspended {
		return
	}
	c.reason = ""
	c.become(job.StatusCancelling, now)
	if !c.unread {
		c.wind()
	}
}

// wind gives up what waits and cancels what runs.
func (c *core) wind() {
	if c.slot == slotRequested {
		c.out.abandonSlot = true
	}
	c.ready, c.delayed = queue{}, nil
	c.showUnrecorded()
	for _, t := range c.tasks {
		for i := range t.subtasks {
			s := &t.subtasks[i]
			if s.status == job.SubtaskCreated || s.status == job.SubtaskScheduled {
				c.show(s, job.SubtaskCanceled)
			}
		}
	}
	for id, s := range c.active {
		if s.cancel {
			continue
		}
		s.cancel = true
		if s.status == job.SubtaskRunning { // otherwise when it is deployed
			c.out.cancel = append(c.out.cancel, id)
		}
		c.show(s, job.SubtaskCanceling)
	}
}

// showUnrecorded shows the successes that are not recorded any more, because the
// job's result says the same.
func (c *core) showUnrecorded() {
	for _, s := range c.record.pending {
		if s.finished != nil {
			c.showFinished(s)
		}
	}
	c.record.pending = nil
}

// conclude gives the job its end, when nothing is outstanding any more.
func (c *core) conclude(now time.Time) {
	c.showUnrecorded()
	switch c.status {
	case job.StatusFailing:
		c.become(job.StatusFailed, now)
	case job.StatusCancelling:
		c.become(job.StatusCanceled, now)
	case job.StatusRunning:
		c.become(job.StatusFinished, now)
	default:
	}
}

// suspend stops the job locally and returns what is to be told to the executor.
// Everything that was asked has been answered.
func (c *core) suspend() actions {
	out := c.out
	c.out = actions{}
	for id, s := range c.active {
		out.cancel = append(out.cancel, id)
		out.free = append(out.free, s.slot)
		if !s.cancel {
			c.show(s, job.SubtaskCanceling)
		}
	}
	clear(c.active)
	c.become(job.StatusSuspended, time.Time{})
	return out
}

// show is the only way to change a subtask's status, beside a new attempt's start.
func (c *core) show(s *subtask, status job.SubtaskStatus) {
	s.status = status
	c.view.change(s, func(v *job.SubtaskSnapshot) { v.Status = status })
}

func (c *core) showFinished(s *subtask) {
	s.status = job.SubtaskFinished
	f := *s.finished
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{
			Index: s.index, Status: s.status, Attempt: f.Attempt, Epoch: int64(f.Epoch),
			ExitCode: &f.ExitCode, Output: f.Output,
		}
	})
}

func (c *core) showFailed(s *subtask, end gateway.AttemptEnd) {
	s.status = job.SubtaskFailed
	output := c.outputs.failure(s, end.Output, c.view)
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		v.Status, v.ExitCode, v.Output, v.Error = s.status, end.ExitCode, output, end.Reason
	})
}
