package taskexecutor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// run deploys no-op functions, each into the slot of its number.
func (l *lab) run(t *testing.T, slots []gateway.Slot, subtasks ...int) {
	t.Helper()
	var ds []gateway.Deployment
	for i, n := range subtasks {
		ds = append(ds, function("noop", theAttempt("j", n), slots[i%len(slots)]))
	}
	l.launch(t, ds...)
}

// stalled makes the master's calls of AttemptsEnded wait, and returns what lets them
// go and how many ends the calls have that are under way.
func stalled(m *master) (let func(), under func() []int) {
	var mu sync.Mutex
	var calls []int
	gate := make(chan struct{})
	m.with(func(m *master) {
		m.settle = func(ctx context.Context, ends []gateway.AttemptEnd) error {
			mu.Lock()
			calls = append(calls, len(ends))
			mu.Unlock()
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return func() { close(gate) }, func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
}

func TestEndsShareCallsAndASlowCallHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 1 + 9*22
		l := begin(t, Config{Slots: all, Funcs: functions()})
		_, masters := l.elect(7, "j")
		let, under := stalled(masters["j"])
		slots := l.slots(t, 7, "j", all)
		synctest.Wait()
		l.run(t, slots, 0) // leaves at once
		synctest.Wait()
		for n := 1; n < all; n += 9 { // 9 come every millisecond
			var some []int
			for i := range 9 {
				some = append(some, n+i)
			}
			l.run(t, slots[n:], some...)
			<-time.After(time.Millisecond)
		}
		<-time.After(time.Second)
		calls := under()
		if len(calls) != maxCalls || calls[0] != 1 {
			t.Fatalf("calls with %v ends are under way, want %d, the first with 1", calls, maxCalls)
		}
		for _, n := range calls[1:] {
			if n < 9 {
				t.Errorf("calls with %v ends: those that came while one was under way did not gather", calls)
			}
		}
		let()
		<-time.After(time.Second)
		if got := len(masters["j"].ends); got != all {
			t.Errorf("%d ends were settled, want %d", got, all)
		}
		if f := figures(t, l); f["ends_kept"] != 0 || f["ends_kept_bytes"] != 0 {
			t.Errorf("%d ends of %d bytes are kept after all are settled", f["ends_kept"], f["ends_kept_bytes"])
		}
	})
}

func TestEndsAreReportedToTheNextLeaderUntilSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 3, Funcs: functions()})
		_, old := l.elect(7, "j")
		_, under := stalled(old["j"])
		slots := l.slots(t, 7, "j", 3)
		synctest.Wait()
		l.run(t, slots, 0)
		synctest.Wait()
		if n := len(under()); n != 1 {
			t.Fatalf("%d calls at the old master, want 1", n)
		}
		l.dispatcher.nobody()
		synctest.Wait()
		l.run(t, slots[1:], 1, 2)
		synctest.Wait() // they ended while nobody leads

		_, masters := l.elect(8, "j")
		m := masters["j"]
		<-time.After(time.Second)
		var told []int
		for _, end := range next(t, m.registrations, "registration").Ended {
			told = append(told, end.Attempt.Subtask)
		}
		var settled []int
		for len(m.ends) > 0 {
			settled = append(settled, (<-m.ends).Attempt.Subtask)
		}
		slices.Sort(told)
		slices.Sort(settled)
		if want := []int{0, 1, 2}; !slices.Equal(told, want) || !slices.Equal(settled, want) {
			t.Errorf("told of the ends of %v and then reported %v, want %v twice", told, settled, want)
		}
	})
}

func TestLateSettlementByADeposedMasterCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Slots: 1, Funcs: functions()})
		_, old := l.elect(7, "j")
		let := make(chan struct{})
		old["j"].with(func(m *master) { // deaf to the end of the call's context
			m.settle = func(context.Context, []gateway.AttemptEnd) error { <-let; return nil }
		})
		slots := l.slots(t, 7, "j", 1)
		synctest.Wait()
		l.run(t, slots, 0)
		synctest.Wait()
		_, masters := l.elect(8, "j")
		synctest.Wait()
		if end := masters["j"].wait(t); end.Attempt != theAttempt("j", 0) {
			t.Errorf("the new master heard of %+v", end.Attempt)
		}
		close(let)
		synctest.Wait()
		if f := figures(t, l); f["ends_kept"] != 0 || f["ends_kept_bytes"] != 0 {
			t.Errorf("%d ends of %d bytes are kept, want none", f["ends_kept"], f["ends_kept_bytes"])
		}
	})
}

func TestEndsAreReportedAgainWhenACallFails(t *testing.T) {
	for name, c := range map[string]struct {
		err           error
		failures      int
		registrations int
	}{
		"once":               {errNobody, 1, 1},
		"twice in a row":     {errNobody, 2, 2},
		"not registered":     {gateway.ErrNotRegistered, 1, 2},
		"a slow store":       {context.DeadlineExceeded, 3, 1},
		"the job is stopped": {gateway.ErrStopped, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := begin(t, Config{Funcs: functions()})
				_, masters := l.elect(7, "j")
				m := masters["j"]
				failures := 0
				m.with(func(m *master) {
					m.settle = func(ctx context.Context, _ []gateway.AttemptEnd) error {
						if failures++; failures > c.failures {
							return nil
						}
						if errors.Is(c.err, context.DeadlineExceeded) {
							<-ctx.Done()
						}
						return c.err
					}
				})
				slots := l.slots(t, 7, "j", 1)
				synctest.Wait()
				l.run(t, slots, 0)
				<-time.After(time.Second) // for another registration, if there is one
				l.pass(t, 2*time.Minute, 7, "j")
				if n := len(m.ends); n != 1 {
					t.Errorf("%d ends were settled, want 1", n)
				}
				if n := len(m.registrations); n != c.registrations {
					t.Errorf("%d registrations, want %d", n, c.registrations)
				}
			})
		})
	}
}

// scene is the state of an executor that does not run.
type scene struct {
	*state
	clock    time.Time
	launched []*attempt
	removed  []job.ID
}

func newScene(t *testing.T, slots int) *scene {
	t.Helper()
	e, err := New(Config{ID: "w", Slots: slots, Network: newNetwork(), Dispatcher: newLeaders(), ResourceManager: newLeaders()})
	if err != nil {
		t.Fatal(err)
	}
	c := &scene{state: e.state, clock: time.Unix(0, 0)}
	c.folders = &folders{root: "/nowhere"}
	c.now = func() time.Time { return c.clock }
	c.world.launch = c.launch
	c.world.remove = func(id job.ID) { c.removed = append(c.removed, id) }
	c.world.end = func() {}
	return c
}

func (c *scene) launch(a *attempt) {
	a.cancelled = func(error) {}
	c.launched = append(c.launched, a)
}

// allocate gives slots to a job in epoch 7.
func (c *scene) allocate(t *testing.T, id job.ID, n int) []gateway.Slot {
	t.Helper()
	slots, err := c.request(gateway.SlotRequest{Term: termOf(term(7)), Job: id, Count: n})
	if err != nil || len(slots) != n {
		t.Fatalf("got slots %v, error %v; want %d", slots, err, n)
	}
	return slots
}

// finish ends an attempt.
func (c *scene) finish(a *attempt, result []byte) {
	c.ended(a, gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeFinished, Output: "done\n", Result: result})
}

func waits(a *attempt) bool {
	if a.begin == nil {
		return false
	}
	select {
	case <-a.begin:
		return false
	default:
		return true
	}
}

// fill keeps ends until no more fit, with a bound, and returns their number.
func (c *scene) fill(t *testing.T, slots []gateway.Slot, result []byte) int {
	t.Helper()
	for n := range 20_000 {
		if err := c.place(function("noop", theAttempt("j", n), slots[0])); err != nil {
			t.Fatal(err)
		}
		a := c.launched[len(c.launched)-1]
		if waits(a) {
			return n
		}
		c.finish(a, result)
	}
	t.Fatal("20,000 ends are kept")
	return 0
}

