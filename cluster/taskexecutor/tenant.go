package taskexecutor

import (
	"cmp"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// maxIdle bounds the jobs of which only folders and output are left. Their clean-up
// has probably missed this worker.
const maxIdle = 1000

// tenant is a job that has, or had, something at this worker.
type tenant struct {
	id      job.ID
	slots   map[gateway.Slot]*holding
	running map[gateway.AttemptID]*attempt
	// kept are the ends that were not settled, queue those of them that nobody sends.
	kept  map[gateway.AttemptID]*keptEnd
	queue []*keptEnd
	// begun is when the first attempt was deployed here, zero before.
	begun time.Time
	// traces are the newest attempts that were here.
	traces map[subtask]*trace

	// link leads to the job's master, to none while nobody leads or nothing is here.
	link *link
	// since is when the job was last without its master here; it counts while the job
	// is not registered and has something here.
	since time.Time
	// idle is since when it has nothing here, zero while it has.
	idle time.Time
	// released says that the job is forgotten; only attempts that are being killed
	// still know it.
	released bool
}

// subtask names a subtask within its job.
type subtask struct {
	task  string
	index int
}

// trace is what is remembered of a subtask's attempts.
type trace struct {
	epoch leader.Epoch
	n     int
	// journal is nil when the attempt has ended and wrote nothing.
	journal *journal
}

// precedes reports whether the attempt is newer than all that were here.
func (t *trace) precedes(id gateway.AttemptID) bool {
	return cmp.Or(cmp.Compare(t.epoch, id.Epoch), cmp.Compare(t.n, id.N)) < 0
}

func (t *trace) attempt(id job.ID, s subtask) gateway.AttemptID {
	return gateway.AttemptID{Job: id, Task: s.task, Subtask: s.index, Epoch: t.epoch, N: t.n}
}

// trace returns the record of an attempt's subtask.
func (t *tenant) trace(id gateway.AttemptID) *trace {
	key := subtask{id.Task, id.Subtask}
	tr := t.traces[key]
	if tr == nil {
		tr = &trace{}
		t.traces[key] = tr
	}
	return tr
}

// busy reports whether the job has anything here that its master should know.
func (t *tenant) busy() bool { return len(t.slots) > 0 || len(t.running) > 0 || len(t.kept) > 0 }

// tenant returns the record of a job, which may be new.
func (s *state) tenant(id job.ID) *tenant {
	t := s.tenants[id]
	if t == nil {
		t = &tenant{
			id: id, slots: map[gateway.Slot]*holding{}, running: map[gateway.AttemptID]*attempt{},
			kept: map[gateway.AttemptID]*keptEnd{}, traces: map[subtask]*trace{}, idle: s.now(), link: newLink(),
		}
		var err error
		if t.link.conn, err = s.world.follow(t); err != nil {
			panic(err) // it says that its configuration, which is constant, is wrong
		}
		s.tenants[id] = t
	}
	return t
}

// review has a job followed, or not, after what it has here has changed.
func (s *state) review(t *tenant) {
	switch {
	case t.released:
	case t.busy():
		if !t.idle.IsZero() {
			t.idle, t.since = time.Time{}, s.now()
		}
		if s.dispatcher.Epoch > 0 && !s.stopping {
			t.link.follow(targetOf(s.dispatcher))
		}
		if !t.link.registered() {
			s.wakeAt(t.since.Add(s.cfg.Grace))
		}
	case t.idle.IsZero():
		// The link stays for a while: the job may get slots again, and its master
		// asks for what is here until the job's clean-up.
		t.idle = s.now()
		s.wakeAt(t.idle.Add(s.cfg.Grace))
		s.forgetIdle()
	}
}

// overdue sees to a job whose time without master, or without anything here, is up.
func (s *state) overdue(t *tenant) {
	switch due, now := t.since.Add(s.cfg.Grace), s.now(); {
	case !t.busy():
		if due := t.idle.Add(s.cfg.Grace); now.Before(due) {
			s.wakeAt(due)
		} else {
			t.link.follow(rpc.Target{})
		}
	case t.link.registered():
	case now.Before(due):
		s.wakeAt(due)
	default:
		s.log.Warn("no job master within the grace; what the job has here is given up", "job", t.id, "grace", s.cfg.Grace,
			"slots", len(t.slots), "running", len(t.running), "ends", len(t.kept))
		t.since = now
		s.abandon(t, func(a *attempt) { a.cancel("no job master for " + s.cfg.Grace.String()) })
	}
}

// abandon gives up all that a job has here but its folders and output.
func (s *state) abandon(t *tenant, end func(*attempt)) {
	for _, a := range t.running {
		a.forgotten = true
		end(a)
	}
	for _, k := range t.kept {
		s.settle(t, k)
	}
	for _, h := range t.slots {
		s.free(h)
	}
	s.review(t)
}

// release forgets a job that has its result. It reports whether the folders can be
// removed now; otherwise that is done when the last attempt has ended.
func (s *state) release(term leader.TermID, id job.ID) (removable bool, err error) {
	if err := s.fence.admit(term); err != nil {
		return false, err
	}
	t := s.tenants[id]
	if t == nil {
		return true, nil
	}
	s.forget(t)
	return len(t.running) == 0, nil
}

// forget drops a job. Its attempts are killed.
func (s *state) forget(t *tenant) {
	t.released = true
	delete(s.tenants, t.id)
	s.abandon(t, func(a *attempt) { a.kill("the job is over") })
	t.link.conn.Close(rpc.ErrSuperseded)
}

// forgetIdle keeps the number of idle jobs within its bound.
func (s *state) forgetIdle() {
	if len(s.tenants) <= maxIdle {
		return
	}
	var oldest *tenant
	idle := 0
	for _, t := range s.tenants {
		if t.idle.IsZero() {
			continue
		}
		idle++
		if oldest == nil || t.idle.Before(oldest.idle) {
			oldest = t
		}
	}
	if idle > maxIdle {
		s.forget(oldest)
		s.world.remove(oldest.id)
	}
}

// dispatcherIs takes in who leads the jobs; a zero info says that nobody does.
func (s *state) dispatcherIs(info leader.Info) {
	if info.SessionID == s.dispatcher.SessionID {
		return
	}
	if info.Epoch > 0 {
		if err := s.fence.admit(termOf(info)); err != nil {
			s.log.Debug("a deposed leader of the jobs is not followed", "error", err)
			return
		}
	}
	s.dispatcher = info
	for _, t := range s.tenants {
		t.link.follow(rpc.Target{})
		s.review(t)
	}
}

// compareSlots orders the names of one worker's slots by their age.
func compareSlots(a, b gateway.Slot) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// newestAttempt finds the output of a subtask.
func (s *state) newestAttempt(id job.ID, key subtask) (gateway.AttemptID, *journal, error) {
	t := s.tenants[id]
	if t == nil || t.traces[key] == nil {
		return gateway.AttemptID{}, nil, gateway.ErrNoLog
	}
	tr := t.traces[key]
	return tr.attempt(id, key), tr.journal, nil
}

// jobReport tells the job's master what the job has here.
func (s *state) jobReport(t *tenant) gateway.JobReport {
	r := gateway.JobReport{Labels: s.cfg.Labels}
	for _, h := range t.slots {
		h.offered = true
		r.Slots = append(r.Slots, h.slot)
	}
	slices.SortFunc(r.Slots, compareSlots)
	for id, a := range t.running {
		if !a.forgotten {
			r.Running = append(r.Running, gateway.RunningAttempt{Attempt: id, Slot: a.slot.slot})
		}
	}
	if !t.begun.IsZero() {
		r.Age = s.now().Sub(t.begun)
	}
	s.reportEnds(t, &r)
	return r
}
