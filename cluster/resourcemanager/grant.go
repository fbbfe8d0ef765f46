package resourcemanager

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// decision is what the pool wants done.
type decision struct {
	requests []request
	// asks are what masters are asked to give back.
	asks []giveBack
	// again is when to decide again though nothing has happened; zero means never.
	again time.Time
}

// request is slots to be asked of a worker for a job. The pool counts them as pending
// until answered is called for it, or the worker is set or dropped.
type request struct {
	worker string
	job    job.ID
	n      int
}

// giveBack is slots to be asked of a job's master for others: all that it has not given
// back of what it was asked for.
type giveBack struct {
	job  job.ID
	need gateway.Need
}

// decide gives free slots to the jobs that lack some, and finds out who has more than
// the share of those that go on lacking some.
func (p *pool) decide(now time.Time) decision {
	p.changed = false
	p.rematch(now)
	if len(p.workers) == 0 {
		return decision{} // a worker that comes is decided upon, whoever waits
	}
	r := &round{pool: p, now: now, classes: make(map[string]*class), requests: make(map[request]int)}
	hungry := r.hungry()
	if len(hungry.all) > 0 {
		r.open()
		r.grant(hungry)
		r.equalize()
	}
	return r.decision()
}

// rematch does so with all jobs whose needs or slots have changed.
func (p *pool) rematch(now time.Time) {
	for j := range p.stale {
		if j.known {
			j.rematch(now)
		}
	}
	p.stale = make(map[*poolJob]struct{}) // clear would take as long as for the most there ever were
}

// round is one run of decide.
type round struct {
	pool *pool
	now  time.Time
	// offers are the kinds with workers that have free slots, classes what is demanded.
	offers   []*offer
	classes  map[string]*class
	requests map[request]int // by worker and job
	asks     []giveBack
	again    time.Time
}

// later notes that the round may have another result at the given time.
func (r *round) later(at time.Time) {
	if at.After(r.now) && (r.again.IsZero() || at.Before(r.again)) {
		r.again = at
	}
}

// offer is the workers of a kind that have free slots, the least used first.
type offer struct {
	*kind
	workers workerHeap
}

// class is all demands for the same labels.
type class struct {
	requires map[string]string
	offers   []*offer
	// resting says that a worker with these labels has free slots and is left alone for
	// now: nobody needs to give anything back for it.
	resting bool
	starved []*hunger
}

// hunger is a job's demand that lacks slots.
type hunger struct {
	job    *poolJob
	demand *demand
	class  *class
	// overdue says that nothing at all was to be had for a long time: whoever waits
	// longest comes first then, whatever the job has of other kinds.
	overdue bool
	// has is the job's slots when its place in the heap was found.
	has int
	// promised is how many slots others were asked to give back for it.
	promised int
}

func (h *hunger) compare(o *hunger) int {
	switch {
	case h.overdue != o.overdue && h.overdue:
		return -1
	case h.overdue != o.overdue:
		return 1
	case h.overdue && !h.demand.since.Equal(o.demand.since):
		return h.demand.since.Compare(o.demand.since)
	case h.has != o.has:
		return cmp.Compare(h.has, o.has)
	case !h.demand.since.Equal(o.demand.since):
		return h.demand.since.Compare(o.demand.since)
	}
	return cmp.Or(cmp.Compare(h.job.id, o.job.id), cmp.Compare(h.demand.key, o.demand.key))
}

// overdue reports whether a demand has gone without any slot for too long.
func (r *round) overdue(d *demand) bool {
	return d.dry && !r.now.Before(d.since.Add(r.pool.patience))
}

// hungry returns all demands that lack slots, in no order.
func (r *round) hungry() *hungerHeap {
	q := &hungerHeap{}
	for _, j := range r.pool.jobs {
		for _, d := range j.demands {
			if d.lacks() == 0 {
				continue
			}
			if !j.refused.over(r.now) {
				r.later(j.refused.until)
				break
			}
			c := r.classes[d.key]
			if c == nil {
				c = &class{requires: d.requires}
				r.classes[d.key] = c
			}
			q.all = append(q.all, &hunger{job: j, demand: d, class: c, overdue: r.overdue(d), has: j.count})
		}
	}
	return q
}

// open finds the free slots.
func (r *round) open() {
	for _, k := range r.pool.kinds {
		o := &offer{kind: k}
		resting := false
		for w := range k.workers {
			switch {
			case w.closed || w.free() == 0:
			case !w.rest.over(r.now):
				resting = true
				r.later(w.rest.until)
			default:
				o.workers = append(o.workers, w)
			}
		}
		heap.Init(&o.workers)
		if len(o.workers) > 0 {
			r.offers = append(r.offers, o)
		}
		for _, c := range r.classes {
			if !k.has(c.requires) {
				continue
			}
			c.resting = c.resting || resting
			if len(o.workers) > 0 {
				c.offers = append(c.offers, o)
			}
		}
	}
}

