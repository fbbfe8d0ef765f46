package zk

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// CURATOR-444 with real servers, as it was reported: they do not hear one another for as
// long as a session time-out, elect a leader again, and take the sessions over.
func TestServersThatLoseOneAnotherMakeNoTwoLeaders(t *testing.T) {
	t.Run("CURATOR-444 on an ensemble", func(t *testing.T) {
		const timeout = 4 * time.Second // more than four stop graces
		ens := zookeepertest.StartEnsemble(t, 3, zookeepertest.SyncLimit(5))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		grants, over := make(chan granted, 100), make(chan reign, 100)
		var contenders sync.WaitGroup
		for _, id := range []string{"a", "b"} {
			m := joinWith(t, zookeeper.Config{Servers: ens.Addrs(), SessionTimeout: timeout}, id)
			contenders.Go(func() { m.leadAgainAndAgain(ctx, grants, over) })
		}
		first := nextGrant(t, grants)

		followers := ens.Followers()
		for _, server := range followers { // nobody has a quorum
			server.Pause()
		}
		elapse(timeout)
		if !closed(first.tenure.Lost()) {
			t.Error("the leader leads on without a quorum, as long as its session could last")
		}
		again := time.Now()
		for _, server := range followers {
			server.Resume()
		}
		second := nextGrant(t, grants)
		for second.at.Before(again) { // from before the pause
			second = nextGrant(t, grants)
		}
		if now, former := second.tenure.Guard().Epoch(), first.tenure.Guard().Epoch(); now <= former {
			t.Errorf("epoch %d follows epoch %d, want a larger one", now, former)
		}
		stop()
		contenders.Wait()
		close(over)
		var terms []reign
		for r := range over {
			terms = append(terms, r)
		}
		wantOneAtATime(t, "over the outage", terms)
	})
}

// leadAgainAndAgain has a member lead whenever it can, until ctx ends.
func (m *member) leadAgainAndAgain(ctx context.Context, grants chan<- granted, over chan<- reign) {
	for {
		g := <-m.contend(ctx)
		if g.err != nil {
			return
		}
		grants <- g
		select {
		case <-g.tenure.Lost():
			elapse(stopGrace) // Lead takes all of its grace
		case <-ctx.Done():
		}
		over <- reign{id: m.id, from: g.at, until: time.Now(), epoch: int64(g.tenure.Guard().Epoch())}
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = g.tenure.Release(release) // what cannot be removed goes with the session
		cancel()
	}
}

// nextGrant waits for a grant.
func nextGrant(t *testing.T, grants <-chan granted) granted {
	t.Helper()
	select {
	case g := <-grants:
		return g
	case <-within(t).Done():
		t.Fatal("nobody was granted leadership within minutes")
		return granted{}
	}
}
