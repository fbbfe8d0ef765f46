package resourcemanager

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// chaos is a field in which answers take their time, get lost, and bring less than was
// asked for.
type chaos struct {
	*field
	t        *rapid.T
	inFlight []request
	// given is what was asked back and not given yet.
	given []giveBack
	need  map[job.ID][]gateway.Need
	// reports are those under way, with the tick at which they were asked for.
	reports []report
}

type report struct {
	worker string
	asked  uint64
	gateway.WorkerReport
}

func (c *chaos) label() []string {
	return rapid.SampledFrom([][]string{nil, {"gpu", "true"}, {"zone", "north"}, {"gpu", "true", "zone", "north"}}).Draw(c.t, "labels")
}

func (c *chaos) jobID() job.ID {
	return job.ID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(c.t, "job"))
}

// some picks a worker that is there, "" without any.
func (c *chaos) some() string {
	ids := slices.Sorted(maps.Keys(c.workers))
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(c.t, "worker")
}

func (c *chaos) decideAndCheck() {
	d := c.decide(c.now)
	for _, r := range d.requests {
		w := c.workers[r.worker]
		if w == nil || w.closed || r.n < 1 || w.used() > w.slots {
			c.t.Fatalf("%d slots requested of %s, which is %+v", r.n, r.worker, w)
		}
		j := c.jobs[r.job]
		if !slices.ContainsFunc(j.demands, func(d *demand) bool { return w.kind.has(d.requires) }) {
			c.t.Fatalf("job %s needs %v and gets slots of a worker with %v", r.job, c.need[r.job], w.kind.labels)
		}
		if used := best(j); used != j.used() || used > j.wants() {
			c.t.Fatalf("job %s gets a slot that it cannot use: it has %v, of which %d count, and %d can be used for %v",
				r.job, j.kinds, j.used(), used, c.need[r.job])
		}
	}
	for _, a := range d.asks {
		if j := c.jobs[a.job]; !j.known || a.need.Count < 1 || j.asked.total() > j.count {
			c.t.Fatalf("job %s is asked for %d slots, %d in all, and has %d", a.job, a.need.Count, j.asked.total(), j.count)
		}
	}
	if !d.again.IsZero() && !d.again.After(c.now) {
		c.t.Fatalf("to be asked again at %s, and it is %s", d.again, c.now)
	}
	c.inFlight = append(c.inFlight, d.requests...)
	c.given = append(c.given, d.asks...)
	c.checkCounts()
}

// best is how many of a job's slots can be used for its needs, found without matching
// anything: the least, over all sets of demands, of the slots that are good for any of
// the set, and what the others want.
func best(j *poolJob) int {
	least := j.wants()
	for set := range 1 << len(j.demands) {
		// Demands of the set get at most the slots that are good for any of them, the
		// others at most what they want.
		n := 0
		for k, slots := range j.kinds {
			for i, d := range j.demands {
				if set&(1<<i) != 0 && k.has(d.requires) {
					n += slots
					break
				}
			}
		}
		for i, d := range j.demands {
			if set&(1<<i) == 0 {
				n += d.count
			}
		}
		least = min(least, n)
	}
	return least
}

// checkCounts compares what the pool counts with what it holds.
func (c *chaos) checkCounts() {
	count := make(map[job.ID]int)
	for id, w := range c.workers {
		waiting := 0
		for owner, n := range w.pending {
			waiting += n
			count[owner] += n
		}
		if waiting != w.waiting {
			c.t.Fatalf("worker %s has %d pending slots and counts %d", id, waiting, w.waiting)
		}
		for _, h := range w.held {
			count[h.job]++
		}
	}
	for id, j := range c.jobs {
		byKind := 0
		for _, n := range j.kinds {
			byKind += n
		}
		if j.count != count[id] || byKind != count[id] {
			c.t.Fatalf("job %s counts %d slots, %d by kind, and has %d", id, j.count, byKind, count[id])
		}
		if j.count == 0 && !j.known {
			c.t.Fatalf("job %s is kept and has neither slots nor a master", id)
		}
		delete(count, id)
	}
	if len(count) > 0 {
		c.t.Fatalf("slots of jobs that are not known: %v", count)
	}
}