// grant gives free slots one by one to whoever has the fewest.
func (r *round) grant(q *hungerHeap) {
	if len(r.offers) == 0 { // as ever when all are busy: whose turn it is does not matter
		for _, h := range q.all {
			h.class.starved = append(h.class.starved, h)
		}
		return
	}
	heap.Init(q)
	for q.Len() > 0 {
		h := q.all[0]
		if h.has != h.job.count { // another demand of the job got one since
			h.has = h.job.count
			heap.Fix(q, 0)
			continue
		}
		switch {
		case h.demand.lacks() == 0: // an exchange has met it
			heap.Pop(q)
		case r.grantOne(h):
			h.overdue = false
			heap.Fix(q, 0)
		case r.exchange(h):
			h.overdue = false
			heap.Init(q) // demands of the job have changed
		default:
			h.class.starved = append(h.class.starved, h)
			heap.Pop(q)
		}
	}
}

// grantOne has one slot requested of the worker that is used the least.
func (r *round) grantOne(h *hunger) bool {
	o := least(h.class.offers, nil)
	if o == nil {
		return false
	}
	r.request(h.job, o)
	d := h.demand
	d.assigned++
	if d.dry, d.since = false, r.now; d.lacks() == 0 {
		d.since = time.Time{}
	}
	return true
}

// exchange does the same for a job that has a slot which would do and is counted for
// another demand, if that one can have another slot.
func (r *round) exchange(h *hunger) bool {
	if h.demand.dry || len(h.job.demands) < 2 {
		return false
	}
	o := least(r.offers, h.job.gains)
	if o == nil {
		return false
	}
	r.request(h.job, o)
	h.job.rematch(r.now)
	return true
}

// least returns the offer of the worker that is used the least, of those that suit; nil
// without any. All suit a nil function.
func least(offers []*offer, suits func(*kind) bool) *offer {
	var best *offer
	for _, o := range offers {
		if len(o.workers) == 0 || best != nil && !o.workers[0].before(best.workers[0]) {
			continue
		}
		if suits == nil || suits(o.kind) {
			best = o
		}
	}
	return best
}

// request has a slot requested of the first worker of the offer.
func (r *round) request(j *poolJob, o *offer) {
	w := o.workers[0]
	r.requests[request{worker: w.id, job: j.id}]++
	w.pending[j.id]++
	w.waiting++
	j.count++
	j.kinds[w.kind]++
	if w.free() > 0 {
		heap.Fix(&o.workers, 0)
	} else {
		heap.Pop(&o.workers)
	}
}

// decision returns what the round came to, in an order that depends on it alone.
func (r *round) decision() decision {
	d := decision{asks: r.asks, again: r.again}
	for q, n := range r.requests {
		q.n = n
		d.requests = append(d.requests, q)
	}
	slices.SortFunc(d.requests, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.worker, b.worker), cmp.Compare(a.job, b.job))
	})
	return d
}

// before orders workers: the least used, by part of its slots, then the one with the
// fewest labels, so that those with more stay free for who requires them.
func (w *poolWorker) before(o *poolWorker) bool {
	if c := cmp.Compare(w.used()*o.slots, o.used()*w.slots); c != 0 {
		return c < 0
	}
	if c := cmp.Compare(len(w.kind.labels), len(o.kind.labels)); c != 0 {
		return c < 0
	}
	return cmp.Or(cmp.Compare(o.free(), w.free()), cmp.Compare(w.id, o.id)) < 0
}

// workerHeap has the least used worker first.
type workerHeap []*poolWorker

// Len implements heap.Interface.
func (h workerHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h workerHeap) Less(a, b int) bool { return h[a].before(h[b]) }

// Swap implements heap.Interface.
func (h workerHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }

// Push implements heap.Interface.
func (h *workerHeap) Push(x any) { *h = append(*h, x.(*poolWorker)) } //nolint:forcetypeassert // nothing else is pushed

// Pop implements heap.Interface.
func (h *workerHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	*h = (*h)[:last]
	return w
}

// hungerHeap has whoever comes next first.
type hungerHeap struct{ all []*hunger }

// Len implements heap.Interface.
func (q *hungerHeap) Len() int { return len(q.all) }

// Less implements heap.Interface.
func (q *hungerHeap) Less(a, b int) bool { return q.all[a].compare(q.all[b]) < 0 }

// Swap implements heap.Interface.
func (q *hungerHeap) Swap(a, b int) { q.all[a], q.all[b] = q.all[b], q.all[a] }

// Push implements heap.Interface.
func (q *hungerHeap) Push(x any) { q.all = append(q.all, x.(*hunger)) } //nolint:forcetypeassert // nothing else is pushed

// Pop implements heap.Interface.
func (q *hungerHeap) Pop() any {
	last := len(q.all) - 1
	h := q.all[last]
	q.all = q.all[:last]
	return h
}
