package taskexecutor

import (
	"fmt"
	"slices"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// slots is the executor's state: who holds a slot, who waits for one, and which
// attempt runs in which. Run's goroutine owns it; nothing here blocks.
type slots struct {
	worker string
	// vacant counts the slots that nobody holds.
	vacant int
	// allocations numbers the slots handed out. A name is never used again, so a
	// slot that is freed twice cannot take another's.
	allocations int
	held        map[gateway.Slot]*holding
	waiting     []*waiter
	attempts    map[gateway.AttemptID]*holding
	epochs      epochs
	stopped     bool
}

// holding is one allocated slot.
type holding struct {
	slot    gateway.Slot
	job     job.ID
	attempt *attempt // nil while the slot is empty
	freed   bool     // by its holder, while the attempt was still running
}

// waiter is a request for a slot. Its grant receives the slot, or is closed when
// the executor stops.
type waiter struct {
	job     job.ID
	grant   chan gateway.Slot
	granted gateway.Slot
}

func newSlots(worker string, n int) *slots {
	return &slots{
		worker:   worker,
		vacant:   n,
		held:     map[gateway.Slot]*holding{},
		attempts: map[gateway.AttemptID]*holding{},
		epochs:   epochs{seen: map[job.ID]leader.Epoch{}},
	}
}

func (s *slots) running() int { return len(s.attempts) }

func (s *slots) request(w *waiter) {
	if s.stopped {
		close(w.grant)
		return
	}
	s.waiting = append(s.waiting, w)
	s.grant()
}

// grant hands vacant slots to those who wait, in their order.
func (s *slots) grant() {
	for s.vacant > 0 && len(s.waiting) > 0 {
		w := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.vacant--
		s.allocations++
		w.granted = gateway.Slot(fmt.Sprintf("%s-%d", s.worker, s.allocations))
		s.held[w.granted] = &holding{slot: w.granted, job: w.job}
		w.grant <- w.granted
	}
}

// withdraw takes back a request whose caller has gone, granted or not.
func (s *slots) withdraw(w *waiter) {
	if w.granted != "" {
		s.free(w.granted)
		return
	}
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
}

func (s *slots) free(slot gateway.Slot) {
	h := s.held[slot]
	switch {
	case h == nil:
	case h.attempt != nil:
		h.freed = true
	default:
		delete(s.held, slot)
		s.vacant++
		s.grant()
	}
}

func (s *slots) deploy(slot gateway.Slot, a *attempt) error {
	id := a.d.Attempt
	if s.stopped {
		return gateway.ErrStopped
	}
	h := s.held[slot]
	switch {
	case h == nil || h.freed || h.job != id.Job:
		return fmt.Errorf("slot %q: %w", slot, gateway.ErrNoSlot)
	case h.attempt != nil:
		return fmt.Errorf("slot %q runs %s: %w", slot, label(h.attempt.d.Attempt), gateway.ErrNoSlot)
	case s.attempts[id] != nil:
		return fmt.Errorf("it runs already, in slot %q", s.attempts[id].slot)
	}
	if newest, ok := s.epochs.admit(id.Job, id.Epoch); !ok {
		return fmt.Errorf("epoch %d is older than %d: %w", id.Epoch, newest, gateway.ErrFencingToken)
	}
	h.attempt = a
	s.attempts[id] = h
	return nil
}

func (s *slots) cancel(id gateway.AttemptID) {
	if h := s.attempts[id]; h != nil {
		h.attempt.cancel("canceled")
	}
}

func (s *slots) ended(a *attempt) {
	h := s.attempts[a.d.Attempt]
	delete(s.attempts, a.d.Attempt)
	h.attempt = nil
	if h.freed {
		s.free(h.slot)
	}
}

// stop refuses everything new and cancels what runs.
func (s *slots) stop() {
	s.stopped = true
	for _, w := range s.waiting {
		close(w.grant)
	}
	s.waiting = nil
	for _, h := range s.attempts {
		h.attempt.cancel("the task executor stopped")
	}
}

// maxEpochs bounds what is remembered of jobs that were seen once.
const maxEpochs = 4096

// epochs remembers the newest epoch seen for each job. All jobs of a cluster are
// led under one latch, so when there are too many to remember, the newest epoch
// of all stands for each of them: whoever has an older one has been deposed.
type epochs struct {
	seen  map[job.ID]leader.Epoch
	floor leader.Epoch
}

// admit notes the epoch, or reports the newer one that excludes it.
func (e *epochs) admit(id job.ID, epoch leader.Epoch) (leader.Epoch, bool) {
	if newest := max(e.floor, e.seen[id]); epoch < newest {
		return newest, false
	}
	e.seen[id] = epoch
	if len(e.seen) > maxEpochs {
		for _, seen := range e.seen {
			e.floor = max(e.floor, seen)
		}
		clear(e.seen)
	}
	return epoch, true
}