// answer answers a request, with less than was asked for if it fails.
func (c *chaos) answer(r request, fail bool) {
	c.sent++
	var got []gateway.Slot
	for range r.n {
		if len(c.slots[r.worker]) >= c.size[r.worker] {
			break
		}
		c.names++
		slot := gateway.Slot(fmt.Sprintf("slot-%06d", c.names))
		c.slots[r.worker][slot] = r.job
		if !fail {
			got = append(got, slot)
		}
	}
	c.answered(r.worker, r.job, r.n, got, c.now)
}

func (c *chaos) heartbeat(id string) report {
	r := report{worker: id, asked: c.tick, WorkerReport: gateway.WorkerReport{Slots: c.size[id]}}
	for _, slot := range slices.Sorted(maps.Keys(c.slots[id])) {
		r.Allocated = append(r.Allocated, gateway.Allocation{Slot: slot, Job: c.slots[id][slot]})
	}
	return r
}

func (c *chaos) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"worker registers": func(t *rapid.T) {
			id := rapid.SampledFrom([]string{"w1", "w2", "w3"}).Draw(t, "worker")
			c.leave(id)
			c.worker(id, rapid.IntRange(0, 5).Draw(t, "slots"), c.label()...)
		},
		"worker is lost": func(*rapid.T) { c.leave(c.some()) },
		"worker drains":  func(*rapid.T) { c.close(c.some(), true) },
		"job needs": func(t *rapid.T) {
			id := c.jobID()
			c.need[id] = nil
			for range rapid.IntRange(0, 3).Draw(t, "needs") {
				c.need[id] = append(c.need[id], need(rapid.IntRange(0, 6).Draw(t, "count"), c.label()...))
			}
			// A master frees what it needs no more before it says so, at the latest soon.
			c.setNeeds(id, c.need[id])
			for c.jobs[id].count > c.jobs[id].wants() && c.freeOne(id) {
				c.pass(refusal)
			}
		},
		"master goes": func(*rapid.T) { c.dropNeeds(c.jobID()) },
		"answer": func(t *rapid.T) {
			if len(c.inFlight) > 0 {
				i := rapid.IntRange(0, len(c.inFlight)-1).Draw(t, "which")
				r := c.inFlight[i]
				c.inFlight = slices.Delete(c.inFlight, i, i+1)
				c.answer(r, rapid.IntRange(0, 4).Draw(t, "fails") == 0)
			}
		},
		"give back": func(*rapid.T) { c.giveAll() },
		"heartbeat asked": func(*rapid.T) {
			if id := c.some(); id != "" {
				c.reports = append(c.reports, c.heartbeat(id))
			}
		},
		"heartbeat answered": func(*rapid.T) {
			if len(c.reports) > 0 {
				r := c.reports[0]
				c.reports = c.reports[1:]
				c.report(r.worker, r.asked, r.WorkerReport, c.now)
			}
		},
		"time passes": func(t *rapid.T) { c.pass(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second) },
		"":            func(*rapid.T) { c.decideAndCheck() },
	}
}

// leave forgets a worker, and with it what it was asked.
func (c *chaos) leave(id string) {
	c.dropWorker(id)
	delete(c.slots, id)
	delete(c.size, id)
	c.inFlight = slices.DeleteFunc(c.inFlight, func(r request) bool { return r.worker == id })
	c.reports = slices.DeleteFunc(c.reports, func(r report) bool { return r.worker == id })
}

// freeOne has a job free any of its slots.
func (c *chaos) freeOne(id job.ID) bool {
	before := c.names + c.has(id)
	c.giveOne(giveBack{job: id})
	return c.names+c.has(id) < before
}

func (c *chaos) giveAll() {
	for _, a := range c.given {
		if j := c.jobs[a.job]; j != nil && j.known {
			for range a.need.Count {
				c.giveOne(a)
			}
		}
	}
	c.given = nil
}

// calm answers everything until nothing is decided any more.
func (c *chaos) calm() {
	for range 20 {
		for _, id := range slices.Sorted(maps.Keys(c.workers)) {
			r := c.heartbeat(id)
			c.report(id, r.asked, r.WorkerReport, c.now)
		}
		for _, id := range slices.Sorted(maps.Keys(c.jobs)) {
			// What came after the needs had shrunk is not kept.
			for j := c.jobs[id]; j != nil && j.known && j.count > j.wants() && c.freeOne(id); {
				c.pass(0)
			}
		}
		c.calmOnce()
	}
}

