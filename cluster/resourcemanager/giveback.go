package resourcemanager

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// asked is what a job's master was asked to give back and has not given back yet, by what
// it must be good for.
type asked map[string]*claim

type claim struct {
	requires map[string]string
	n        int
	// at is when the master was asked last.
	at time.Time
}

func (a asked) total() int {
	n := 0
	for _, one := range a {
		n += one.n
	}
	return n
}

// more counts one slot more for the demand with the key.
func (a asked) more(key string, requires map[string]string, now time.Time) {
	one := a[key]
	if one == nil {
		one = &claim{requires: requires}
		a[key] = one
	}
	one.n++
	one.at = now
}

// returned notes that a slot of the kind came back, or is gone: one of those asked for, if
// it is good for what they were asked for.
func (a asked) returned(k *kind) {
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if one := a[key]; k.has(one.requires) {
			if one.n--; one.n == 0 {
				delete(a, key)
			}
			return
		}
	}
}

// equalize finds slots for the demands that got none: of jobs that have at least two
// more, so that both come nearer to their share. A demand that is overdue gets one of a
// job that has held slots as long, whatever the shares.
func (r *round) equalize() {
	e := &equalizer{round: r, shares: make(map[*poolJob]int), asks: make(map[giverKey]*poolJob)}
	for _, key := range slices.Sorted(maps.Keys(r.classes)) {
		if c := r.classes[key]; len(c.starved) > 0 && !c.resting {
			e.class(key, c)
		}
	}
	for k, j := range e.asks {
		one := j.asked[k.class]
		r.asks = append(r.asks, giveBack{job: k.job, need: gateway.Need{Requires: one.requires, Count: one.n}})
	}
	slices.SortFunc(r.asks, func(a, b giveBack) int {
		return cmp.Or(cmp.Compare(a.job, b.job), cmp.Compare(labelKey(a.need.Requires), labelKey(b.need.Requires)))
	})
}

type equalizer struct {
	*round
	// shares are the jobs' slots as they will be when all that was asked for is given.
	shares map[*poolJob]int
	// asks are those that have changed.
	asks map[giverKey]*poolJob
}

type giverKey struct {
	job   job.ID
	class string
}

func (e *equalizer) share(j *poolJob) int {
	n, known := e.shares[j]
	if !known {
		n = j.count - min(j.asked.total(), j.count)
		e.shares[j] = n
	}
	return n
}

// class serves the starved demands of one class.
func (e *equalizer) class(key string, c *class) {
	givers, promised := e.givers(key, c)
	q := &hungerHeap{all: c.starved}
	for _, h := range q.all {
		h.has = e.share(h.job)
	}
	heap.Init(q)
	for q.Len() > 0 {
		h := q.all[0]
		if now := e.share(h.job); h.has != now {
			h.has = now
			heap.Fix(q, 0)
			continue
		}
		if promised > 0 {
			promised--
		} else if g := e.giver(givers, h); g != nil {
			g.job.asked.more(key, c.requires, e.now)
			e.asks[giverKey{g.job.id, key}] = g.job
			e.shares[g.job]--
			g.left--
		} else {
			heap.Pop(q)
			continue
		}
		e.shares[h.job]++
		h.promised++
		h.overdue = false
		if h.promised == h.demand.lacks() {
			heap.Pop(q)
		}
	}
}

// giver is a job that holds slots which are good for a class.
type giver struct {
	job *poolJob
	// left is how many it holds and was not asked for, share its place in the heap.
	left, share int
}

// givers returns who holds slots that are good for the class, and how many of these have
// been asked for already.
func (e *equalizer) givers(key string, c *class) (*giverHeap, int) {
	holds := make(map[*poolJob]int)
	for _, k := range e.pool.kinds {
		if !k.has(c.requires) {
			continue
		}
		for w := range k.workers {
			if w.closed {
				continue // what comes back there helps nobody
			}
			for id, n := range w.byJob {
				holds[e.pool.jobs[id]] += n
			}
		}
	}
	promised := 0
	q := &giverHeap{}
	for _, j := range e.pool.jobs {
		if one := j.asked[key]; one != nil {
			if due := one.at.Add(e.pool.patience); e.now.Before(due) {
				// What is on workers that drain does not help.
				promised += min(one.n, holds[j])
				e.later(due)
			} else {
				delete(j.asked, key) // perhaps the master does not know of it any more
			}
		}
		if left := holds[j] - j.asked.total(); left > 0 && j.known {
			if j.rest.over(e.now) {
				q.all = append(q.all, &giver{job: j, left: left, share: e.share(j)})
			} else {
				e.later(j.rest.until)
			}
		}
	}
	heap.Init(q)
	return q, promised
}

// giver returns who is to give a slot back for h, nil when nobody needs to, now.
func (e *equalizer) giver(q *giverHeap, h *hunger) *giver {
	g := e.richest(q, h.job)
	if d := h.demand; d.dry && h.promised == 0 && !h.overdue {
		e.later(d.since.Add(e.pool.patience))
	}
	switch {
	case g == nil:
		return nil
	case g.share-e.share(h.job) >= 2:
		return g
	case h.overdue:
		if due := g.job.served.Add(e.pool.patience); e.now.Before(due) {
			e.later(due)
			return nil
		}
		return g
	default:
		return nil
	}
}

// richest returns the giver with the largest share that is not the job itself.
func (e *equalizer) richest(q *giverHeap, not *poolJob) *giver {
	var own *giver
	defer func() {
		if own != nil {
			heap.Push(q, own)
		}
	}()
	for q.Len() > 0 {
		g := q.all[0]
		switch share := e.share(g.job); {
		case g.left == 0:
			heap.Pop(q)
		case g.share != share:
			g.share = share
			heap.Fix(q, 0)
		case g.job == not:
			own = g
			heap.Pop(q)
		default:
			return g
		}
	}
	return nil
}

// giverHeap has the largest share first, and of equal ones whoever has been served
// longest.
type giverHeap struct{ all []*giver }

// Len implements heap.Interface.
func (q *giverHeap) Len() int { return len(q.all) }

// Less implements heap.Interface.
func (q *giverHeap) Less(i, k int) bool {
	a, b := q.all[i], q.all[k]
	return cmp.Or(cmp.Compare(b.share, a.share), a.job.served.Compare(b.job.served), cmp.Compare(a.job.id, b.job.id)) < 0
}

// Swap implements heap.Interface.
func (q *giverHeap) Swap(i, k int) { q.all[i], q.all[k] = q.all[k], q.all[i] }

// Push implements heap.Interface.
func (q *giverHeap) Push(x any) { q.all = append(q.all, x.(*giver)) } //nolint:forcetypeassert // nothing else is pushed

// Pop implements heap.Interface.
func (q *giverHeap) Pop() any {
	last := len(q.all) - 1
	g := q.all[last]
	q.all = q.all[:last]
	return g
}
