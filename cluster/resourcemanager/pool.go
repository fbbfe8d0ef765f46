package resourcemanager

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// pool is the slot manager: which worker has which slots, who holds them, and who
// wants some. It does no I/O and reads no clock: what happened goes in through its
// methods, and decide says what is to be done about it. It belongs to one goroutine.
type pool struct {
	workers map[string]*poolWorker
	jobs    map[job.ID]*poolJob
	kinds   map[string]*kind
	// tick counts what is learnt of slots, so that a report which is older than
	// something that was learnt since does not undo it.
	tick uint64
	// patience is how long a job goes without any slot before somebody has to hand one
	// over who has no more than its share.
	patience time.Duration
	// stale are the jobs whose demands are to be matched with their slots again.
	stale map[*poolJob]struct{}
	// changed says that decide may have something new to say.
	changed bool
}

// kind is all workers with the same labels.
type kind struct {
	key     string
	labels  map[string]string
	workers map[*poolWorker]struct{}
}

// poolWorker is a worker whose slots are known.
type poolWorker struct {
	id   string
	kind *kind
	// slots is how many it has. closed says that it gets no more requests.
	slots  int
	closed bool
	held   map[gateway.Slot]holding
	// byJob counts held by job.
	byJob map[job.ID]int
	// pending are the slots that were asked for and not answered, waiting their sum.
	pending map[job.ID]int
	waiting int
	// gone are slots that were freed, and when, until a report is known to be newer.
	gone map[gateway.Slot]uint64
	rest pause
}

// holding is a slot that a job holds, and when that was learnt.
type holding struct {
	job    job.ID
	learnt uint64
	since  time.Time
}

// free is how many slots can be asked for.
func (w *poolWorker) free() int { return max(w.slots-w.used(), 0) }

func (w *poolWorker) used() int { return len(w.held) + w.waiting }

// poolJob is a job that has slots, wants some, or both.
type poolJob struct {
	id job.ID
	// count is how many slots it holds or was promised by a request under way.
	count int
	// on counts those that it holds by worker, kinds all of count by kind.
	on    map[string]int
	kinds map[*kind]int
	// known says that it has a master, whose needs are demands.
	known   bool
	demands []*demand
	// served is since when it has held slots without a break.
	served time.Time
	// asked is what its master was asked to give back.
	asked asked
	// rest keeps the master from being asked to give back, refused the job from being
	// given more, when that led to nothing.
	rest    pause
	refused pause
}

// demand is a part of a job's needs: slots on workers with the same labels.
type demand struct {
	key      string
	requires map[string]string
	// count is how many slots the job can use, assigned how many of its slots count as
	// these.
	count, assigned int
	// dry says that the job has no slot at all that is good for it.
	dry bool
	// since is when it began to wait: when it first lacked a slot, got the last one, or
	// lost all of them.
	since time.Time
}

func (d *demand) lacks() int { return max(d.count-d.assigned, 0) }

func newPool(patience time.Duration) *pool {
	return &pool{
		workers: make(map[string]*poolWorker), jobs: make(map[job.ID]*poolJob),
		kinds: make(map[string]*kind), stale: make(map[*poolJob]struct{}), patience: patience,
	}
}

// setWorker makes a worker known with what it reports, in place of what was known. What
// was asked of it before is not expected any more.
func (p *pool) setWorker(id string, labels map[string]string, r gateway.WorkerReport, closed bool, now time.Time) {
	p.dropWorker(id)
	p.tick++
	w := &poolWorker{
		id: id, kind: p.kindOf(labels), slots: r.Slots, closed: closed || r.Draining,
		held: make(map[gateway.Slot]holding), byJob: make(map[job.ID]int),
		pending: make(map[job.ID]int), gone: make(map[gateway.Slot]uint64),
	}
	w.kind.workers[w] = struct{}{}
	p.workers[id] = w
	for _, a := range r.Allocated {
		p.hold(w, a.Slot, a.Job, now)
	}
	p.changed = true
}

