package jobmaster

import (
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/txn"
)

// find returns the subtask of an attempt, nil when the job has none such.
func (c *core) find(id gateway.AttemptID) *subtask {
	t := c.byID[id.Task]
	if id.Job != c.id || t == nil || id.Subtask < 0 || id.Subtask >= len(t.subtasks) {
		return nil
	}
	return &t.subtasks[id.Subtask]
}

// attemptsEnded takes a worker's report. The answer comes when everything in it is
// settled.
func (c *core) attemptsEnded(e attemptsEnded, now time.Time) {
	w := c.pool.known(e.who)
	if w == nil {
		c.answer(func() { e.reply <- answer[none]{err: gateway.ErrNotRegistered} })
		return
	}
	for i := range e.ends {
		if e.ends[i].Attempt.Epoch > c.epoch {
			c.answer(func() { e.reply <- answer[none]{err: gateway.ErrFencingToken} })
			return
		}
	}
	st := &settlement{left: 1, reply: e.reply}
	for i := range e.ends {
		change, settled := c.end(&e.ends[i], now)
		c.pool.hold(e.ends[i].Attempt, st)
		if settled {
			continue
		}
		w.owes = change
		change.waiting = append(change.waiting, st)
		st.left++
	}
	c.settle(st)
}

// settle notes that one more of what an answer waits for is settled.
func (c *core) settle(st *settlement) {
	if st.left--; st.left == 0 {
		c.answer(func() { st.reply <- answer[none]{} })
	}
}

func (c *core) answer(give func()) { c.out.answers = append(c.out.answers, give) }

// end takes in the end of one attempt. It returns whether that is settled, and else
// the change that settles it when it is recorded. When the job comes to its end before
// all has finished, that is never: the worker keeps the end until the job's result is
// recorded.
func (c *core) end(e *gateway.AttemptEnd, now time.Time) (_ *change, settled bool) {
	s := c.find(e.Attempt)
	if s == nil {
		return nil, true
	}
	id := markOf(e.Attempt)
	switch {
	case s.change != nil && (s.finished || markOf(s.change.attempt) == id):
		return s.change, false
	case s.finished, !id.after(s.ended), markOf(s.attempt).after(id):
		// It was taken in before, or another attempt has taken its place.
		c.log.Debug("report of another attempt ignored", "task", e.Attempt.Task, "subtask", e.Attempt.Subtask,
			"attempt", e.Attempt.N, "attempt_epoch", e.Attempt.Epoch, "outcome", e.Outcome)
		return &c.never, !c.winding()
	}
	c.stats.ended(e.Outcome)
	c.leave(s, id, now)
	s.attempt, s.ended = e.Attempt, id
	switch {
	case c.winding():
		c.canceled(s, e.ExitCode)
		return &c.never, false
	case e.Outcome == gateway.OutcomeFinished:
		c.succeeded(s, e, now)
	case e.Outcome == gateway.OutcomeFailed:
		c.failed(s, e, now)
	default:
		// The worker ended it by itself: this is no failure of the command.
		c.enqueue(s)
	}
	switch {
	case c.winding(): // it was the last straw
		return &c.never, false
	case s.change == nil:
		return nil, true
	default:
		return s.change, false
	}
}

// leave takes a subtask out of where it stands, because the end of its attempt id is
// known: an attempt that runs and is older is given up.
func (c *core) leave(s *subtask, id mark, now time.Time) {
	switch {
	case s.place == placeActive && markOf(s.attempt) == id:
		c.vacate(s, now)
	case s.place == placeActive:
		c.supersede(s)
	default:
		c.withdraw(s)
	}
}

// withdraw takes a subtask out of the queue in which it waits, if it does.
func (c *core) withdraw(s *subtask) {
	switch s.place {
	case placeReady:
		s.task.group.ready.withdraw(s)
	case placeDelayed:
		c.delayed.withdraw(s)
	default:
	}
}

