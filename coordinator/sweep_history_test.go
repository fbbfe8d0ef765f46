package coordinator

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// errLost is the end of a call whose reply was lost with the session.
var errLost = fmt.Errorf("%w: the session ended meanwhile", txn.ErrUnknownOutcome)

// errStuck is why a cleaner fails here.
var errStuck = errors.New("cannot be cleaned yet")

// blow is a way in which a member is struck at one of its calls.
type blow struct {
	name string
	of   func(m *member) strike
}

// blows are the ways to lose a leader at a call, before its effect and after.
func blows() []blow {
	fates := map[string]func(m *member) func(string){
		"expires": func(m *member) func(string) { return func(string) { m.expire() } },
		"dies":    func(m *member) func(string) { return func(string) { m.kill(); m.cancel() } },
		"is cut off": func(m *member) func(string) {
			return func(string) {
				m.cut()
				time.AfterFunc(25*time.Second+7*time.Nanosecond, m.mend)
			}
		},
	}
	var all []blow
	for name, fate := range fates {
		all = append(all,
			blow{name + " before the call", func(m *member) strike { return strike{before: fate(m)} }},
			blow{name + " after the call", func(m *member) strike { return strike{after: fate(m), err: errLost} }},
		)
	}
	return append(all,
		blow{"loses its connection before the call", func(m *member) strike { return strike{before: func(string) { m.drop() }} }},
		blow{"loses the reply", func(m *member) strike { return strike{before: m.lose} }},
	)
}

// act is a course of things in which a member, once its tap was armed, is struck.
type act struct {
	name string
	// least is how many calls the member makes, at the least.
	least int
	play  func(t *testing.T, r *realm, arm func(m *member))
}

func acts() []act {
	return []act{{"a life", 25, wholeLife}, {"a take-over", 25, takeOver}}
}

// wholeLife strikes the first leader while three jobs are accepted, run, recorded,
// cleaned up, and two results forgotten.
func wholeLife(t *testing.T, r *realm, arm func(m *member)) {
	r.retention.Count = 1
	one := r.prepare("one")
	arm(one)
	r.launch(one)
	r.start("two")
	ids := []job.ID{"a", "b", "c"}
	r.submit(ids...)
	r.settle()
	all := r.look()
	if len(all) != 1 {
		t.Errorf("jobs at the end: %v, want one that is retained", all)
	}
	for id, s := range all {
		if s.Status != job.StatusFinished {
			t.Errorf("job %s is %s, want FINISHED", id, s.Status)
		}
	}
}

// takeOver strikes the second leader while it takes over from one that left jobs in
// every state: running, dirty, clean, unreadable, and one too many that is clean.
// An operator has one job in quarantine retried and another dropped.
func takeOver(t *testing.T, r *realm, arm func(m *member)) {
	r.lasts = func(member string, id job.ID) time.Duration {
		if member == "zero" && (id == "running" || id == "broken" || id == "given-up") {
			return time.Hour
		}
		return 10 * time.Millisecond
	}
	r.clean = func(member string, id job.ID) error {
		if member == "zero" && id == "dirty" {
			return errStuck
		}
		return nil
	}
	zero := r.start("zero")
	r.submit("clean", "cleaner")
	r.elapse(time.Second)
	r.submit("running", "dirty", "broken", "given-up")
	r.elapse(time.Second)
	good := r.overwrite("broken", []byte("garbage"))
	r.overwrite("given-up", []byte("garbage"))

	r.retention.Count = 3
	one := r.prepare("one")
	arm(one)
	r.launch(one)
	r.start("two")
	zero.expire()
	zero.kill()
	zero.cancel()
	r.settle()
	r.overwrite("broken", good)
	r.review("broken", (*Dispatcher).RetryQuarantined)
	r.review("given-up", (*Dispatcher).DropQuarantined)
	r.settle()
	wantRetained(t, r)
}

func wantRetained(t *testing.T, r *realm) {
	t.Helper()
	all := r.look()
	if len(all) != 3 {
		t.Errorf("jobs at the end: %v, want three that are retained", all)
	}
	for id, s := range all {
		if want := map[job.ID]job.Status{"given-up": job.StatusFailed}[id]; s.Status != want && (want != "" || s.Status != job.StatusFinished) {
			t.Errorf("job %s is %s, error %q", id, s.Status, s.Error)
		}
	}
}

// TestNoInvariantBreaksWhereverALeaderIsStruck strikes a leader at its k-th call of
// the store, in every way and for every k until it makes no more calls, lets others
// go on to the end, and checks what happened.
func TestNoInvariantBreaksWhereverALeaderIsStruck(t *testing.T) {
	for name, newLand := range lands() {
		for _, a := range acts() {
			for _, b := range blows() {
				t.Run(fmt.Sprintf("%s: in %s the leader %s", name, a.name, b.name), func(t *testing.T) {
					k, hit := 0, true
					for ; hit && !t.Failed(); k++ {
						synctest.Test(t, func(t *testing.T) { hit = strikeAt(t, newLand(t), a, b, k) })
					}
					if k < a.least {
						t.Errorf("the leader was struck at %d calls, want at least %d", k, a.least)
					}
				})
			}
		}
	}
}

func lands() map[string]func(t *testing.T) land {
	return map[string]func(t *testing.T) land{"in memory": newInMemory, "ZooKeeper": newInFake}
}

// strikeAt plays the act with a blow at the k-th call, and reports whether there was
// one.
func strikeAt(t *testing.T, l land, a act, b blow, k int) (hit bool) {
	t.Helper()
	r, stop := newRealm(t, l)
	defer stop()
	var struck *member
	a.play(t, r, func(m *member) {
		struck = m
		m.tap.arm(func(call int, _ string, _ []string) strike {
			if call != k {
				return strike{}
			}
			return b.of(m)
		})
	})
	what := fmt.Sprintf("k=%d, %s", k, struck.tap.called(k))
	r.judge(what)
	if t.Failed() {
		t.Log(what)
	}
	return struck.tap.count() > k
}
