package main

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/coordd/coordd/job"
)

// The stages of every job: the first has two subtasks, the second needs them.
const (
	first  = "first"
	second = "second"
)

// kind says what the commands of a job do, besides writing down that they started.
type kind string

const (
	quick   kind = "quick"   // nothing
	slow    kind = "slow"    // the second stage takes seconds
	flaky   kind = "flaky"   // the first attempts of the first stage fail
	failing kind = "failing" // the second stage fails
)

// content returns the job file of an ID. It says the same whenever it is asked.
func (k kind) content(runs string, variant int) []byte {
	work := map[kind][2]string{
		quick: {"", ""}, slow: {"", "sleep 2"}, failing: {"", "exit 3"},
		flaky: {"[ $COORDD_ATTEMPT -ge 2 ]", ""},
	}[k]
	return fmt.Appendf(nil, `
name: %[1]s
tasks:
  - id: %[2]s
    parallelism: 2
    command: [bash, -c, '%[6]s%[3]s']
    env: {RUNS: %[7]q, VARIANT: v%[8]d}
    retry: {attempts: 3}
  - id: %[4]s
    needs: [%[2]s]
    command: [bash, -c, '%[6]s%[5]s']
    env: {RUNS: %[7]q}
`, k, first, work[0], second, work[1], note, runs, variant)
}

// entry is a job in the ledger.
type entry struct {
	id   job.ID
	kind kind
	// acked: a client was told that it is accepted. canceled: one has asked for its
	// end, whether or not that was answered.
	acked, canceled bool
	// seen is how a client saw it end.
	seen *outcome
}

// mayEnd returns the statuses that its result may have.
func (e entry) mayEnd() []job.Status {
	ends := []job.Status{job.StatusFinished}
	if e.kind == failing {
		ends = []job.Status{job.StatusFailed}
	}
	if e.canceled {
		ends = append(ends, job.StatusCanceled)
	}
	return ends
}

// Clients repeat and ask for one of the newest jobs, and cancel one of the very
// newest: most others have ended.
const (
	recent = 200
	newest = 8
)

// ledger is what the clients have been told. Its methods may be called from any
// goroutine.
type ledger struct {
	mu         sync.Mutex
	entries    []*entry
	byID       map[job.ID]*entry
	counts     map[string]int
	violations []string
}

func newLedger() *ledger { return &ledger{byID: make(map[job.ID]*entry), counts: make(map[string]int)} }

// add enters a job before it is submitted for the first time.
func (l *ledger) add(k kind) entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{id: job.ID(fmt.Sprintf("job-%06d", len(l.entries))), kind: k}
	l.entries = append(l.entries, e)
	l.byID[e.id] = e
	return *e
}

// pick returns one of the last entries, and false when it finds none. With acked it is
// one that was acknowledged.
func (l *ledger) pick(rng *rand.Rand, last int, acked bool) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return entry{}, false
	}
	for range 20 {
		e := l.entries[len(l.entries)-1-rng.IntN(min(last, len(l.entries)))]
		if e.acked || !acked {
			return *e, true
		}
	}
	return entry{}, false
}

// update changes the entry of an ID.
func (l *ledger) update(id job.ID, change func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byID[id]; e != nil {
		change(e)
	}
}

// end notes how a client saw a job end, and that it saw it end otherwise before.
func (l *ledger) end(snap job.Snapshot) {
	if !snap.Status.Terminal() {
		return
	}
	l.update(snap.ID, func(e *entry) {
		saw := outcome{status: snap.Status, epoch: snap.Epoch, at: snap.FinishedAt.UTC()}
		if e.seen != nil && *e.seen != saw {
			l.violations = append(l.violations, fmt.Sprintf("I7: clients saw job %s end as %+v and as %+v", snap.ID, *e.seen, saw))
		}
		e.seen = &saw
	})
}

// violated notes what a client must not be told.
func (l *ledger) violated(invariant, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, invariant+": "+fmt.Sprintf(format, args...))
}

// count counts what happened to clients.
func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

// all returns copies of all entries.
func (l *ledger) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := make([]entry, len(l.entries))
	for i, e := range l.entries {
		entries[i] = *e
	}
	return entries
}