// everyTurn is how often everything is answered before everybody must have had a turn: time
// for 15 demands to wait for one another.
const everyTurn = 100

// TestWhateverHappensSlotsAreGivenRightly holds after each of many random events that
// nothing is promised which is not there or not wanted, and that all of it adds up; and
// when it has become calm that everybody has a share.
func TestWhateverHappensSlotsAreGivenRightly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chaos{field: newField(), t: t, need: make(map[job.ID][]gateway.Need)}
		t.Repeat(c.actions())
		c.reports = nil
		c.calm()
		served := make(map[*demand]bool)
		for range everyTurn { // with more demands than slots they take turns
			for _, j := range c.jobs {
				for _, d := range j.demands {
					served[d] = served[d] || j.holdsFor(d)
				}
			}
			c.calmOnce()
		}
		c.checkShares(served)
	})
}

// String describes the pool.
func (c *chaos) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(c.workers)) {
		w := c.workers[id]
		fmt.Fprintf(&b, "\nworker %s: %d slots with %v, closed %v, held %v, pending %v", id, w.slots, w.kind.labels, w.closed, w.byJob, w.pending)
	}
	for _, id := range slices.Sorted(maps.Keys(c.jobs)) {
		j := c.jobs[id]
		fmt.Fprintf(&b, "\njob %s: %d slots, asked for %d, served for %s", id, j.count, j.asked.total(), c.now.Sub(j.served))
		for _, d := range j.demands {
			fmt.Fprintf(&b, ", %d of %d %v, waits for %s", d.assigned, d.count, d.requires, c.now.Sub(d.since))
		}
	}
	return b.String()
}

func (c *chaos) calmOnce() {
	for _, r := range c.inFlight {
		c.answer(r, false)
	}
	c.inFlight = nil
	c.giveAll()
	c.decideAndCheck()
	c.pass(patience / 4)
}

func (c *chaos) checkShares(served map[*demand]bool) {
	for id, j := range c.jobs {
		for name, w := range c.workers {
			if w.closed || w.free() == 0 || !w.rest.over(c.now) || !j.refused.over(c.now) {
				continue
			}
			before := best(j)
			j.kinds[w.kind]++
			if best(j) > before {
				c.t.Fatalf("job %s has %v for its needs %v, and worker %s a free slot with %v", id, j.kinds, c.need[id], name, w.kind.labels)
			}
			if j.kinds[w.kind]--; j.kinds[w.kind] == 0 {
				delete(j.kinds, w.kind)
			}
		}
		for _, d := range j.demands {
			if d.lacks() == 0 {
				continue
			}
			possible := false
			for _, w := range c.workers {
				if w.closed || !w.kind.has(d.requires) || w.slots == 0 {
					continue
				}
				// Slots of jobs without a master are nobody's to give.
				for owner := range w.byJob {
					possible = possible || c.jobs[owner].known
				}
			}
			if possible && !served[d] {
				c.t.Fatalf("job %s had no slot with %v for a long time, though others have:%s", id, d.requires, c)
			}
		}
	}
}

// TestSharesBecomeEqual holds that jobs come and go, and each one ends up with what it
// needs or with as much as everybody else, one more or less.
func TestSharesBecomeEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newField()
		f.patience = 1000 * time.Hour // no turns
		slots := 0
		for i := range rapid.IntRange(1, 5).Draw(t, "workers") {
			n := rapid.IntRange(1, 6).Draw(t, "slots")
			slots += n
			f.worker(fmt.Sprintf("w%d", i), n)
		}
		wants := make(map[job.ID]int)
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			id := job.ID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "job"))
			wants[id] = rapid.IntRange(0, 20).Draw(t, "need")
			for f.has(id) > wants[id] {
				f.giveOne(giveBack{job: id})
			}
			f.needs(id, need(wants[id]))
			f.settle(t)
		}
		used, most := 0, 0
		for id := range wants {
			used += f.has(id)
			most = max(most, f.has(id))
		}
		total := 0
		for id, n := range wants {
			total += n
			if got := f.has(id); got < n && got < most-1 {
				t.Fatalf("job %s has %d of %d slots, while another has %d", id, got, n, most)
			}
		}
		if used != min(total, slots) {
			t.Fatalf("%d slots are used, want %d: %d are needed and there are %d", used, min(total, slots), total, slots)
		}
	})
}
