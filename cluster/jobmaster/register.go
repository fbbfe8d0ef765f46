package jobmaster

import (
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// workerRegistered takes up a worker with what it has of the job, and compares that
// with what is known: the same worker may have been registered before, by this leader
// or by another.
func (c *core) workerRegistered(e workerRegistered, now time.Time) {
	select {
	case <-e.over:
		// It has asked again since. This report may be the older one of two, whichever
		// comes first, and lack slots that were given since.
		c.out.partings = append(c.out.partings, parting{hangUp: e.hangUp})
		return
	default:
	}
	if newest(e.has) > c.epoch {
		c.out.partings = append(c.out.partings, parting{hangUp: e.hangUp})
		c.answer(func() { e.reply <- answer[gateway.JobReply]{err: gateway.ErrFencingToken} })
		return
	}
	w := &worker{
		who: e.who, labels: e.has.Labels, at: e.executor, hangUp: e.hangUp, slots: map[gateway.Slot]*slot{},
		heard: now, nextBeat: now.Add(c.timeout / beatsPerTimeout),
	}
	for _, g := range c.groups {
		w.fits = append(w.fits, g.fits(e.has.Labels))
	}
	var before []*subtask
	if old := c.pool.byID[e.who.ID]; old != nil && old.who.Instance != e.who.Instance {
		c.lose(old, "", now)
	} else if old != nil {
		before = c.detach(old)
	}
	delete(c.manager.awaited, e.who.ID)
	c.pool.add(w)
	c.log.Debug("worker registered", "worker", w.who.ID, "instance", w.who.Instance, "slots", len(e.has.Slots),
		"running", len(e.has.Running), "ended", len(e.has.Ended))
	if e.has.Age > 0 { // an earlier leader may have recorded nothing
		c.noteStart(now.Add(-e.has.Age))
	}
	reply := c.compare(w, before, e.has, now)
	c.answer(func() { e.reply <- answer[gateway.JobReply]{value: reply} })
}

// newest returns the greatest epoch in a report.
func newest(r gateway.JobReport) (epoch leader.Epoch) {
	for i := range r.Running {
		epoch = max(epoch, r.Running[i].Attempt.Epoch)
	}
	for i := range r.Ended {
		epoch = max(epoch, r.Ended[i].Attempt.Epoch)
	}
	return epoch
}

// detach ends a registration whose worker registers again, and returns the subtasks
// that were active there. They stay so, without a slot, until they are compared with
// the report.
func (c *core) detach(w *worker) []*subtask {
	c.pool.remove(w)
	c.out.partings = append(c.out.partings, parting{hangUp: w.hangUp})
	return w.active()
}

// compare judges a report, and answers it.
func (c *core) compare(w *worker, before []*subtask, has gateway.JobReport, now time.Time) (reply gateway.JobReply) {
	old := make(map[*subtask]slot, len(before))
	for _, s := range before {
		old[s] = *s.slot
		s.slot = nil
	}
	refused := map[gateway.Slot]bool{}
	running := slices.Clone(has.Running)
	slices.SortStableFunc(running, func(a, b gateway.RunningAttempt) int { return byAttempt(a.Attempt, b.Attempt) })
	for _, r := range running {
		if !c.adopt(w, r, now) {
			reply.Unwanted = append(reply.Unwanted, r.Attempt)
			reply.Refused = append(reply.Refused, r.Slot)
			refused[r.Slot] = true
		}
	}
	for i := range has.Ended {
		switch change, settled := c.end(&has.Ended[i], now); {
		case !settled:
			w.owes = change
		case c.pool.flying[has.Ended[i].Attempt] == 0:
			reply.Settled = append(reply.Settled, has.Ended[i].Attempt)
		}
	}
	for _, s := range before {
		if s.place == placeActive && s.slot == nil {
			c.missing(w, s, old[s], has.Slots, now)
		}
	}
	for _, name := range has.Slots {
		if w.slots[name] == nil && !refused[name] {
			c.pool.idled(w.slot(name), now)
		}
	}
	return reply
}

// adopt takes up an attempt that runs on a worker, if it is the subtask's newest and
// wanted. An older one that runs elsewhere is given up for it.
func (c *core) adopt(w *worker, r gateway.RunningAttempt, now time.Time) bool {
	s, id := c.find(r.Attempt), markOf(r.Attempt)
	switch {
	case s == nil, s.finished, !id.after(s.ended), markOf(s.attempt).after(id):
		return false
	case w.slots[r.Slot] != nil:
		return false // something else runs there
	case s.place == placeActive && markOf(s.attempt) == id:
		if s.slot != nil {
			return false // another worker has it
		}
		cancel := s.cancel
		c.deactivate(s)
		c.occupy(s, w.slot(r.Slot), slotRunning)
		c.noteStart(now)
		if !cancel {
			c.show(s, job.SubtaskRunning)
			return true
		}
	case s.place == placeActive:
		c.supersede(s)
		c.takeUp(w, s, r, now)
	default:
		c.withdraw(s)
		c.takeUp(w, s, r, now)
	}
	if c.winding() {
		c.cancelActive(s)
	}
	return true
}

// takeUp makes an attempt that runs the subtask's.
func (c *core) takeUp(w *worker, s *subtask, r gateway.RunningAttempt, now time.Time) {
	s.attempt = r.Attempt
	c.occupy(s, w.slot(r.Slot), slotRunning)
	c.stats.adopted.Add(1)
	c.noteStart(now)
	s.status = job.SubtaskRunning
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(s.attempt.Epoch), Worker: w.who.ID}
	})
}

// missing judges an attempt that was active on a worker whose report lacks it: the same
// process, so that it has not ended with it. The report may be older than the
// deployment, as one of two registrations under way. So the worker is told again, and
// refuses an attempt that it has had and has no more.
func (c *core) missing(w *worker, s *subtask, old slot, held []gateway.Slot, now time.Time) {
	if w.slots[old.name] != nil || !slices.Contains(held, old.name) {
		c.lost(s, now)
		return
	}
	cancel := s.cancel
	c.deactivate(s)
	sl := w.slot(old.name)
	c.occupy(s, sl, slotDeploying)
	s.cancel = cancel
	w.redeploy(sl)
}
