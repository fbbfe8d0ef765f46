package zk

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// CURATOR-444: after the servers had been cut off from one another for about a session
// time-out two latches led at once, as one of them was not told of its loss when it was
// connected again. Here the old term ends by its lease while the ensemble is away.
func TestNoOutageOfTheEnsembleMakesTwoLeaders(t *testing.T) {
	for name, outage := range map[string]struct{ begin, end func(*zookeepertest.Fake) }{
		"nothing passes": {
			func(f *zookeepertest.Fake) { f.Freeze() },
			func(f *zookeepertest.Fake) { f.Unfreeze() },
		},
		"no reply passes": {
			func(f *zookeepertest.Fake) { f.Freeze(zookeepertest.ToClient) },
			func(f *zookeepertest.Fake) { f.Unfreeze() },
		},
		"no server listens": {
			func(f *zookeepertest.Fake) { f.Refuse(true); f.Drop() },
			func(f *zookeepertest.Fake) { f.Refuse(false) },
		},
	} {
		for _, policy := range []DisconnectPolicy{Ride, StepDown} {
			t.Run(fmt.Sprintf("CURATOR-444 %s policy %d", name, policy), func(t *testing.T) {
				for away := sessionTimeout / 8; away <= 2*sessionTimeout+2*tick; away += sessionTimeout / 8 {
					inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
						ctx, stop := context.WithCancel(t.Context())
						all := reignsOf(ctx, join(t, fake, "a", policy), join(t, fake, "b", policy))
						elapse(3*sessionTimeout + 11*time.Nanosecond)
						outage.begin(fake)
						elapse(away)
						outage.end(fake)
						elapse(4 * sessionTimeout)
						stop()
						what := fmt.Sprintf("away for %v", away)
						terms := <-all
						wantOneAtATime(t, what, terms)
						if n := lasting(terms); n != 1 {
							t.Errorf("%s: %d lead in the end, want one; terms %+v", what, n, terms)
						}
					})
				}
			})
		}
	}
}

// reignsOf has the members contend until ctx ends, and then returns all their terms.
func reignsOf(ctx context.Context, members ...*member) <-chan []reign {
	done := make(chan []reign, 1)
	var parts sync.WaitGroup
	var mu sync.Mutex
	var all []reign
	for _, m := range members {
		parts.Go(func() {
			m.reigns(ctx, func(r reign) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, r)
			})
		})
	}
	go func() {
		parts.Wait()
		done <- all
	}()
	return done
}

// wantOneAtATime fails the test when terms overlap.
func wantOneAtATime(t *testing.T, what string, terms []reign) {
	t.Helper()
	for _, r := range terms {
		for _, next := range terms {
			if next.epoch > r.epoch && next.from.Before(r.until) {
				t.Errorf("%s: %s was granted epoch %d, %v before %s had left epoch %d",
					what, next.id, next.epoch, r.until.Sub(next.from), r.id, r.epoch)
			}
		}
	}
}

// lasting counts the terms that last until now, in virtual time.
func lasting(terms []reign) int {
	n, now := 0, time.Now()
	for _, r := range terms {
		if !r.until.Before(now) {
			n++
		}
	}
	return n
}

// CURATOR-504 and its copy CURATOR-644: a reconnect gave the latch a new node while an
// event of its predecessor looked for the old one; each of the two reset the other's
// work, so that nodes were made and deleted without end. Here one goroutine does all,
// and a contender keeps its node for as long as its session lives.
func TestAContenderKeepsItsNodeThroughReconnects(t *testing.T) {
	isAny := func(r zookeepertest.Request) bool { return r.Op != zookeepertest.OpPing }
	isRewatch := func(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpSetWatches }
	for losses := range 7 {
		for name, leave := range map[string]func(b *member, release func() error) <-chan error{
			"away": func(b *member, release func() error) <-chan error {
				b.link.Refuse(true)
				b.link.Drop()
				left := make(chan error, 1)
				left <- release()
				b.link.Refuse(false)
				return left
			},
			"connected again": func(b *member, release func() error) <-chan error {
				left := before(b.link, isRewatch, release)
				b.link.Drop()
				return left
			},
		} {
			t.Run(fmt.Sprintf("CURATOR-504 CURATOR-644 the predecessor leaves while %s, %d more losses", name, losses), func(t *testing.T) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
					mine := a.lead(t)
					waiting := b.queues(within(t), t, fake)
					session := b.sessionOf(t).ID()
					own := nodeOf(fake, session)
					left := leave(b, func() error { return mine.Release(within(t)) })
					for range losses {
						b.link.DropReplyOf(isAny)
					}
					strikes(t, left)
					next := wins(t, fake, waiting)
					if next.guard.Path() != own || joins(fake, session) != 1 {
						t.Errorf("granted %s after %d nodes, want its first one, %s", next.guard.Path(), joins(fake, session), own)
					}
					must(t, next.Release(within(t)))
				})
			})
		}
	}
}

