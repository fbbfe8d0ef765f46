package resourcemanager

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

const patience = 10 * time.Second

// field is a pool with workers and masters that do at once what they are asked.
type field struct {
	*pool
	now   time.Time
	names int
	// slots are what the workers really have allocated.
	slots map[string]map[gateway.Slot]job.ID
	size  map[string]int
	// failing are workers that answer no request, stuck jobs whose masters give nothing
	// back.
	failing map[string]bool
	stuck   map[job.ID]bool
	asks    int // how many slots masters were asked for
	sent    int // how many requests workers got
}

func newField() *field {
	return &field{
		pool: newPool(patience), now: time.Unix(1e9, 0), slots: make(map[string]map[gateway.Slot]job.ID),
		size: make(map[string]int), failing: make(map[string]bool), stuck: make(map[job.ID]bool),
	}
}

func (f *field) worker(id string, slots int, labels ...string) {
	f.slots[id], f.size[id] = make(map[gateway.Slot]job.ID), slots
	f.setWorker(id, pairs(labels), gateway.WorkerReport{Slots: slots}, false, f.now)
}

func pairs(list []string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// need is for n slots on workers with the labels.
func need(n int, labels ...string) gateway.Need {
	return gateway.Need{Requires: pairs(labels), Count: n}
}

func (f *field) needs(id job.ID, needs ...gateway.Need) { f.setNeeds(id, needs) }

// pass lets time go on.
func (f *field) pass(d time.Duration) { f.now = f.now.Add(d) }

// round decides once and does what was decided.
func (f *field) round() decision {
	d := f.decide(f.now)
	for _, r := range d.requests {
		f.sent++
		var got []gateway.Slot
		for range r.n {
			if len(f.slots[r.worker]) == f.size[r.worker] || f.failing[r.worker] {
				break
			}
			f.names++
			slot := gateway.Slot(fmt.Sprintf("slot-%06d", f.names))
			f.slots[r.worker][slot] = r.job
			got = append(got, slot)
		}
		f.answered(r.worker, r.job, r.n, got, f.now)
	}
	for _, a := range d.asks {
		f.asks += a.need.Count
		for range a.need.Count {
			f.giveOne(a)
		}
	}
	return d
}

// giveOne has a job give one slot back that is good for what it was asked for.
func (f *field) giveOne(a giveBack) {
	if f.stuck[a.job] {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(f.slots)) {
		if !f.workers[id].kind.has(a.need.Requires) {
			continue
		}
		for _, slot := range slices.Sorted(maps.Keys(f.slots[id])) {
			if f.slots[id][slot] == a.job {
				f.giveUp(id, slot)
				return
			}
		}
	}
}

func (f *field) giveUp(worker string, slot gateway.Slot) {
	delete(f.slots[worker], slot)
	f.freed(worker, []gateway.Slot{slot}, f.now)
}

// settle runs rounds until nothing is decided.
func (f *field) settle(t interface {
	Helper()
	Fatal(args ...any)
},
) {
	t.Helper()
	for range 1000 {
		d := f.round()
		if len(d.requests) == 0 && len(d.asks) == 0 && !f.changed {
			return
		}
		// What is freed at once would look like a refusal.
		f.pass(refusal)
	}
	t.Fatal("the pool does not settle")
}

// has counts the slots that a job really holds on the workers, on all without names.
func (f *field) has(id job.ID, workers ...string) int {
	n := 0
	for worker, slots := range f.slots {
		if len(workers) > 0 && !slices.Contains(workers, worker) {
			continue
		}
		for _, owner := range slots {
			if owner == id {
				n++
			}
		}
	}
	return n
}

func (f *field) wantHas(t *testing.T, want map[job.ID]int) {
	t.Helper()
	for id, n := range want {
		if got := f.has(id); got != n {
			t.Errorf("job %s has %d slots, want %d", id, got, n)
		}
	}
}
