package jobmaster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// slotsOffered takes the slots that are needed. An offer may come again, when its
// answer was lost.
func (c *core) slotsOffered(e slotsOffered, now time.Time) {
	w := c.pool.known(e.who)
	if w == nil {
		c.answer(func() { e.reply <- answer[[]gateway.Slot]{err: gateway.ErrNotRegistered} })
		return
	}
	room := 0
	switch c.status {
	case job.StatusReconciling:
		room = len(e.slots)
	case job.StatusRunning:
		room = c.readyFor(w) - len(w.idle)
	default:
	}
	var taken []gateway.Slot
	for _, name := range e.slots {
		if w.slots[name] == nil {
			if room <= 0 || w.gone(name) {
				c.manager.surplus = true
				continue
			}
			room--
			c.pool.idled(w.slot(name), now)
		}
		taken = append(taken, name)
	}
	c.answer(func() { e.reply <- answer[[]gateway.Slot]{value: taken} })
}

// slot returns the worker's slot of that name, a new one if need be.
func (w *worker) slot(name gateway.Slot) *slot {
	s := w.slots[name]
	if s == nil {
		s = &slot{name: name, worker: w}
		w.slots[name] = s
	}
	return s
}

// workerGone takes in that a worker has gone.
func (c *core) workerGone(e workerGone, now time.Time) {
	if holder, ok := c.manager.awaited[e.who.ID]; ok && holder.Instance == e.who.Instance {
		delete(c.manager.awaited, e.who.ID)
	}
	if w := c.pool.known(e.who); w != nil {
		c.lose(w, "", now)
		c.log.Info("worker has gone", "worker", w.who.ID, "reason", e.reason)
	}
}

// lose ends a registration: its slots are gone, and what ran there runs again. A
// reason is told to the worker.
func (c *core) lose(w *worker, reason string, now time.Time) {
	c.pool.remove(w)
	c.out.partings = append(c.out.partings, parting{at: w.at, hangUp: w.hangUp, reason: reason})
	if reason != "" {
		c.log.Warn("worker is lost", "worker", w.who.ID, "reason", reason, "slots", len(w.slots))
	}
	for _, s := range w.active() {
		c.lost(s, now)
	}
}

// active returns the subtasks that are active on the worker, in their order.
func (w *worker) active() []*subtask {
	var active []*subtask
	for _, sl := range w.slots {
		if sl.subtask != nil {
			active = append(active, sl.subtask)
		}
	}
	slices.SortFunc(active, func(a, b *subtask) int { return a.number() - b.number() })
	return active
}

// lost lets a subtask run again whose attempt's worker has gone. That is no failure
// of the attempt; the next one waits the rule's delay all the same.
func (c *core) lost(s *subtask, now time.Time) {
	c.stats.lost.Add(1)
	c.deactivate(s)
	if c.winding() {
		c.canceled(s, nil)
		return
	}
	c.delayed.add(s, now.Add(time.Duration(s.task.spec.Retry.Delay)))
	c.show(s, job.SubtaskScheduled)
}

// planWorkers tells workers what they are to do, and that the master is there.
func (c *core) planWorkers(now time.Time) {
	if c.winding() {
		c.freeAll()
	}
	for _, w := range c.pool.fleet {
		if !w.talking && w.retry.over(now) && len(w.deploy)+len(w.cancel)+len(w.free) > 0 {
			c.out.exchanges = append(c.out.exchanges, c.exchange(w))
		}
		if !w.beating && !now.Before(w.nextBeat) {
			w.beating = true
			c.out.beats = append(c.out.beats, beat{serial: w.serial, at: w.at})
		}
	}
}

// exchange begins to tell a worker what has gathered.
func (c *core) exchange(w *worker) exchange {
	w.talking = true
	w.told = told{cancel: w.cancel, free: w.free}
	x := exchange{serial: w.serial, at: w.at, cancel: w.cancel, free: w.free}
	for _, sl := range w.deploy {
		if sl.state == slotDeploying { // it has not ended meanwhile
			w.told.deploy = append(w.told.deploy, sl)
			x.deploy = append(x.deploy, deploymentOf(sl))
			c.pool.flying[sl.subtask.attempt]++
		}
	}
	w.deploy, w.cancel, w.free, w.batch, w.full = nil, nil, nil, 0, false
	return x
}

func deploymentOf(sl *slot) gateway.Deployment {
	t := sl.subtask.task
	return gateway.Deployment{
		Attempt: sl.subtask.attempt, Slot: sl.name, Parallelism: t.spec.Subtasks(),
		Command: t.spec.Command, Func: t.spec.Func, Env: t.spec.Env, Dir: t.spec.Dir,
		Timeout: time.Duration(t.spec.Timeout), Inputs: t.inputs,
	}
}

// exchanged hears what a worker has made of an exchange. What failed is told again,
// with what has gathered meanwhile: the worker minds that it may know it already.
func (c *core) exchanged(e exchanged, now time.Time) {
	for _, st := range c.pool.landed(e.of.deploy) {
		c.settle(st)
	}
	w := c.pool.bySerial[e.of.serial]
	if w == nil {
		return
	}
	was := w.told
	w.talking, w.told = false, told{}
	if err := errors.Join(e.deployErr, e.cancelErr, e.freeErr); err != nil {
		if errors.Is(err, gateway.ErrFencingToken) {
			c.fatal = fmt.Errorf("job %s: worker %s: %w", c.id, w.who.ID, err)
			return
		}
		c.untold(w, was, e, now)
		c.retrying("worker could not be told", err, w.retry)
	} else {
		w.retry, w.troubled = backoff{}, time.Time{}
		c.answered(w, e.sent)
		// The worker takes a deployment for a heartbeat, and nothing else that it is told.
		if next := e.sent.Add(c.timeout / beatsPerTimeout); len(e.of.deploy) > 0 && next.After(w.nextBeat) {
			w.nextBeat = next
		}
	}
	if e.deployErr != nil || c.pool.bySerial[w.serial] == nil { // or it is lost now, with all that it was told
		return
	}
	again := map[*slot]bool{}
	for _, r := range e.refusals {
		c.refused(w, r, again, now)
	}
	for _, sl := range was.deploy {
		if sl.state == slotDeploying && !again[sl] {
			c.started(sl, now)
		}
	}
}