// dropWorker forgets a worker with all its slots. It returns the jobs that held some, or
// had asked for some.
func (p *pool) dropWorker(id string) []job.ID {
	w := p.workers[id]
	if w == nil {
		return nil
	}
	affected := make(map[job.ID]struct{}, len(w.byJob))
	for slot, h := range w.held {
		affected[h.job] = struct{}{}
		p.release(w, slot)
		// Perhaps this was to be given back: better ask twice than wait for ever.
		p.jobs[h.job].asked.returned(w.kind)
	}
	for id, n := range w.pending {
		affected[id] = struct{}{}
		p.count(p.jobs[id], w, -n)
	}
	delete(p.workers, id)
	delete(w.kind.workers, w)
	if len(w.kind.workers) == 0 {
		delete(p.kinds, w.kind.key)
	}
	for id := range affected {
		p.tidy(p.jobs[id])
	}
	p.changed = true
	return slices.Sorted(maps.Keys(affected))
}

// close keeps a worker from getting further requests, or lets it get them again.
func (p *pool) close(id string, closed bool) {
	if w := p.workers[id]; w != nil && w.closed != closed {
		w.closed, p.changed = closed, true
	}
}

// report takes over what a worker says of itself. asked is the tick at which it was
// asked: what was learnt afterwards, the report may not know.
func (p *pool) report(id string, asked uint64, r gateway.WorkerReport, now time.Time) {
	w := p.workers[id]
	if w == nil {
		return
	}
	if w.slots != r.Slots {
		w.slots, p.changed = r.Slots, true
	}
	has := make(map[gateway.Slot]job.ID, len(r.Allocated))
	for _, a := range r.Allocated {
		has[a.Slot] = a.Job
	}
	for slot, h := range w.held {
		if owner, there := has[slot]; h.learnt <= asked && (!there || owner != h.job) {
			p.free(w, slot, now)
		}
	}
	maps.DeleteFunc(w.gone, func(_ gateway.Slot, when uint64) bool { return when <= asked })
	for slot, owner := range has {
		if _, gone := w.gone[slot]; !gone {
			p.hold(w, slot, owner, now)
		}
	}
}

// freed notes that slots of a worker belong to nobody any more.
func (p *pool) freed(id string, freed []gateway.Slot, now time.Time) {
	w := p.workers[id]
	if w == nil {
		return
	}
	for _, slot := range freed {
		p.tick++
		p.free(w, slot, now)
		w.gone[slot] = p.tick
	}
}

// answered notes the answer to a request: the slots that the worker allocated of as many
// as were asked for, none if it failed.
func (p *pool) answered(id string, owner job.ID, asked int, got []gateway.Slot, now time.Time) {
	w := p.workers[id]
	if w == nil || w.pending[owner] < asked {
		return
	}
	p.tick++
	w.pending[owner] -= asked
	w.waiting -= asked
	if w.pending[owner] == 0 {
		delete(w.pending, owner)
	}
	j := p.jobs[owner]
	p.count(j, w, -asked)
	for _, slot := range got {
		if _, gone := w.gone[slot]; !gone {
			p.hold(w, slot, owner, now)
		}
	}
	if len(got) < asked {
		w.rest.extend(now)
	} else {
		w.rest = pause{}
	}
	p.tidy(j)
	p.changed = true
}

// setNeeds replaces what a job can use.
func (p *pool) setNeeds(id job.ID, needs []gateway.Need) {
	j := p.jobOf(id)
	former := make(map[string]*demand, len(j.demands))
	for _, d := range j.demands {
		former[d.key] = d
	}
	byKey := make(map[string]*demand, len(needs))
	for _, n := range needs {
		key := labelKey(n.Requires)
		if byKey[key] == nil {
			byKey[key] = &demand{key: key, requires: n.Requires}
			if old := former[key]; old != nil {
				byKey[key].since, byKey[key].dry = old.since, old.dry
			}
		}
		byKey[key].count += n.Count
	}
	j.known, j.demands = true, nil
	p.stale[j] = struct{}{}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		j.demands = append(j.demands, byKey[key])
	}
	p.changed = true
}

