package coordinator

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/internal/history"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// seedVariable names the one seed to run, or, as "from-to", all between two.
const seedVariable = "COORDD_SCHEDULE_SEED"

// garbage is what stands in the place of a graph that somebody damaged.
const garbage = "garbage"

// TestNoInvariantBreaksInRandomSchedules lets clients submit, cancel and look while
// members expire, die and are replaced, are cut off for a while, lose connections
// and replies, and graphs are damaged and repaired, and an operator retries and
// drops. The seed decides on all of it.
func TestNoInvariantBreaksInRandomSchedules(t *testing.T) {
	from, to := uint64(1), uint64(12)
	if value := os.Getenv(seedVariable); value != "" {
		from, to = seeds(t, value)
	}
	for name, newLand := range lands() {
		t.Run(name, func(t *testing.T) {
			total := make(map[string]int)
			for seed := from; seed <= to && !t.Failed(); seed++ {
				synctest.Test(t, func(t *testing.T) {
					s := newSchedule(t, newLand(t), seed)
					s.run()
					for what, n := range s.did {
						total[what] += n
					}
				})
			}
			t.Logf("%d schedules: %v", to-from+1, total)
			for _, what := range []string{"expiry", "death", "cut", "drop", "struck call", "cancel", "damage", "repair", "quarantine", "retry", "drop of a job"} {
				if total[what] < 3 && to-from >= 11 {
					t.Errorf("%s: %d times in all: too seldom for this to mean anything", what, total[what])
				}
			}
		})
	}
}

func seeds(t *testing.T, value string) (from, to uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(value, "%d-%d", &from, &to); err == nil {
		return from, to
	}
	from, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: %v; want one seed, or two with a dash between them", seedVariable, value, err)
	}
	return from, from
}

// schedule is one run.
type schedule struct {
	*realm
	seed uint64
	end  time.Time

	mu     sync.Mutex
	did    map[string]int // by what was done, or befell somebody
	graphs map[job.ID][]byte
}

func newSchedule(t *testing.T, l land, seed uint64) *schedule {
	t.Helper()
	r, stop := newRealm(t, l)
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("again: %s=%d go test -run '%s' ./coordinator", seedVariable, seed, t.Name())
		}
	})
	r.retention = Retention{Count: 4, Age: -1}
	r.lasts = func(_ string, id job.ID) time.Duration {
		h := fnv.New32a()
		_, _ = h.Write([]byte(id))
		return time.Duration(h.Sum32()%20_000) * time.Millisecond
	}
	return &schedule{
		realm: r, seed: seed, end: time.Now().Add(5 * time.Minute),
		did: make(map[string]int), graphs: make(map[job.ID][]byte),
	}
}

func (s *schedule) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did[what]++
}

// actor acts at random times until the schedule's end, each between other instants
// than the others, so that a seed decides on their order.
func (s *schedule) actor(wg *sync.WaitGroup, number uint64, pause time.Duration, act func(dice *rand.Rand)) {
	dice := rand.New(rand.NewPCG(s.seed, number))
	wg.Go(func() {
		for {
			micro := time.Duration(dice.Int64N(int64(2*pause/time.Microsecond))) * time.Microsecond
			<-time.After(micro + time.Duration(number)*13*time.Nanosecond)
			if time.Now().After(s.end) {
				return
			}
			act(dice)
		}
	})
}

func (s *schedule) run() {
	for _, id := range []string{"one", "two", "three"} {
		s.start(id)
	}
	var wg sync.WaitGroup
	for client := range uint64(3) {
		s.actor(&wg, 1+client, 2*time.Second, s.client)
	}
	s.actor(&wg, 11, 12*time.Second, s.befall)
	s.actor(&wg, 12, 15*time.Second, s.strikeSomewhere)
	s.actor(&wg, 13, 6*time.Second, s.vandal)
	s.actor(&wg, 14, 10*time.Second, s.operator)
	wg.Wait()
	s.finish()
}

// finish takes all faults back and wants every job to end.
func (s *schedule) finish() {
	for _, m := range s.all() {
		m.tap.arm(nil)
		m.mend()
	}
	s.settle()
	for id := range maps.Clone(s.graphs) {
		s.repair(id)
	}
	for id, snap := range s.look() {
		if snap.Status == job.StatusSuspended {
			s.review(id, (*Dispatcher).RetryQuarantined)
		}
	}
	s.settle()
	for id, snap := range s.look() {
		if !snap.Status.Terminal() {
			s.t.Errorf("seed %d: job %s is %s at the end: %s", s.seed, id, snap.Status, snap.Error)
		}
	}
	s.judge(fmt.Sprint("seed ", s.seed))
	terms := 0
	for _, e := range s.rec.all() {
		if e.Kind == history.Led {
			terms++
		}
	}
	faults := s.did["expiry"] + s.did["death"] + s.did["cut"] + s.did["drop"] + s.did["struck call"]
	if terms < 5 || faults < 15 || s.did["submission"] < 30 || s.did["damage"] < 3 {
		s.t.Errorf("seed %d: %d terms, %d faults, %v: too little happened for this to mean anything", s.seed, terms, faults, s.did)
	}
}

