package jobmaster

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// core decides. It does no I/O, reads no clock and starts nothing: events and the
// time go in by step, what is to be done comes out of plan. One goroutine owns it.
type core struct {
	id        job.ID
	epoch     leader.Epoch
	recovered bool
	timeout   time.Duration // of heartbeats
	failures  int           // of heartbeats in a row that mean a loss
	log       hclog.Logger
	view      *view
	stats     *stats

	status job.Status
	reason string // why the job fails
	// fatal ends this run of the job without a result.
	fatal error

	tasks  []*task
	byID   map[string]*task
	groups []*group
	// unfinished counts the subtasks of which no attempt has succeeded.
	unfinished int
	delayed    delayed
	// active counts the attempts that were or are being deployed and have not ended.
	active int

	record  *recorder
	outputs outputs
	// never is a change that is not recorded.
	never change
	// unread says that the record must be read before anything else, reading that an
	// answer will come. wanted are the outputs that are to be read after it.
	unread, reading bool
	wanted          []jobstore.OutputID
	readRetry       backoff
	// early are the events of workers that came before the record was read.
	early []event

	manager manager
	pool    pool

	out actions
}

func newCore(cfg Config, v *view, st *stats, log hclog.Logger) (*core, error) {
	tasks, groups, err := buildTasks(cfg.Job.Graph)
	if err != nil {
		return nil, err
	}
	c := &core{
		id: cfg.Job.ID, epoch: cfg.Term.Epoch, recovered: cfg.Recovered,
		timeout: cfg.HeartbeatTimeout, failures: cfg.Failures, log: log, view: v, stats: st,
		status: job.StatusInitializing, tasks: tasks, groups: groups, byID: make(map[string]*task, len(tasks)),
		record: &recorder{}, pool: newPool(),
	}
	for _, t := range tasks {
		c.byID[t.spec.ID] = t
		c.unfinished += t.left
	}
	return c, nil
}

// step takes in one event.
func (c *core) step(e event, now time.Time) {
	if c.unread && ofWorker(e) {
		c.early = append(c.early, e)
	} else {
		c.dispatch(e, now)
	}
}

func (c *core) dispatch(e event, now time.Time) {
	switch e := e.(type) {
	case begun:
		c.begin(now)
	case cancelRequested:
		c.cancel(now)
	case recordRead:
		c.recordRead(e.progress, e.err, now)
	case outputsRead:
		c.outputsRead(e.outputs, e.err, now)
	case recordWritten:
		c.recordWritten(e.err, now)
	case ticked:
	default:
		c.dispatchRemote(e, now)
	}
}

// dispatchRemote takes in what workers and the resource manager say.
func (c *core) dispatchRemote(e event, now time.Time) {
	switch e := e.(type) {
	case managerConnected:
		c.managerConnected(e)
	case managerLost:
		c.dropManager(e.reason)
	case needsDeclared:
		c.needsDeclared(e, now)
	case holdersKnown:
		c.holdersKnown(e, now)
	case slotsWanted:
		c.pool.want(e.need)
	case workerRegistered:
		c.workerRegistered(e, now)
	case slotsOffered:
		c.slotsOffered(e, now)
	case attemptsEnded:
		c.attemptsEnded(e, now)
	case workerGone:
		c.workerGone(e, now)
	case exchanged:
		c.exchanged(e, now)
	case beaten:
		c.beaten(e, now)
	}
}

// ofWorker says whether an event is to be judged by the record.
func ofWorker(e event) bool {
	switch e.(type) {
	case workerRegistered, slotsOffered, attemptsEnded, workerGone:
		return true
	default:
		return false
	}
}

// pass lets happen what the time brings.
func (c *core) pass(now time.Time) {
	c.expireWorkers(now)
	c.reconcile(now)
	if c.status != job.StatusRunning {
		return
	}
	for s := c.delayed.due(now); s != nil; s = c.delayed.due(now) {
		c.enqueue(s)
	}
}

// plan returns what is to be done now.
func (c *core) plan(now time.Time) actions {
	c.pass(now)
	switch {
	case c.fatal != nil:
	case c.unread:
		c.planRead(now)
	case c.running() && c.unfinished > 0:
		if c.owesRecord() && !c.record.writing && c.record.retry.over(now) {
			c.out.write = c.record.begin()
			c.stats.writes.Add(1)
		}
		if c.status == job.StatusRunning {
			c.giveSlotsBack()
			c.assign(now)
			c.freeIdle(now)
		}
	case !c.busy():
		c.conclude(now)
	}
	if c.fatal == nil && !c.ended() {
		c.planManager(now)
		c.planWorkers(now)
	}
	out := c.out
	c.out = actions{}
	return out
}

func (c *core) owesRecord() bool { return len(c.record.pending) > 0 }

