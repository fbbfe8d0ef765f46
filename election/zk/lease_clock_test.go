package zk

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestALeaseIsOverByWhicheverClockIsAhead(t *testing.T) {
	now := time.Now() // with a monotonic reading, which adding keeps
	for what, c := range map[string]struct {
		until, monotonic, wall int // seconds
		want                   bool
	}{
		"before, by both":                       {10, 9, 9, false},
		"at once":                               {10, 10, 10, true},
		"the machine was suspended":             {10, 1, 3600, true},
		"suspended to the instant":              {10, 1, 10, true},
		"suspended for less than is left":       {10, 1, 8, false},
		"the wall clock was set back":           {10, 10, -3600, true},
		"the wall clock was set back, and time": {10, 9, -3600, false},
	} {
		at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
		if got := over(at(c.until), at(c.monotonic), at(c.wall)); got != c.want {
			t.Errorf("%s: a lease until %d s is over %v at %d s, by the wall clock %d s; want %v",
				what, c.until, got, c.monotonic, c.wall, c.want)
		}
	}
}

// A suspended machine wakes up with its monotonic clock, and so all its timers, where
// they were, and everything else later.
func TestASuspendedLeaderHasLostItsTermWhenItWakesUp(t *testing.T) {
	for asleep, lost := range map[time.Duration]bool{sessionTimeout / 4: false, sessionTimeout: true, time.Hour: true} {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			m := join(t, fake, "a", Ride)
			var slept atomic.Int64
			m.wall = func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }
			tenure := m.lead(t)
			elapse(sessionTimeout + 1)
			slept.Store(int64(asleep))
			elapse(sessionTimeout / 32) // before the next renewal could be answered
			synctest.Wait()
			if got := closed(tenure.Lost()); got != lost {
				t.Errorf("suspended for %v of T = %v: the term is lost %v, want %v", asleep, sessionTimeout, got, lost)
			}
			if lost && !errors.Is(tenure.Err(), election.ErrLeaseExpired) {
				t.Errorf("lost because of %v, want %v", tenure.Err(), election.ErrLeaseExpired)
			}
			slept.Store(0)
			must(t, tenure.Release(within(t)))
		})
	}
}

func TestAnOperatorSeesWhatIsLeftOfALease(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		m := join(t, fake, "a", Ride)
		seen := make(chan Renewal, 1000)
		m.cfg.OnRenewed = func(r Renewal) { seen <- r }
		const trip = 10 * time.Millisecond
		m.link.Delay(func(zookeepertest.Request) (before, after time.Duration) { return trip / 2, trip / 2 })
		tenure := m.lead(t)
		elapse(2 * sessionTimeout)
		must(t, tenure.Release(within(t)))
		close(seen)
		var last Renewal
		n := 0
		for r := range seen {
			n++
			if r.Epoch != tenure.Guard().Epoch() || r.Answered.Sub(r.Sent) != trip {
				t.Errorf("renewal %d is %+v, want one of epoch %d that took %v", n, r, tenure.Guard().Epoch(), trip)
			}
			if gap := r.Sent.Sub(last.Sent); n > 3 && gap != sessionTimeout/8 {
				t.Errorf("renewal %d was sent %v after the one before, want %v", n, gap, sessionTimeout/8)
			}
			if left := r.Deadline.Sub(r.Answered); n > 8 && left < sessionTimeout/2 {
				t.Errorf("renewal %d leaves %v of T = %v, want more than half", n, left, sessionTimeout)
			}
			last = r
		}
		if n < 16 {
			t.Errorf("%d renewals were told in 2 T, want one each T/8", n)
		}
	})
}

// What the hook does with its time is its own affair.
func TestAHookThatBlocksDelaysNeitherRenewalsNorTheEndOfATerm(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		m := join(t, fake, "a", Ride)
		let := make(chan struct{})
		calls := 0
		m.cfg.OnRenewed = func(Renewal) { calls++; <-let }
		tenure := m.lead(t)
		checks := fake.Count(zookeepertest.OpMulti)
		elapse(2 * sessionTimeout)
		if closed(tenure.Lost()) {
			t.Fatalf("the term was lost: %v", tenure.Err())
		}
		if n := fake.Count(zookeepertest.OpMulti) - checks; n < 15 {
			t.Errorf("%d renewals in 2 T, want one each T/8", n)
		}
		must(t, operator(t, fake).Delete(within(t), tenure.guard.Path(), -1))
		<-tenure.Lost()
		close(let)
		_ = tenure.Release(within(t))
		if calls != 1 {
			t.Errorf("the hook was called %d times while it was busy, want once", calls)
		}
	})
}
