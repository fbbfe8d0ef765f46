package jobmaster

import (
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

const (
	// maxNeed bounds the slots that a job asks for at a time with the same labels, so
	// that a wide job's need does not change with each of its subtasks.
	maxNeed = 4096
	// maxBatch bounds one Deploy, in bytes: well below what a message may have, with
	// what the wire adds. A larger deployment goes alone.
	maxBatch = 4 << 20
	// maxBatchSize bounds the number of deployments in one Deploy.
	maxBatchSize = 1000
	// deploymentAllowance is what each part of a deployment takes besides its content.
	deploymentAllowance = 64
	// idleGrace is how long an empty slot is kept that nothing can use: what waits for
	// the record, or for its next attempt, may soon.
	idleGrace = 500 * time.Millisecond
)

// deploymentSize returns what a deployment of the task takes without its inputs, in
// bytes.
func deploymentSize(spec job.Task) int {
	size := 4*deploymentAllowance + len(spec.ID) + len(spec.Func) + len(spec.Dir)
	for _, arg := range spec.Command {
		size += len(arg) + deploymentAllowance
	}
	for name, value := range spec.Env {
		size += len(name) + len(value) + deploymentAllowance
	}
	return size
}

// slotState is what is known of a slot of the job.
type slotState int

const (
	slotIdle      slotState = iota
	slotDeploying           // an attempt is, or will be, on its way there
	slotRunning             // its worker has said that the attempt runs
)

// slot is one that the job holds.
type slot struct {
	name   gateway.Slot
	worker *worker
	state  slotState
	// subtask is the one whose attempt it is for, unless it is idle.
	subtask   *subtask
	idleSince time.Time
}

// worker is one registration of a worker, and what is to be told there.
type worker struct {
	who    gateway.Worker
	serial int
	at     gateway.TaskExecutor
	hangUp func()
	labels map[string]string
	// fits says for each group whether its subtasks may run here.
	fits  []bool
	slots map[gateway.Slot]*slot
	idle  []*slot

	// deploy, cancel and free are for the next exchange; batch is what deploy takes, in
	// bytes, and full that nothing more goes in.
	deploy []*slot
	batch  int
	full   bool
	cancel []gateway.AttemptID
	free   []gateway.Slot
	// owes is the newest change that the worker has reported: it keeps the end until
	// that is recorded.
	owes *change
	// talking says that an exchange is under way, with the things in told.
	talking bool
	told    told
	retry   backoff
	// troubled is since when exchanges fail, zero while they do not.
	troubled time.Time

	// beating says that a heartbeat is under way; heard is when the newest one that
	// was answered was sent.
	beating         bool
	nextBeat, heard time.Time
	missed          int
}

// told is what an exchange says.
type told struct {
	deploy []*slot
	cancel []gateway.AttemptID
	free   []gateway.Slot
}

// pool holds the workers that are registered, and their slots.
type pool struct {
	byID     map[string]*worker
	bySerial map[int]*worker
	// fleet has them in the order of their registrations, the newest last.
	fleet  []*worker
	serial int
	// flying counts the calls under way that deploy an attempt, while there are any: a
	// worker that forgot its end would run it again when one arrives. held are answers
	// that wait for that.
	flying map[gateway.AttemptID]int
	held   map[gateway.AttemptID][]*settlement
	// giveBack is how many slots the resource manager wants back, and from where, once for
	// the same labels.
	giveBack []gateway.Need
	// idleCheck is when an idle slot may have been so for long.
	idleCheck time.Time
}

func newPool() pool {
	return pool{
		byID: map[string]*worker{}, bySerial: map[int]*worker{},
		flying: map[gateway.AttemptID]int{}, held: map[gateway.AttemptID][]*settlement{},
	}
}

// hold lets an answer wait while a call is under way that deploys the attempt.
func (p *pool) hold(id gateway.AttemptID, st *settlement) {
	if p.flying[id] > 0 {
		st.left++
		p.held[id] = append(p.held[id], st)
	}
}

// landed notes that a call is over, and returns the answers that need not wait for it
// any more.
func (p *pool) landed(ds []gateway.Deployment) (released []*settlement) {
	for i := range ds {
		id := ds[i].Attempt
		if p.flying[id]--; p.flying[id] > 0 {
			continue
		}
		delete(p.flying, id)
		if held := p.held[id]; held != nil {
			released = append(released, held...)
			delete(p.held, id)
		}
	}
	return released
}

// known returns the registration of a worker, nil when that process has none.
func (p *pool) known(who gateway.Worker) *worker {
	if w := p.byID[who.ID]; w != nil && w.who.Instance == who.Instance {
		return w
	}
	return nil
}

func (p *pool) add(w *worker) {
	p.serial++
	w.serial = p.serial
	p.byID[w.who.ID], p.bySerial[w.serial] = w, w
	p.fleet = append(p.fleet, w)
}

func (p *pool) remove(w *worker) {
	if p.byID[w.who.ID] == w {
		delete(p.byID, w.who.ID)
	}
	delete(p.bySerial, w.serial)
	p.fleet = slices.DeleteFunc(p.fleet, func(o *worker) bool { return o == w })
}

// idled makes a slot one that the next subtask can have.
func (p *pool) idled(s *slot, now time.Time) {
	s.state, s.subtask, s.idleSince = slotIdle, nil, now
	s.worker.idle = append(s.worker.idle, s)
	if p.idleCheck.IsZero() {
		p.idleCheck = now.Add(idleGrace)
	}
}

// slots returns how many the job holds.
func (p *pool) slots() int {
	n := 0
	for _, w := range p.fleet {
		n += len(w.slots)
	}
	return n
}

// keeps says that the worker must not lose one more slot: it keeps ends that are not
// recorded, and a leader that takes over waits for those that hold slots.
func (w *worker) keeps() bool { return w.owes != nil && !w.owes.recorded && len(w.slots) <= 1 }

// drop gives a slot back that is not in the list of the idle ones.
func (w *worker) drop(s *slot) {
	delete(w.slots, s.name)
	w.free = append(w.free, s.name)
}

// gone says whether a slot was given back, or is to be.
func (w *worker) gone(name gateway.Slot) bool {
	return slices.Contains(w.free, name) || slices.Contains(w.told.free, name)
}

// readyFor counts the subtasks that wait for a slot and may have one of the worker's.
func (c *core) readyFor(w *worker) int {
	n := 0
	for i, g := range c.groups {
		if w.fits[i] {
			n += g.ready.count
		}
	}
	return n
}

// assign gives empty slots to ready subtasks, by turns among the workers that can be
// told of it now.
func (c *core) assign(now time.Time) {
	ready := 0
	for _, g := range c.groups {
		ready += g.ready.count
	}
	for assigned := true; assigned && ready > 0; {
		assigned = false
		for _, w := range c.pool.fleet {
			if len(w.idle) > 0 && !w.talking && !w.full && w.retry.over(now) && c.assignOne(w) {
				assigned = true
				ready--
			}
		}
	}
}

// assignOne gives one empty slot of the worker to a ready subtask, if one fits.
func (c *core) assignOne(w *worker) bool {
	for i, g := range c.groups {
		if g.ready.count == 0 || !w.fits[i] {
			continue
		}
		s := g.ready.pop()
		size := s.task.size + s.task.inputSize
		if len(w.deploy) > 0 && (w.batch+size > maxBatch || len(w.deploy) == maxBatchSize) {
			w.full = true
			g.ready.pushFront(s)
			return false
		}
		sl := w.idle[len(w.idle)-1]
		w.idle = w.idle[:len(w.idle)-1]
		w.deploy = append(w.deploy, sl)
		w.batch += size
		c.deploy(s, sl)
		return true
	}
	return false
}

// deploy begins the next attempt of a subtask.
func (c *core) deploy(s *subtask, sl *slot) {
	s.attempt = gateway.AttemptID{Job: c.id, Task: s.task.spec.ID, Subtask: s.index, Epoch: c.epoch, N: s.attempt.N + 1}
	c.occupy(s, sl, slotDeploying)
	s.status = job.SubtaskDeploying
	c.stats.deployments.Add(1)
	c.view.change(s, func(v *job.SubtaskSnapshot) {
		*v = job.SubtaskSnapshot{Index: s.index, Status: s.status, Attempt: s.attempt.N, Epoch: int64(c.epoch), Worker: sl.worker.who.ID}
	})
}

// occupy makes a subtask active in a slot.
func (c *core) occupy(s *subtask, sl *slot, state slotState) {
	s.place, s.slot, s.cancel = placeActive, sl, false
	sl.subtask, sl.state = s, state
	s.task.group.active++
	c.active++
}

// vacate makes a subtask inactive, and its slot idle.
func (c *core) vacate(s *subtask, now time.Time) {
	sl := s.slot
	c.deactivate(s)
	if sl != nil {
		c.pool.idled(sl, now)
	}
}

// deactivate makes a subtask inactive and leaves the slot to the caller.
func (c *core) deactivate(s *subtask) {
	s.place, s.slot, s.cancel = placeNone, nil, false
	s.task.group.active--
	c.active--
}

// supersede gives up an attempt that runs, because there is a newer one. Its slot
// goes when it has ended.
func (c *core) supersede(s *subtask) {
	if sl := s.slot; sl != nil {
		sl.worker.cancel = append(sl.worker.cancel, s.attempt)
		sl.worker.drop(sl)
		sl.subtask, sl.state = nil, slotIdle
	}
	c.deactivate(s)
}

// want notes how many slots the resource manager wants back, in place of what it wanted of
// the same labels.
func (p *pool) want(n gateway.Need) {
	p.giveBack = slices.DeleteFunc(p.giveBack, func(o gateway.Need) bool { return maps.Equal(o.Requires, n.Requires) })
	if n.Count = min(n.Count, p.slots()); n.Count > 0 {
		p.giveBack = append(p.giveBack, n)
	}
}

// wanted says whether a slot of the worker is wanted back, and counts it as given.
func (p *pool) wanted(w *worker) bool {
	i := slices.IndexFunc(p.giveBack, func(n gateway.Need) bool { return has(w.labels, n.Requires) })
	if i < 0 {
		return false
	}
	if p.giveBack[i].Count--; p.giveBack[i].Count == 0 {
		p.giveBack = slices.Delete(p.giveBack, i, i+1)
	}
	return true
}

// giveSlotsBack gives empty slots back that the resource manager wants.
func (c *core) giveSlotsBack() {
	for _, w := range c.pool.fleet {
		for len(w.idle) > 0 && !w.keeps() && c.pool.wanted(w) {
			last := len(w.idle) - 1
			w.drop(w.idle[last])
			w.idle = w.idle[:last]
		}
	}
}

// freeIdle gives empty slots back that nothing has used for a while.
func (c *core) freeIdle(now time.Time) {
	if c.pool.idleCheck.IsZero() || now.Before(c.pool.idleCheck) {
		return
	}
	c.pool.idleCheck = time.Time{}
	check := func(at time.Time) {
		if c.pool.idleCheck.IsZero() || at.Before(c.pool.idleCheck) {
			c.pool.idleCheck = at
		}
	}
	for _, w := range c.pool.fleet {
		useful := len(w.idle) > 0 && c.readyFor(w) > 0
		w.idle = slices.DeleteFunc(w.idle, func(s *slot) bool {
			switch until := s.idleSince.Add(idleGrace); {
			case useful, w.keeps():
				check(now.Add(idleGrace))
			case now.Before(until):
				check(until)
			default:
				w.drop(s)
				return true
			}
			return false
		})
	}
}

// freeAll gives the empty slots back.
func (c *core) freeAll() {
	for _, w := range c.pool.fleet {
		for len(w.idle) > 0 && !w.keeps() {
			last := len(w.idle) - 1
			w.drop(w.idle[last])
			w.idle = w.idle[:last]
		}
	}
}
