package taskexecutor

import (
	"fmt"
	"slices"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// holding is one slot that a job holds.
type holding struct {
	slot    gateway.Slot
	tenant  *tenant
	attempt *attempt // nil while the slot is empty
	// freed says that the job holds it no more, but an attempt still runs in it.
	freed bool
	// offered says that the job's master was told, or is being told.
	offered bool
}

// vacant counts the slots that nobody holds.
func (s *state) vacant() int { return s.cfg.Slots - len(s.held) }

// request gives a job as many slots as are vacant, at most as many as it asks for.
func (s *state) request(r gateway.SlotRequest) ([]gateway.Slot, error) {
	if err := s.fence.admit(r.Term); err != nil {
		return nil, err
	}
	if s.stopping || s.draining {
		return nil, gateway.ErrStopped
	}
	if err := r.Job.Validate(); err != nil {
		return nil, err // it names a folder
	}
	n := min(r.Count, s.vacant())
	if n <= 0 {
		return nil, nil
	}
	t := s.tenant(r.Job)
	names := make([]gateway.Slot, n)
	for i := range names {
		s.allocations++
		// A name is never used again, not by another instance either, so a slot that
		// is freed twice cannot take another's.
		names[i] = gateway.Slot(fmt.Sprintf("%s-%.8s-%d", s.self.ID, s.self.Instance, s.allocations))
		h := &holding{slot: names[i], tenant: t}
		s.held[h.slot], t.slots[h.slot] = h, h
	}
	s.log.Debug("slots allocated", "job", r.Job, "slots", n)
	s.review(t)
	t.link.offer()
	return names, nil
}

// free takes a slot from its job: at once when it is empty, else when its attempt has
// ended.
func (s *state) free(h *holding) {
	if h.attempt != nil {
		h.freed = true
		return
	}
	delete(s.held, h.slot)
	delete(h.tenant.slots, h.slot)
	s.manager.freed = append(s.manager.freed, h.slot)
	s.manager.link.wake()
	s.review(h.tenant)
}

// freeNamed frees slots by name; unknown ones are ignored.
func (s *state) freeNamed(slots []gateway.Slot) {
	for _, name := range slots {
		if h := s.held[name]; h != nil {
			s.free(h)
		}
	}
}

// takeOffers returns the slots of which the job's master does not know.
func (t *tenant) takeOffers() []gateway.Slot {
	var slots []gateway.Slot
	for _, h := range t.slots {
		if !h.offered && !h.freed {
			h.offered = true
			slots = append(slots, h.slot)
		}
	}
	slices.SortFunc(slots, compareSlots)
	return slots
}

// giveOffers takes back slots whose offer failed.
func (t *tenant) giveOffers(slots []gateway.Slot) {
	for _, name := range slots {
		if h := t.slots[name]; h != nil {
			h.offered = false
		}
	}
}

// deploy starts attempts and returns those that it refuses.
func (s *state) deploy(term leader.TermID, ds []gateway.Deployment) ([]gateway.Refusal, error) {
	if err := s.fence.admit(term); err != nil {
		return nil, err
	}
	if s.stopping {
		return nil, gateway.ErrStopped
	}
	var refused []gateway.Refusal
	heard := job.ID("")
	for _, d := range ds {
		if id := d.Attempt.Job; id != heard {
			heard = id
			s.heardOf(term, id)
		}
		if err := s.place(d); err != nil {
			refused = append(refused, gateway.Refusal{Attempt: d.Attempt, Err: err})
		}
	}
	return refused, nil
}

// heardOf takes in that a job's master has deployed something: while it does, it sends no
// heartbeats.
func (s *state) heardOf(term leader.TermID, id job.ID) {
	if l, _, err := s.linkOf(gateway.Peer{Term: term, Job: id}); err == nil {
		s.peers.Heard(l)
	}
}

// place starts one attempt, unless it was started before.
func (s *state) place(d gateway.Deployment) error {
	id := d.Attempt
	switch there, ended := s.attempts[id], s.keptEnd(id); {
	case there != nil && there.forgotten:
		return fmt.Errorf("%s was given up here and is being ended", label(id))
	case there != nil && there.slot.slot == d.Slot, ended != nil && ended.slot == d.Slot:
		return nil
	case there != nil || ended != nil:
		return fmt.Errorf("%s was deployed before, into another slot", label(id))
	case id.Epoch < s.fence.newest.Epoch:
		return fmt.Errorf("%s is older than epoch %d: %w", label(id), s.fence.newest.Epoch, gateway.ErrFencingToken)
	}
	if err := job.ID(id.Task).Validate(); err != nil {
		return fmt.Errorf("the name of task %q: %w", id.Task, err) // it names a folder
	}
	h := s.held[d.Slot]
	switch {
	case h == nil || h.freed || h.tenant.id != id.Job:
		return fmt.Errorf("slot %q: %w", d.Slot, gateway.ErrNoSlot)
	case h.attempt != nil:
		return fmt.Errorf("slot %q runs %s: %w", d.Slot, label(h.attempt.d.Attempt), gateway.ErrNoSlot)
	}
	// A deployment that was delayed on its way may come when its attempt has ended and
	// been settled. Attempts of a subtask are in order, so one record of each tells.
	trace := h.tenant.trace(id)
	if !trace.precedes(id) {
		return fmt.Errorf("%s has run here, or a newer one has", label(id))
	}
	a := &attempt{d: d, tenant: h.tenant, slot: h, killed: make(chan struct{})}
	a.journal = newJournal(id, s.folders.attempt(id), s.journals)
	trace.epoch, trace.n, trace.journal = id.Epoch, id.N, a.journal
	h.attempt, s.attempts[id], h.tenant.running[id] = a, a, a
	if h.tenant.begun.IsZero() {
		h.tenant.begun = s.now()
	}
	s.counts.deployed++
	if s.kept.full() {
		a.begin = make(chan struct{})
		s.waiting = append(s.waiting, a)
	}
	s.world.launch(a)
	return nil
}

// cancel asks attempts to end; unknown ones are ignored.
func (s *state) cancel(ids []gateway.AttemptID) {
	for _, id := range ids {
		if a := s.attempts[id]; a != nil {
			a.cancel("canceled")
		}
	}
}

// ended takes in how an attempt ended. Its slot is empty before anybody hears of it.
func (s *state) ended(a *attempt, end gateway.AttemptEnd) {
	t := a.tenant
	delete(s.attempts, a.d.Attempt)
	delete(t.running, a.d.Attempt)
	s.counts.ended(end.Outcome)
	if trace := t.trace(a.d.Attempt); trace.journal == a.journal && a.journal.silent() {
		trace.journal = nil
	}
	h := a.slot
	h.attempt = nil
	if !a.forgotten {
		s.keep(t, end, h.slot)
	}
	if h.freed {
		s.free(h)
	}
	if t.released && len(t.running) == 0 && s.tenants[t.id] == nil {
		s.world.remove(t.id)
	}
	s.review(t)
}

// drain has the worker take nothing new: what is empty goes back, and what runs is
// the last in its slot.
func (s *state) drain() {
	if s.draining {
		return
	}
	s.draining = true
	s.log.Info("draining: no new slots; the worker ends when it is empty")
	for _, h := range s.held {
		s.free(h)
	}
}

// report tells what the worker has; of one job only, unless that is empty.
func (s *state) report(only *tenant) gateway.WorkerReport {
	r := gateway.WorkerReport{Slots: s.cfg.Slots, Draining: s.draining || s.stopping}
	held := s.held
	if only != nil {
		held = only.slots
	}
	for _, h := range held {
		r.Allocated = append(r.Allocated, gateway.Allocation{Slot: h.slot, Job: h.tenant.id})
	}
	slices.SortFunc(r.Allocated, func(a, b gateway.Allocation) int { return compareSlots(a.Slot, b.Slot) })
	return r
}