func someJob(dice *rand.Rand) job.ID { return job.ID(fmt.Sprint("job-", dice.IntN(12))) }

// shortly bounds one request.
func (s *schedule) shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.life(), 5*time.Second)
}

// client makes one request.
func (s *schedule) client(dice *rand.Rand) {
	kind, id := dice.IntN(10), someJob(dice)
	d, _ := s.leading()
	if d == nil {
		return
	}
	ctx, cancel := s.shortly()
	defer cancel()
	switch {
	case kind < 5:
		if s.try(d, id) {
			s.count("submission")
		}
	case kind < 6:
		if _, err := d.Cancel(ctx, id); err == nil {
			s.count("cancel")
		}
	default:
		if snap, err := d.Job(ctx, id); err == nil {
			s.see(snap)
		}
	}
}

// befall lets something happen to a member.
func (s *schedule) befall(dice *rand.Rand) {
	members, kind, pick, long := s.all(), dice.IntN(5), dice.IntN(4), time.Duration(dice.Int64N(int64(30*time.Second)))
	m := members[len(members)-3+pick%3]
	if _, of := s.leading(); of != nil && pick == 3 {
		m = of
	}
	switch kind {
	case 0:
		s.count("expiry")
		m.expire()
	case 1:
		s.count("death")
		m.kill()
		m.cancel()
		s.replace()
	case 2, 3:
		s.count("cut")
		m.cut()
		s.wg.Go(func() {
			<-time.After(long + 17*time.Nanosecond)
			m.mend()
		})
	default:
		s.count("drop")
		m.drop()
	}
}

// replace starts another member for one that dies.
func (s *schedule) replace() {
	s.count("replacement")
	s.wg.Go(func() { s.start(fmt.Sprint("member-", len(s.all()))) })
}

// strikeSomewhere strikes the leader at one of its next calls.
func (s *schedule) strikeSomewhere(dice *rand.Rand) {
	at, all := dice.IntN(12), blows()
	b := all[dice.IntN(len(all))]
	_, m := s.leading()
	if m == nil {
		return
	}
	m.tap.arm(func(call int, _ string, _ []string) strike {
		if call != at {
			return strike{}
		}
		s.count("struck call")
		if strings.HasPrefix(b.name, "dies") {
			s.replace()
		}
		return b.of(m)
	})
}

// vandal damages a graph, or repairs one.
func (s *schedule) vandal(dice *rand.Rand) {
	again, pick := dice.IntN(3) == 0, dice.IntN(100)
	d, m := s.leading()
	if d == nil {
		return
	}
	ctx, cancel := s.shortly()
	defer cancel()
	all, err := d.Jobs(ctx)
	all = slices.DeleteFunc(all, func(snap job.Snapshot) bool {
		return snap.Status.Terminal() || (snap.Status == job.StatusSuspended) != again
	})
	if err != nil || len(all) == 0 {
		return
	}
	id := all[pick%len(all)].ID
	if again {
		s.repair(id)
		return
	}
	path, store := pathOf("jobgraphs", id), m.Services.Store()
	data, err := store.Get(ctx, d.token.Guard, path)
	if err != nil || bytes.Equal(data, []byte(garbage)) {
		return
	}
	s.mu.Lock()
	s.graphs[id] = data
	s.mu.Unlock()
	if store.Commit(ctx, d.token.Guard, txn.Op{Kind: txn.Put, Path: path, Data: []byte(garbage)}) == nil {
		s.count("damage")
	}
}

// repair puts a graph back that was damaged, if it still is.
func (s *schedule) repair(id job.ID) {
	s.mu.Lock()
	data := s.graphs[id]
	s.mu.Unlock()
	d, m := s.leading()
	if d == nil || data == nil {
		return
	}
	ctx, cancel := s.shortly()
	defer cancel()
	path, store := pathOf("jobgraphs", id), m.Services.Store()
	if now, err := store.Get(ctx, d.token.Guard, path); err != nil || !bytes.Equal(now, []byte(garbage)) {
		return
	}
	if store.Commit(ctx, d.token.Guard, txn.Op{Kind: txn.Put, Path: path, Data: data}) == nil {
		s.count("repair")
	}
}

// operator has a job in quarantine retried or dropped.
func (s *schedule) operator(dice *rand.Rand) {
	pick, drop := dice.IntN(100), dice.IntN(3) == 0
	d, _ := s.leading()
	if d == nil {
		return
	}
	ctx, cancel := s.shortly()
	defer cancel()
	report, err := d.Recovery(ctx)
	if err != nil || len(report.Quarantine) == 0 {
		return
	}
	s.count("quarantine")
	id := report.Quarantine[pick%len(report.Quarantine)].ID
	what, order := "retry", (*Dispatcher).RetryQuarantined
	if drop {
		what, order = "drop of a job", (*Dispatcher).DropQuarantined
	}
	if order(d, ctx, id) == nil {
		s.count(what)
	}
}