func TestAttemptsWaitWhileTooManyEndsAreKept(t *testing.T) {
	c := newScene(t, 2)
	slots := c.allocate(t, "j", 2)
	n := c.fill(t, slots, nil)
	if n != 10_000 {
		t.Errorf("%d ends were kept before an attempt had to wait, want 10,000", n)
	}
	last := c.launched[n]
	c.settle(c.tenants["j"], c.keptEnd(theAttempt("j", 5)))
	if waits(last) {
		t.Error("the attempt waits although an end was settled")
	}
	if err := c.place(function("noop", theAttempt("j", 5), slots[1])); err == nil {
		t.Error("an attempt whose end was settled was started again")
	}
}

func TestKeptResultsAreBoundedInBytes(t *testing.T) {
	c := newScene(t, 1)
	c.fill(t, c.allocate(t, "j", 1), make([]byte, job.MaxResult))
	if c.kept.bytes < maxKeptBytes || c.kept.bytes > maxKeptBytes+2*job.MaxResult {
		t.Errorf("%d bytes are kept, want about %d", c.kept.bytes, maxKeptBytes)
	}
}

func TestReportFitsIntoAMessageAndNamesEveryAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		result, output int
		ended, running int // at least
	}{
		"many small ends":  {0, 10, 10_000, 0},
		"large outputs":    {0, 4 << 10, 3900, 0},
		"the most results": {job.MaxResult, 0, 90, 100},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, 1)
			slot := s.allocate(t, "j", 1)[0]
			all := 0
			for ; !s.kept.full(); all++ {
				if err := s.place(function("noop", theAttempt("j", all), slot)); err != nil {
					t.Fatal(err)
				}
				a := s.launched[all]
				s.ended(a, gateway.AttemptEnd{
					Attempt: a.d.Attempt, Outcome: gateway.OutcomeFinished,
					Output: strings.Repeat("x", c.output), Result: make([]byte, c.result),
				})
			}
			report := s.jobReport(s.tenants["j"])
			bytes := 0
			for _, end := range report.Ended {
				if len(end.Result) != c.result {
					t.Fatalf("an end was reported with %d bytes of its result, want %d", len(end.Result), c.result)
				}
				bytes += bare(end) + len(end.Output) + len(end.Result)
			}
			if got := len(report.Ended) + len(report.Running); got != all {
				t.Errorf("%d attempts reported of %d", got, all)
			}
			// The master takes up one attempt of a slot, and wants no other.
			in := make(map[gateway.Slot]gateway.AttemptID)
			for _, r := range report.Running {
				if other, twice := in[r.Slot]; twice {
					t.Fatalf("both %+v and %+v are reported as running in slot %s", other, r.Attempt, r.Slot)
				}
				in[r.Slot] = r.Attempt
			}
			if len(report.Ended) < c.ended || len(report.Running) < c.running {
				t.Errorf("%d reported as ended and %d as running, want at least %d and %d",
					len(report.Ended), len(report.Running), c.ended, c.running)
			}
			if bytes > maxReportBytes {
				t.Errorf("the ends in the report have %d bytes, more than %d", bytes, maxReportBytes)
			}
		})
	}
}

func TestBatchesAreBounded(t *testing.T) {
	c := newScene(t, 1)
	slots := c.allocate(t, "j", 1)
	kept := c.fill(t, slots, make([]byte, 30<<10))
	taken := 0
	for {
		b := c.takeEnds(c.tenants["j"])
		if len(b.kept) == 0 {
			break
		}
		bytes := 0
		for _, k := range b.kept {
			bytes += k.size()
			if want := theAttempt("j", taken); k.end.Attempt != want {
				t.Fatalf("end %d is of %+v, want them in their order", taken, k.end.Attempt)
			}
			taken++
		}
		if bytes > maxBatchBytes || len(b.kept) > maxBatch {
			t.Errorf("a batch has %d ends of %d bytes", len(b.kept), bytes)
		}
	}
	if taken != kept {
		t.Errorf("%d of %d ends were taken", taken, kept)
	}
}