func (c *core) planRead(now time.Time) {
	if c.reading || !c.readRetry.over(now) {
		return
	}
	c.reading = true
	if c.wanted != nil {
		c.out.readOutputs = c.wanted
	} else {
		c.out.read = true
	}
}

// running says that attempts are wanted and their ends recorded.
func (c *core) running() bool {
	return c.status == job.StatusRunning || c.status == job.StatusReconciling
}

// winding says that the job comes to its end before all has finished.
func (c *core) winding() bool {
	return c.status == job.StatusFailing || c.status == job.StatusCancelling
}

// busy says whether something must be known before the job can end.
func (c *core) busy() bool {
	return c.unread || c.record.writing || c.active > 0 || c.winding() && !c.manager.reconciled
}

// ended says whether the job has reached its end.
func (c *core) ended() bool { return c.status.Terminal() }

// wake returns how long after plan nothing needs to happen unless an event comes, for
// the same time: what was due then was done, or waits for something else.
func (c *core) wake(now time.Time) time.Duration {
	wait := time.Hour
	until := func(at time.Time) {
		if at.After(now) {
			wait = min(wait, at.Sub(now))
		}
	}
	if c.unread && !c.reading {
		until(c.readRetry.until)
	}
	if c.running() && !c.unread && c.unfinished > 0 && c.owesRecord() && !c.record.writing {
		until(c.record.retry.until)
	}
	if c.status == job.StatusRunning && len(c.delayed) > 0 {
		until(c.delayed[0].at)
	}
	c.wakeManager(until)
	c.wakeWorkers(until)
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
	if !c.recovered {
		c.become(job.StatusCreated, now)
		// The record was created empty with the graph, in this term, and nobody else
		// writes it; and no worker can have anything of the job.
		c.manager.reconciled = true
		c.run(now)
		return
	}
	c.become(job.StatusReconciling, now)
	c.unread = true
}

// run starts what can start and is not under way.
func (c *core) run(now time.Time) {
	c.become(job.StatusRunning, now)
	for _, t := range c.tasks {
		if t.blockers == 0 && t.left > 0 && c.status == job.StatusRunning {
			c.schedule(t, now)
		}
	}
}

// recordRead resumes from what earlier terms have recorded. A job that was
// canceled meanwhile still takes it up, so that its result says what has finished.
func (c *core) recordRead(p jobstore.Progress, err error, now time.Time) {
	c.reading = false
	if err == nil {
		c.wanted, err = c.record.restore(c.id, p, c.tasks)
	}
	if err != nil {
		c.unreadable(err, now)
		return
	}
	c.readRetry = backoff{}
	c.restoreTasks()
	if len(c.wanted) == 0 {
		c.resume(now)
	}
}

// outputsRead takes up the results that something still needs.
func (c *core) outputsRead(outputs []jobstore.Output, err error, now time.Time) {
	c.reading = false
	if err != nil {
		c.unreadable(err, now)
		return
	}
	for i := range outputs {
		t := c.byID[outputs[i].Task]
		c.restoreOutput(&t.subtasks[outputs[i].Subtask], &outputs[i])
	}
	c.resume(now)
}

func (c *core) restoreOutput(s *subtask, o *jobstore.Output) {
	c.outputs.restore(s, *o)
	s.task.keep(o)
	if s.task.final() {
		c.view.change(s, func(v *job.SubtaskSnapshot) { showOutput(v, o) })
	}
}

func (c *core) unreadable(err error, now time.Time) {
	if final(err) {
		c.fatal = fmt.Errorf("job %s: resume: %w", c.id, err)
		return
	}
	c.readRetry.failed(now)
	c.retrying("record could not be read", err, c.readRetry)
}

// retrying logs a failure that is waited out.
func (c *core) retrying(what string, err error, b backoff) {
	c.log.Warn(what+", trying again", "error", err, "in", b.wait)
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
	c.outputs.results = c.record.progress.ResultBytes
	if at := c.record.progress.StartedAt; !at.IsZero() {
		c.view.setStarted(at)
	}
	for _, t := range c.tasks {
		for i := range t.subtasks {
			if s := &t.subtasks[i]; s.finished {
				c.unfinished--
				c.showFinished(s, nil)
			}
		}
		if t.left == 0 {
			for _, n := range t.needed {
				n.blockers--
			}
		}
	}
}

// resume begins to hear workers.
func (c *core) resume(now time.Time) {
	c.unread, c.wanted = false, nil
	for i := range c.record.owed {
		o := &c.record.owed[i]
		c.restoreOutput(&c.byID[o.Task].subtasks[o.Subtask], o)
	}
	for _, t := range c.tasks {
		if t.blockers == 0 && t.left > 0 {
			t.gather()
		}
	}
	if c.status == job.StatusCancelling {
		c.wind(now)
	}
	early := c.early
	c.early = nil
	for _, e := range early {
		c.dispatch(e, now)
	}
}