// dropNeeds notes that a job has no master any more. What it holds stays its own.
func (p *pool) dropNeeds(id job.ID) {
	if j := p.jobs[id]; j != nil {
		j.known, j.demands, j.asked = false, nil, make(asked)
		p.tidy(j)
		p.changed = true
	}
}

// notAsked notes that a master could not be asked to give slots back.
func (p *pool) notAsked(a giveBack, now time.Time) {
	if j := p.jobs[a.job]; j != nil {
		delete(j.asked, labelKey(a.need.Requires))
		j.rest.extend(now)
		p.changed = true
	}
}

// holders returns the workers on which a job holds slots, by ID.
func (p *pool) holders(id job.ID) []string {
	j := p.jobs[id]
	if j == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(j.on))
}

// hold enters a slot that a job holds, if it is not known.
func (p *pool) hold(w *poolWorker, slot gateway.Slot, owner job.ID, now time.Time) {
	if _, known := w.held[slot]; known {
		return
	}
	p.tick++
	w.held[slot] = holding{owner, p.tick, now}
	w.byJob[owner]++
	j := p.jobOf(owner)
	if len(j.on) == 0 {
		j.served = now
	}
	j.on[w.id]++
	p.count(j, w, 1)
	p.changed = true
}

// free is release for a slot that the job gave up by itself. A job that gives up at once
// what it still needs has refused it, and waits before it gets more.
func (p *pool) free(w *poolWorker, slot gateway.Slot, now time.Time) {
	h, known := w.held[slot]
	if !known {
		return
	}
	p.release(w, slot)
	j := p.jobs[h.job]
	j.asked.returned(w.kind)
	switch {
	case now.Sub(h.since) >= refusal:
		j.refused = pause{}
	case j.wants() > j.count:
		j.refused.extend(now)
	}
	p.tidy(j)
	p.changed = true
}

// release takes a slot from the job that holds it.
func (p *pool) release(w *poolWorker, slot gateway.Slot) {
	h := w.held[slot]
	delete(w.held, slot)
	if w.byJob[h.job]--; w.byJob[h.job] == 0 {
		delete(w.byJob, h.job)
	}
	j := p.jobs[h.job]
	if j.on[w.id]--; j.on[w.id] == 0 {
		delete(j.on, w.id)
	}
	p.count(j, w, -1)
}

// count notes that a job has n slots more of a worker's kind, held or promised.
func (p *pool) count(j *poolJob, w *poolWorker, n int) {
	j.count += n
	j.kinds[w.kind] += n
	if j.kinds[w.kind] == 0 {
		delete(j.kinds, w.kind)
	}
	p.stale[j] = struct{}{}
}

// tidy forgets a job that has no slots and no master.
func (p *pool) tidy(j *poolJob) {
	if j.count == 0 && !j.known {
		delete(p.jobs, j.id)
	}
}

func (p *pool) jobOf(id job.ID) *poolJob {
	j := p.jobs[id]
	if j == nil {
		j = &poolJob{id: id, on: make(map[string]int), kinds: make(map[*kind]int), asked: make(asked)}
		p.jobs[id] = j
	}
	return j
}

func (p *pool) kindOf(labels map[string]string) *kind {
	key := labelKey(labels)
	k := p.kinds[key]
	if k == nil {
		k = &kind{key: key, labels: labels, workers: make(map[*poolWorker]struct{})}
		p.kinds[key] = k
	}
	return k
}

// has reports whether workers of the kind have all labels.
func (k *kind) has(labels map[string]string) bool {
	for name, value := range labels {
		if got, there := k.labels[name]; !there || got != value {
			return false
		}
	}
	return true
}

// labelKey is the same for equal labels only: neither names nor values hold these signs.
func labelKey(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "=" + labels[name] + ",")
	}
	return b.String()
}