// CURATOR-724: after a reconnect the latch's parent was not there any more; the list
// failed with NoNode, which was logged, and nobody contended ever again. Here a
// candidacy that does not find its node begins anew, and makes the latch if need be.
func TestContendersSurviveTheLossOfTheLatch(t *testing.T) {
	t.Run("CURATOR-724 gone when they are connected again", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, b, op := join(t, fake, "a", Ride), join(t, fake, "b", Ride), operator(t, fake)
			mine := a.lead(t)
			waiting := b.queues(within(t), t, fake)
			for _, m := range []*member{a, b} {
				m.link.Refuse(true)
				m.link.Drop()
			}
			must(t, removeLatch(t, fake, op))
			for _, m := range []*member{a, b} {
				m.link.Refuse(false)
			}
			<-mine.Lost()
			wantErr(t, "reason", mine.Err(), election.ErrNodeDeleted)
			must(t, mine.Release(within(t)))
			takeTurns(t, fake, waiting, a.contend(within(t)))
		})
	})
	t.Run("CURATOR-724 gone before the list", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, op := join(t, fake, "a", Ride), operator(t, fake)
			struck := before(a.link, isList, func() error { return removeLatch(t, fake, op) })
			won := a.contend(within(t))
			strikes(t, struck)
			takeTurns(t, fake, won)
		})
	})
	for name, writes := range map[string]int{"younger": 0, "older": 100} {
		t.Run("CURATOR-724 the ensemble comes back empty and "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, former *zookeepertest.Fake) {
				var now atomic.Pointer[zookeepertest.Fake]
				now.Store(former)
				dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
					return now.Load().DialContext(ctx, network, addr)
				}
				next := zookeepertest.NewFake(zookeepertest.FakeConfig{TickTime: tick})
				t.Cleanup(next.Close)
				cfg := zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, SessionTimeout: sessionTimeout, Dial: dial}
				a, b := joinWith(t, cfg, "a"), joinWith(t, cfg, "b")
				mine := a.lead(t)
				waiting := b.queues(within(t), t, former)
				makeHistory(t, former, 50)
				makeHistory(t, next, writes)
				now.Store(next)
				former.Refuse(true)
				former.Drop()
				<-mine.Lost()
				_ = mine.Release(within(t)) // what it could not remove is gone
				takeTurns(t, next, waiting, a.contend(within(t)))
			})
		})
	}
}

// removeLatch deletes the latch and what is above and below it.
func removeLatch(t *testing.T, fake *zookeepertest.Fake, op *zookeeper.Session) error {
	t.Helper()
	for _, node := range append(slices.Clone(nodes(fake)), latchPath, "/c") {
		if err := op.Delete(within(t), node, -1); err != nil {
			return err
		}
	}
	return nil
}

// takeTurns has each of the campaigns lead once, one at a time.
func takeTurns(t *testing.T, fake *zookeepertest.Fake, campaigns ...<-chan granted) {
	t.Helper()
	merged := make(chan granted, len(campaigns))
	for _, won := range campaigns {
		go func() { merged <- <-won }()
	}
	for range campaigns {
		one := wins(t, fake, merged)
		elapse(sessionTimeout)
		wantWaiting(t, "while one leads", merged)
		wantOneLeader(t, "while one leads", one)
		must(t, one.Release(within(t)))
	}
}

// joinWith is join with a client of the test's choice.
func joinWith(t *testing.T, cfg zookeeper.Config, id string) *member {
	t.Helper()
	client, err := zookeeper.New(cfg)
	must(t, err)
	driver, err := New(Config{Client: client, Latch: latchPath})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return &member{Driver: driver, id: id, client: client}
}

// makeHistory makes the server's counter grow, and uses up the first session ids: those
// of two fakes are the same.
func makeHistory(t *testing.T, fake *zookeepertest.Fake, writes int) {
	t.Helper()
	for range 4 {
		must(t, operator(t, fake).Close())
	}
	op := operator(t, fake)
	for range writes {
		must(t, op.Multi(within(t), zookeeper.CreateOp("/h", nil, zookeeper.Persistent), zookeeper.DeleteOp("/h", -1)))
	}
	must(t, op.Close())
}