// succeeded waits for the record; it is not shown before.
func (c *core) succeeded(s *subtask, e *gateway.AttemptEnd, now time.Time) {
	kept, cost, err := c.outputs.success(s, *e)
	if err != nil {
		failed := *e
		failed.Outcome, failed.Reason, failed.Result = gateway.OutcomeFailed, err.Error(), nil
		c.failed(s, &failed, now)
		return
	}
	c.unfinished--
	s.finished, s.place = true, placeDone
	c.record.note(&change{subtask: s, attempt: e.Attempt, output: kept, resultCost: cost})
}

// failed counts the attempt and tries again when that is recorded, or gives up
// the job.
func (c *core) failed(s *subtask, e *gateway.AttemptEnd, now time.Time) {
	c.showFailed(s, e)
	s.used++
	retry := s.task.spec.Retry
	if budget := s.task.budget(); s.used >= budget {
		c.fail(fmt.Sprintf("task %q, subtask %d: %s (attempt %d of %d)%s",
			s.task.spec.ID, s.index, e.Reason, s.used, budget, quoteLastLine(e.Output)), now)
		return
	}
	c.record.note(&change{subtask: s, attempt: e.Attempt, used: s.used, dueAt: now.Add(time.Duration(retry.Delay))})
}

// canceled ends a subtask of a job that comes to its end: whatever ended its attempt,
// it ended after it was told to.
func (c *core) canceled(s *subtask, exitCode *int) {
	s.place, s.status = placeDone, job.SubtaskCanceled
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(s.attempt.Epoch), Worker: v.Worker, ExitCode: exitCode}
	})
}

// recordWritten lets happen what waited for the record: tasks whose needs are
// recorded start, failed attempts that are counted are followed by the next, and
// workers may forget the ends.
func (c *core) recordWritten(err error, now time.Time) {
	covered := c.record.end(err, now)
	switch {
	case err == nil:
	case errors.Is(err, txn.ErrTooLarge):
		c.fail("the job's progress cannot be recorded, use fewer subtasks: "+err.Error(), now)
	case final(err):
		c.fatal = fmt.Errorf("job %s: record progress: %w", c.id, err)
	case c.running():
		c.stats.writeFailures.Add(1)
		c.retrying("progress could not be recorded", err, c.record.retry)
	}
	for _, ch := range covered {
		c.recorded(ch, now)
		for _, st := range ch.waiting {
			c.settle(st)
		}
	}
}

func (c *core) recorded(ch *change, now time.Time) {
	s := ch.subtask
	switch {
	case ch.used == 0:
		c.showFinished(s, ch.output)
		s.task.keep(ch.output)
		if s.task.left--; s.task.left == 0 {
			s.task.forget()
			c.release(s.task, now)
		}
	case c.running() && s.place == placeNone && !s.finished && s.change == nil: // else a newer failure waits
		c.delayed.add(s, ch.dueAt)
	}
}

// release starts what waited for the task.
func (c *core) release(t *task, now time.Time) {
	for _, n := range t.needed {
		if n.blockers--; n.blockers > 0 || !c.running() {
			continue
		}
		n.gather()
		if c.status == job.StatusRunning {
			c.schedule(n, now)
		}
	}
}

// schedule makes a task's subtasks ready that are neither finished nor under way.
func (c *core) schedule(t *task, now time.Time) {
	for i := range t.subtasks {
		s := &t.subtasks[i]
		switch {
		case s.place != placeNone || s.change != nil:
		case s.used >= t.budget():
			c.fail(fmt.Sprintf("task %q, subtask %d: all %d attempts failed in an earlier term", t.spec.ID, s.index, s.used), now)
			return
		default:
			c.enqueue(s)
		}
	}
}

// enqueue makes a subtask ready. Before the job runs on, that is left to run.
func (c *core) enqueue(s *subtask) {
	c.show(s, job.SubtaskScheduled)
	s.place = placeNone
	if c.status == job.StatusRunning {
		s.task.group.ready.push(s)
	}
}