// untold keeps what a worker was not told for the next exchange. One that cannot be
// told anything for as long as a heartbeat may take is lost.
func (c *core) untold(w *worker, was told, e exchanged, now time.Time) {
	w.retry.failed(now)
	if w.troubled.IsZero() {
		w.troubled = now
	}
	if e.deployErr != nil {
		for _, sl := range was.deploy {
			if sl.state == slotDeploying {
				w.redeploy(sl)
			}
		}
	}
	if e.deployErr != nil || e.cancelErr != nil {
		w.cancel = append(was.cancel, w.cancel...)
	}
	if e.deployErr != nil || e.cancelErr != nil || e.freeErr != nil {
		w.free = append(was.free, w.free...)
	}
	if now.Sub(w.troubled) >= c.timeout {
		c.lose(w, "it cannot be told anything", now)
	}
}

// redeploy lets the next exchange tell of an attempt once more.
func (w *worker) redeploy(sl *slot) {
	w.deploy = append(w.deploy, sl)
	w.batch += sl.subtask.task.size + sl.subtask.task.inputSize
}

// started notes that the attempt in a slot runs, or did.
func (c *core) started(sl *slot, now time.Time) {
	s := sl.subtask
	sl.state = slotRunning
	c.noteStart(now)
	if s.cancel {
		sl.worker.cancel = append(sl.worker.cancel, s.attempt)
		return
	}
	c.show(s, job.SubtaskRunning)
}

// noteStart notes when an attempt was deployed; the job's first one counts.
func (c *core) noteStart(at time.Time) {
	if known := c.record.progress.StartedAt; known.IsZero() || at.Before(known) {
		c.record.progress.StartedAt = at
		c.view.setStarted(at)
	}
}

// refused takes back an attempt of which nothing was started. Its number is not used
// again, nor its slot. If a call that was made before the worker registered again may
// still start it, the worker is asked again.
func (c *core) refused(w *worker, r gateway.Refusal, again map[*slot]bool, now time.Time) {
	s := c.find(r.Attempt)
	if s == nil || s.place != placeActive || s.attempt != r.Attempt || s.slot.worker != w || s.slot.state != slotDeploying {
		return // it was reported as ended, which settles it
	}
	if errors.Is(r.Err, gateway.ErrFencingToken) {
		c.fatal = fmt.Errorf("job %s: worker %s: %w", c.id, w.who.ID, r.Err)
		return
	}
	sl := s.slot
	if c.pool.flying[r.Attempt] > 0 {
		again[sl] = true
		w.retry.failed(now)
		w.redeploy(sl)
		return
	}
	c.deactivate(s)
	sl.subtask, sl.state = nil, slotIdle
	w.drop(sl)
	if c.winding() {
		c.canceled(s, nil)
		return
	}
	w.retry.failed(now)
	c.retrying("attempt could not be deployed", r.Err, w.retry)
	c.show(s, job.SubtaskScheduled)
	if c.status == job.StatusRunning {
		s.task.group.ready.pushFront(s)
	}
}

// beaten hears how a worker has answered a heartbeat.
func (c *core) beaten(e beaten, now time.Time) {
	w := c.pool.bySerial[e.serial]
	if w == nil {
		return
	}
	w.beating = false
	w.nextBeat = e.sent.Add(c.timeout / beatsPerTimeout)
	switch {
	case e.err == nil:
		c.answered(w, e.sent)
	case errors.Is(e.err, gateway.ErrFencingToken):
		c.fatal = fmt.Errorf("job %s: worker %s: %w", c.id, w.who.ID, e.err)
	default:
		if w.missed++; w.missed >= c.failures {
			c.lose(w, fmt.Sprintf("%d heartbeats in a row failed: %v", w.missed, e.err), now)
		}
	}
}

// answered notes that a worker has answered a call.
func (c *core) answered(w *worker, sent time.Time) {
	w.missed = 0
	if sent.After(w.heard) {
		w.heard = sent
	}
}

// expireWorkers loses the workers that have not answered for too long. One whose time was
// over long ago could not be heard, as this process was paused: it has an interval to
// answer the next heartbeat.
func (c *core) expireWorkers(now time.Time) {
	interval := c.timeout / beatsPerTimeout
	var silent []*worker
	for _, w := range c.pool.fleet {
		switch late := now.Sub(w.heard) - c.timeout; {
		case late < 0:
		case late >= interval:
			w.heard = now.Add(interval - c.timeout)
		default:
			silent = append(silent, w)
		}
	}
	for _, w := range silent {
		c.lose(w, "no heartbeat was answered in time", now)
	}
}

func (c *core) wakeWorkers(until func(time.Time)) {
	for _, w := range c.pool.fleet {
		until(w.heard.Add(c.timeout))
		if !w.beating {
			until(w.nextBeat)
		}
		if !w.talking {
			until(w.retry.until)
		}
	}
	if c.status == job.StatusRunning && !c.pool.idleCheck.IsZero() {
		until(c.pool.idleCheck)
	}
}

// byAttempt orders reports: those of older attempts first.
func byAttempt(a, b gateway.AttemptID) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.N, b.N))
}
