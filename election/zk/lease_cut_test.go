package zk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// What a leader's way to the ensemble may lose without the leader losing its term, and
// what not. Half a tick is a tenth of T here, as by ZooKeeper's defaults, and known.
func TestALeaderKeepsItsTermWhenAnotherServerAnswers(t *testing.T) {
	const timeout = 10 * time.Second
	e := ensemble{tickKnown: true, lists: zookeepertest.FollowerConfig{Every: timeout / 10}}
	for what, c := range map[string]struct {
		only   bool
		strike func(*network, *zookeepertest.Follower)
		keeps  bool
	}{
		"its server is cut off from the quorum":                 {false, func(_ *network, f *zookeepertest.Follower) { f.CutOff() }, true},
		"its server hangs":                                      {false, func(_ *network, f *zookeepertest.Follower) { f.Freeze() }, true},
		"its server dies":                                       {false, func(_ *network, f *zookeepertest.Follower) { f.Refuse(true); f.Drop() }, true},
		"its only server is cut off from the quorum":            {true, func(_ *network, f *zookeepertest.Follower) { f.CutOff() }, false},
		"its only server hangs":                                 {true, func(_ *network, f *zookeepertest.Follower) { f.Freeze() }, false},
		"its only server is deaf to its leader, then cut off":   {true, deafThenCutOff, false},
		"the network to all servers breaks, and nobody notices": {false, func(n *network, _ *zookeepertest.Follower) { n.each(func(l *zookeepertest.Link) { l.Freeze() }) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					fake := e.fake()
					defer fake.Close()
					n := e.network(fake, timeout, rand.New(rand.NewPCG(seed, 0)))
					n.only = c.only
					m := joinOver(t, n, Config{Tick: e.tick()}, fmt.Sprint(seed))
					tenure := m.lead(t)
					elapse(timeout + time.Duration(n.faults.Int64N(int64(timeout))))
					for n.current() == len(n.followers) { // at the leader, which is not struck
						n.servers[n.current()].Drop()
						elapse(time.Second)
					}
					c.strike(n, n.followers[n.current()])
					elapse(3 * timeout)
					expired, gone := fake.SessionExpiredAt(tenure.session.ID())
					switch {
					case closed(tenure.Lost()) == c.keeps:
						t.Errorf("seed %d: the term was lost %t (%v), want it kept %t", seed, c.keeps, tenure.Err(), c.keeps)
					case c.keeps && gone:
						t.Errorf("seed %d: the session expired at %v", seed, expired)
					case !c.keeps && !errors.Is(tenure.Err(), election.ErrLeaseExpired):
						t.Errorf("seed %d: the term was lost because of %v, want %v", seed, tenure.Err(), election.ErrLeaseExpired)
					}
					n.each((*zookeepertest.Link).Unfreeze)
					_ = tenure.Release(within(t)) // its session may have gone
				})
			}
		})
	}
}

func deafThenCutOff(_ *network, f *zookeepertest.Follower) {
	f.Deafen()
	elapse(2 * time.Second)
	f.CutOff()
}
