package zk

import (
	"context"
	"fmt"
	"path"
	"testing"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Netflix-115: a latch whose predecessor's node went took itself for the leader,
// although the predecessor had only been next in line. Here the event makes a
// contender read the list again, and go on to wait for who is before it now.
func TestAContenderWhosePredecessorLeavesTheQueueGoesOnWaiting(t *testing.T) {
	for name, leave := range map[string]func(fake *zookeepertest.Fake, m *member, cancel func(), session int64){
		"leaves": func(_ *zookeepertest.Fake, _ *member, cancel func(), _ int64) { cancel() },
		"expires": func(fake *zookeepertest.Fake, m *member, _ func(), s int64) {
			m.link.Refuse(true)
			fake.ExpireSession(s)
		},
	} {
		t.Run("Netflix-115 "+name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				leader := join(t, fake, "leader", Ride)
				mine := leader.lead(t)
				var queue []*member
				var waiting []<-chan granted
				var stop []func()
				for _, id := range []string{"second", "third", "fourth"} {
					m := join(t, fake, id, Ride)
					ctx, cancel := context.WithCancel(within(t))
					defer cancel()
					queue, stop = append(queue, m), append(stop, cancel)
					waiting = append(waiting, m.queues(ctx, t, fake))
				}
				last := waiting[2]
				for i := range 2 { // the second goes, then the third
					leave(fake, queue[i], stop[i], queue[i].sessionOf(t).ID())
					elapse(sessionTimeout)
					wantWaiting(t, "while the first leads", last)
					wantOneLeader(t, "while the first leads", mine)
				}
				must(t, mine.Release(within(t)))
				next := wins(t, fake, last)
				for _, cancel := range stop {
					cancel()
				}
				must(t, next.Release(within(t)))
			})
		})
	}
}

// CURATOR-645: a latch that found its predecessor gone when it went to watch it made
// itself a new node; two that did so to one another went on for ever. Here it reads the
// list again and keeps its node: one candidacy, one node.
func TestAContenderWhosePredecessorLeavesBeforeItIsWatchedKeepsItsNode(t *testing.T) {
	for name, strike := range moments() {
		t.Run("CURATOR-645 "+name+" the watch", func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
				const rounds = 10
				for range rounds {
					first := a.lead(t)
					again := make(chan (<-chan granted), 1)
					struck := strike(b.link, isWatchOf(first.guard.Path()), func() error {
						err := first.Release(within(t))
						again <- a.contend(within(t)) // its new node is behind b's
						return err
					})
					won := b.contend(within(t))
					strikes(t, struck)
					second := wins(t, fake, won)
					waiting := <-again
					wantWaiting(t, "behind the second", waiting)
					must(t, second.Release(within(t)))
					third := wins(t, fake, waiting)
					must(t, third.Release(within(t)))
				}
				if got := joins(fake, b.sessionOf(t).ID()); got != rounds {
					t.Errorf("b made %d nodes in %d candidacies, want one for each", got, rounds)
				}
				if got := joins(fake, a.sessionOf(t).ID()); got != 2*rounds {
					t.Errorf("a made %d nodes in %d candidacies, want one for each", got, 2*rounds)
				}
			})
		})
	}
}

// CURATOR-358: asking who leads, or who contends, failed with NoNode when a contender
// left after the list was read. Here who is gone is left out.
func TestContendersThatLeaveAfterTheListAreLeftOut(t *testing.T) {
	for leaver := range 3 {
		t.Run(fmt.Sprintf("CURATOR-358 contender %d leaves", leaver+1), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, op := join(t, fake, "a", Ride), operator(t, fake)
				reader := a.sessionOf(t)
				var all, stay []string
				for i := range 3 {
					node, _, err := op.CreateProtected(within(t), latchPath, latchSuffix, []byte{'x' + byte(i)})
					must(t, err)
					all = append(all, node)
					if i != leaver {
						stay = append(stay, node)
					}
				}
				isReadOf := func(r zookeepertest.Request) bool { return isRead(r) && r.Path == all[leaver] }
				struck := before(a.link, isReadOf, func() error { return op.Delete(within(t), all[leaver], -1) })
				got, err := Contenders(within(t), reader, latchPath)
				must(t, err)
				strikes(t, struck)
				if len(got) != 2 || got[0].Node != stay[0] || got[1].Node != stay[1] {
					t.Errorf("contenders %+v, want those of %q", got, stay)
				}
			})
		})
	}
	t.Run("CURATOR-358 leaders leave one after another", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, op := join(t, fake, "a", Ride), operator(t, fake)
			reader := a.sessionOf(t)
			for i := range 3 {
				_, _, err := op.CreateProtected(within(t), latchPath, latchSuffix, []byte{'x' + byte(i)})
				must(t, err)
			}
			a.link.Delay(everyRead(func(r zookeepertest.Request) {
				if len(nodes(fake)) > 1 {
					if err := op.Delete(within(t), r.Path, -1); err != nil {
						t.Error(err)
					}
				}
			}))
			first, exists, err := First(within(t), reader, latchPath)
			must(t, err)
			if !exists || first.ID != "z" {
				t.Errorf("the first is %+v (exists %v), want z, who stayed", first, exists)
			}
		})
	})
}

// CURATOR-436: the same when the latch itself was not there: not yet, or no longer, as a
// container without children is removed. Here a latch that is not there has nobody.
func TestALatchThatIsNotThereHasNoContenders(t *testing.T) {
	nobody := func(t *testing.T, s *zookeeper.Session) {
		t.Helper()
		if first, exists, err := First(within(t), s, latchPath); exists || err != nil {
			t.Errorf("the first is %+v (exists %v), error %v, want nobody", first, exists, err)
		}
		if all, err := Contenders(within(t), s, latchPath); len(all) > 0 || err != nil {
			t.Errorf("contenders %+v, error %v, want nobody", all, err)
		}
	}
	t.Run("CURATOR-436 never made", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			nobody(t, join(t, fake, "a", Ride).sessionOf(t))
		})
	})
	t.Run("CURATOR-436 removed after the list", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, op := join(t, fake, "a", Ride), operator(t, fake)
			node, _, err := op.CreateProtected(within(t), latchPath, latchSuffix, []byte("x"))
			must(t, err)
			struck := before(a.link, isRead, func() error {
				err := op.Delete(within(t), node, -1)
				fake.RemoveEmptyContainers()
				return err
			})
			nobody(t, a.sessionOf(t))
			strikes(t, struck)
			if _, exists := fake.Node(latchPath); exists {
				t.Errorf("%s is still there: the race was not brought about", latchPath)
			}
		})
	})
	t.Run("CURATOR-436 removed before the contender's node", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, op := join(t, fake, "a", Ride), operator(t, fake)
			must(t, op.EnsurePath(within(t), latchPath, zookeeper.Container))
			struck := before(a.link, isJoin, func() error { return op.Delete(within(t), latchPath, -1) })
			won := a.contend(within(t))
			strikes(t, struck)
			mine := wins(t, fake, won)
			if got := path.Dir(mine.guard.Path()); got != latchPath {
				t.Errorf("granted a node of %s, want one of %s", got, latchPath)
			}
			must(t, mine.Release(within(t)))
		})
	})
}
