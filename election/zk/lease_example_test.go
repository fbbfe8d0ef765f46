package zk

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The example that is worked through in package zookeeper.
const (
	exampleTimeout = 10 * time.Second
	exampleHalf    = 2500 * time.Millisecond // a tick of 5 s
	exampleTrip    = 2300 * time.Millisecond // a renewal goes out every 2.5 s then, at the next T/8
)

// example has a contender lead through a follower, its renewals taking 2.3 s on
// the way there or on the way back, and cuts the follower off. It returns when the term had
// to have ended, when the session did, and the newest renewal.
func example(t *testing.T, random *rand.Rand, tick, cut time.Duration) (until, expired time.Time, newest Renewal) {
	t.Helper()
	fake := zookeepertest.NewFake(zookeepertest.FakeConfig{
		TickTime: time.Millisecond, MinSessionTimeout: exampleTimeout, MaxSessionTimeout: exampleTimeout,
	})
	defer fake.Close()
	e := ensemble{lists: zookeepertest.FollowerConfig{Every: exampleHalf}}
	n := e.network(fake, exampleTimeout, random)
	n.only = true
	var mu sync.Mutex
	m := joinOver(t, n, Config{Tick: tick}, "a")
	m.cfg.OnRenewed = func(r Renewal) {
		mu.Lock()
		defer mu.Unlock()
		newest = r
	}
	tenure := m.lead(t)
	elapse(exampleTimeout + time.Duration(random.Int64N(int64(exampleTimeout))))
	n.servers[0].Delay(func(r zookeepertest.Request) (before, after time.Duration) {
		if r.Op != zookeepertest.OpMulti {
			return 0, 0
		}
		mu.Lock()
		defer mu.Unlock()
		before = time.Duration(random.IntN(2)) * (exampleTrip - time.Millisecond)
		return before, exampleTrip - before
	})
	elapse(cut)
	n.followers[0].CutOff()
	<-tenure.Lost()
	until = time.Now().Add(stopGrace)
	elapse(2 * exampleTimeout)
	expired, ok := fake.SessionExpiredAt(tenure.session.ID())
	if !ok {
		t.Fatalf("the session lives %v after its follower was cut off", 2*exampleTimeout)
	}
	release, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = tenure.Release(release) // its session is gone
	return until, expired, newest
}

func TestALeaseOfSlowRenewalsAndLongTicksEndsBeforeTheSession(t *testing.T) {
	thumbs := map[string]struct {
		left  time.Duration
		wrong int
	}{
		"t + T":               {left: exampleTimeout},
		"t + T - half a tick": {left: exampleTimeout - exampleHalf},
	}
	for _, tick := range []time.Duration{0, 2 * exampleHalf} {
		for seed := range uint64(300) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, uint64(tick)))
				until, expired, newest := example(t, random, tick, time.Duration(random.Int64N(int64(exampleTimeout))))
				if !until.Before(expired) {
					t.Errorf("seed %d, tick %v: led %v beyond the expiry of its session", seed, tick, until.Sub(expired))
				}
				for rule, thumb := range thumbs {
					if newest.Sent.Add(thumb.left).After(expired) {
						thumb.wrong++
						thumbs[rule] = thumb
					}
				}
			})
		}
	}
	for rule, thumb := range thumbs {
		t.Logf("%s: %d terms had outlived their sessions", rule, thumb.wrong)
		if thumb.wrong == 0 {
			t.Errorf("a lease until %s would have been right each time: that shows nothing", rule)
		}
	}
}
