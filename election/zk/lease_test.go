package zk

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// seeds is how many histories are tried for each policy.
const seeds = 150

// trouble disturbs a link at random for as long as ctx lives: requests and replies
// are late, and now and then the network hangs in one or both directions, or breaks.
// All durations are odd nanoseconds, so that no two things happen at one instant.
func trouble(ctx context.Context, link *zookeepertest.Link, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	upTo := func(d time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.Int64N(int64(d)))
	}
	slow := sessionTimeout >> (3 + upTo(5)) // the longest delay of this history
	link.Delay(func(zookeepertest.Request) (before, after time.Duration) {
		if upTo(3) > 0 {
			return 0, 0
		}
		return upTo(slow), upTo(slow)
	})
	defer link.Delay(nil)
	for ctx.Err() == nil {
		select {
		case <-time.After(upTo(2 * sessionTimeout)):
		case <-ctx.Done():
			return
		}
		switch upTo(5) {
		case 0:
			link.Drop()
			continue
		case 1:
			link.Freeze(zookeepertest.ToServer)
		case 2:
			link.Freeze(zookeepertest.ToClient)
		default:
			link.Freeze()
		}
		select {
		case <-time.After(upTo(3 * sessionTimeout / 2)):
		case <-ctx.Done():
		}
		link.Unfreeze()
	}
}

// reign is a term as its leader saw it: from the grant until Lead must have
// returned, the stop grace after the loss was reported.
type reign struct {
	id      string
	session int64
	from    time.Time
	until   time.Time
	epoch   int64
}

// reigns has a member lead again and again, and notes each term.
func (m *member) reigns(ctx context.Context, note func(reign)) {
	for {
		g := <-m.contend(ctx)
		if g.err != nil {
			return
		}
		r := reign{id: m.id, session: g.tenure.session.ID(), from: g.at, epoch: int64(g.tenure.Guard().Epoch())}
		select {
		case <-g.tenure.Lost():
			elapse(stopGrace) // Lead takes all of its grace
		case <-ctx.Done():
		}
		r.until = time.Now()
		note(r)
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = g.tenure.Release(release) // what cannot be removed goes with the session
		cancel()
	}
}

// A leader has stopped before the ensemble ends its session, and so before anybody
// else is granted leadership, whatever the network does.
func TestALeaseEndsBeforeTheSessionAndTheNextGrant(t *testing.T) {
	for policy, name := range map[DisconnectPolicy]string{Ride: "ride", StepDown: "step down"} {
		t.Run(name, func(t *testing.T) {
			lost := 0
			for seed := range uint64(seeds) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					lost += history(t, fake, policy, seed)
				})
			}
			if lost < seeds {
				t.Errorf("%d terms were lost in %d histories, too few to tell anything", lost, seeds)
			}
		})
	}
}

// history runs one history and returns how many terms were lost in it.
func history(t *testing.T, fake *zookeepertest.Fake, policy DisconnectPolicy, seed uint64) int {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	var mu sync.Mutex
	var all []reign
	var parts sync.WaitGroup
	for i, id := range []string{"a", "b", "c"} {
		m := join(t, fake, id, policy)
		if id != "c" { // c's network is sound
			parts.Go(func() { trouble(ctx, m.link, seed*3+uint64(i)) })
		}
		parts.Go(func() {
			m.reigns(ctx, func(r reign) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, r)
			})
		})
	}
	parts.Wait()
	for _, r := range all {
		if expired, ok := fake.SessionExpiredAt(r.session); ok && expired.After(r.from) && !r.until.Before(expired) {
			t.Errorf("seed %d: %s led %v beyond the expiry of its session", seed, r.id, r.until.Sub(expired))
		}
		for _, next := range all {
			if next.epoch > r.epoch && next.from.Before(r.until) {
				t.Errorf("seed %d: %s was granted epoch %d %v before %s had to have left epoch %d",
					seed, next.id, next.epoch, r.until.Sub(next.from), r.id, r.epoch)
			}
		}
	}
	if len(all) == 0 {
		t.Errorf("seed %d: nobody ever led", seed)
	}
	return len(all)
}