// fail ends the job because of reason, once everything that runs has ended.
func (c *core) fail(reason string, now time.Time) {
	if !c.running() {
		return
	}
	c.reason = reason
	c.log.Info("job fails", "reason", reason)
	c.become(job.StatusFailing, now)
	c.wind(now)
}

// cancel ends the job because somebody wants it, also while it is failing.
func (c *core) cancel(now time.Time) {
	if c.status.Terminal() || c.status == job.StatusCancelling || c.status == job.StatusSuspended {
		return
	}
	wound := c.winding()
	c.reason = ""
	c.become(job.StatusCancelling, now)
	if !c.unread && !wound {
		c.wind(now)
	}
}

// wind gives up what waits and cancels what runs.
func (c *core) wind(now time.Time) {
	c.manager.windingSince = now
	c.delayed = nil
	for _, g := range c.groups {
		g.ready = queue{}
	}
	c.giveUpRecord()
	for _, t := range c.tasks {
		for i := range t.subtasks {
			s := &t.subtasks[i]
			switch {
			case s.place == placeActive:
				c.cancelActive(s)
			case s.status == job.SubtaskCreated || s.status == job.SubtaskScheduled:
				c.show(s, job.SubtaskCanceled)
			}
			if s.place == placeReady || s.place == placeDelayed {
				s.place = placeNone
			}
		}
	}
}

// cancelActive tells an attempt to end, as soon as it is known to run.
func (c *core) cancelActive(s *subtask) {
	if s.cancel {
		return
	}
	s.cancel = true
	if s.slot != nil && s.slot.state == slotRunning {
		s.slot.worker.cancel = append(s.slot.worker.cancel, s.attempt)
	}
	c.show(s, job.SubtaskCanceling)
}

// giveUpRecord shows the successes that are not recorded any more, because the job's
// result says the same.
func (c *core) giveUpRecord() {
	for _, ch := range c.record.pending {
		if ch.used == 0 {
			c.showFinished(ch.subtask, ch.output)
		}
	}
	c.record.pending = nil
}

// conclude gives the job its end, when nothing is outstanding any more.
func (c *core) conclude(now time.Time) {
	c.giveUpRecord()
	switch c.status {
	case job.StatusFailing:
		c.become(job.StatusFailed, now)
	case job.StatusCancelling:
		c.become(job.StatusCanceled, now)
	case job.StatusRunning, job.StatusReconciling:
		c.become(job.StatusFinished, now)
	default:
	}
}

// suspend stops the job here, and nowhere else.
func (c *core) suspend() { c.become(job.StatusSuspended, time.Time{}) }

// show is the only way to change a subtask's status, beside a new attempt's start.
func (c *core) show(s *subtask, status job.SubtaskStatus) {
	s.status = status
	c.view.change(s, func(v *job.SubtaskSnapshot) { v.Status = status })
}

// showFinished shows a success with what is kept of it. A command has exited with 0,
// a function has not exited.
func (c *core) showFinished(s *subtask, kept *jobstore.Output) {
	s.status = job.SubtaskFinished
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(s.attempt.Epoch), Worker: v.Worker}
		if len(s.task.spec.Command) > 0 {
			v.ExitCode = new(0)
		}
		if kept != nil && s.task.final() {
			showOutput(v, kept)
		}
	})
}

func showOutput(v *job.SubtaskSnapshot, kept *jobstore.Output) {
	v.Output = kept.Text
	v.SetResult(kept.Result)
}

func (c *core) showFailed(s *subtask, e *gateway.AttemptEnd) {
	s.status = job.SubtaskFailed
	output := c.outputs.failure(s, e.Output, c.view)
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{
			Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(s.attempt.Epoch), Worker: v.Worker,
			ExitCode: e.ExitCode, Output: output, Error: e.Reason,
		}
	})
}
