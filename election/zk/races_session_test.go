package zk

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// wantGoneBySession fails the test unless the node went with the end of its session,
// and nobody deleted it.
func wantGoneBySession(t *testing.T, fake *zookeepertest.Fake, node string) {
	t.Helper()
	if _, exists := fake.Node(node); exists {
		t.Errorf("%s is still there", node)
	}
	for _, txn := range fake.Txns() {
		for _, w := range txn.Writes() {
			if w.Op == zookeepertest.OpDelete && w.Path == node {
				t.Errorf("%s was deleted by session %#x, want it left to the end of its own", node, txn.Session)
			}
		}
	}
}

// CURATOR-498: after a lost reply the create was tried again in the next session, and
// took the node of the ending session, which it found by its name, for its own: it went
// with that session, and its contender led without a node. Here each try to join has a
// name of its own, and what is found must be of the session.
func TestANodeOfTheSessionBeforeIsNotAdopted(t *testing.T) {
	t.Run("CURATOR-498 the reply is lost in both sessions", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a := join(t, fake, "a", Ride)
			must(t, operator(t, fake).EnsurePath(within(t), latchPath, zookeeper.Container))
			first := a.sessionOf(t)
			lost := a.link.DropReplyOf(isJoin)
			a.link.Refuse(true)
			won := a.contend(within(t))
			<-lost
			old := nodeOf(fake, first.ID())
			first.Abandon() // it counts as expired here, and lives on the server
			again := a.link.DropReplyOf(isJoin)
			a.link.Refuse(false)
			<-again
			elapse(sessionTimeout / 2)
			if _, exists := fake.Node(old); !exists {
				t.Fatal("the session before is over already: the race was not brought about")
			}
			wantWaiting(t, "while the node of the session before is there", won)

			mine := wins(t, fake, won)
			wantNodes(t, fake, "while it leads", mine.guard.Path())
			wantGoneBySession(t, fake, old)
			if ended, _ := fake.SessionExpiredAt(first.ID()); ended.IsZero() {
				t.Errorf("granted while session %#x, whose node was first, lives", first.ID())
			}
			must(t, mine.Release(within(t)))
		})
	})
	t.Run("CURATOR-498 the name is found with another owner", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, dying := join(t, fake, "a", Ride), operator(t, fake)
			must(t, dying.EnsurePath(within(t), latchPath, zookeeper.Container))
			own := a.sessionOf(t)
			name := make(chan string, 1)
			lost := a.link.DropRequestOf(func(r zookeepertest.Request) bool {
				if !isJoin(r) {
					return false
				}
				name <- r.Path
				return true
			})
			a.link.Refuse(true)
			won := a.contend(within(t))
			<-lost
			foreign := <-name + "0000000000"
			must(t, dying.Create(within(t), foreign, nil, zookeeper.Ephemeral))
			a.link.Refuse(false)
			elapse(sessionTimeout)
			wantWaiting(t, "while another session's node is first", won)
			if own.Err() != nil {
				t.Errorf("the contender's session ended: %v, want it to contend behind the other one", own.Err())
			}
			must(t, dying.Close())
			mine := wins(t, fake, won)
			must(t, mine.Release(within(t)))
			wantGoneBySession(t, fake, foreign)
		})
	})
}

// CURATOR-696: a leader whose session had expired was connected again while its node
// was still listed, and took leadership by that node, which went a moment later and was
// not watched. Here a term ends with its session, and a candidacy knows no node but the
// one that it has made.
func TestALeaderWhoseSessionEndedIsNotElectedByItsOldNode(t *testing.T) {
	t.Run("CURATOR-696 the old node is still listed", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
			first := a.lead(t)
			waiting := b.queues(within(t), t, fake)
			old := first.guard.Path()
			first.session.Abandon() // the server will notice in a session time-out
			<-first.Lost()
			wantErr(t, "reason", first.Err(), election.ErrSessionExpired)
			again := a.contend(within(t))
			elapse(sessionTimeout / 2)
			if now := nodes(fake); len(now) != 3 || now[0] != min(now[0], now[1], now[2]) {
				t.Fatalf("latch nodes %q, want the old one and two that wait: the race was not brought about", now)
			}
			wantWaiting(t, "the former leader, while its old node is first", again)
			wantWaiting(t, "the next one, while the old node is first", waiting)
			wantErr(t, "the guard of the ended term", first.guard.Err(), leader.ErrFenced)
			if err := first.guard.Commit(within(t)); err == nil {
				t.Error("a write of the ended term was accepted")
			}

			second := wins(t, fake, waiting)
			wantGoneBySession(t, fake, old)
			wantWaiting(t, "the former leader, behind the next one", again)
			must(t, second.Release(within(t)))
			third := wins(t, fake, again)
			must(t, third.Release(within(t)))
		})
	})
}

// CURATOR-620: two reconnects in quick succession ran the evaluation twice; one made
// the latch the leader, the other deleted the node by which it led. Here a reconnect
// deletes nothing, and a leader whose node is deleted all the same steps down.
func TestReconnectsInQuickSuccessionLeaveTheLeaderItsNode(t *testing.T) {
	t.Run("CURATOR-620 two reconnects", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
			mine := a.lead(t)
			waiting := b.contend(within(t))
			for range 5 {
				a.link.Drop()
				synctest.Wait()
				elapse(time.Millisecond)
				a.link.Drop() // before anything that the first one started is over
				elapse(sessionTimeout / 2)
			}
			wantOneLeader(t, "after the reconnects", mine)
			wantWaiting(t, "after the reconnects", waiting)
			wantLive(t, fake, mine)
			if got := joins(fake, mine.session.ID()); got != 1 {
				t.Errorf("the leader made %d nodes, want one", got)
			}
			must(t, mine.Release(within(t)))
			next := wins(t, fake, waiting)
			must(t, next.Release(within(t)))
		})
	})
	for name, strike := range moments() {
		t.Run("CURATOR-620 the node goes "+name+" the confirmation", func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, op := join(t, fake, "a", Ride), operator(t, fake)
				session := a.sessionOf(t)
				struck := strike(a.link, isCheck, func() error {
					return op.Delete(within(t), nodeOf(fake, session.ID()), -1)
				})
				won := a.contend(within(t))
				strikes(t, struck)
				g := <-won
				must(t, g.err)
				if g.tenure.session == session { // confirmed while the node was there
					if name == "before" {
						t.Errorf("granted %s, which was gone when it was checked", g.tenure.guard.Path())
					}
					<-g.tenure.Lost()
					wantErr(t, "reason", g.tenure.Err(), election.ErrNodeDeleted)
					must(t, g.tenure.Release(within(t)))
					g.tenure = a.lead(t)
				}
				wantLive(t, fake, g.tenure)
				if err := session.Err(); !errors.Is(err, zookeeper.ErrClosed) {
					t.Errorf("the session whose node was deleted ended with %v, want %v", err, zookeeper.ErrClosed)
				}
				must(t, g.tenure.Release(within(t)))
			})
		})
	}
}

// Whatever a candidacy was made from, a node that another session owns is not led by:
// it would go with that session, and the lease is of this one.
func TestANodeOfAnotherSessionIsNotLedBy(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, dying := join(t, fake, "a", Ride), operator(t, fake)
		node, stat, err := dying.CreateProtected(within(t), latchPath, latchSuffix, []byte("a"))
		must(t, err)
		s := a.sessionOf(t)
		k := candidacy{d: a.Driver, s: s, who: a.candidate(), guard: s.Guard(node), stat: stat}
		won, err := k.await(within(t))
		wantErr(t, "contend by another session's node", err, errAgain)
		if won != nil {
			must(t, won.Release(within(t)))
			t.Fatal("granted by a node of another session")
		}
		if !closed(s.Done()) {
			t.Error("the session goes on, want it closed: nothing of the candidacy may stay")
		}
	})
}

// A contender that is first and whose check is not answered until its session has ended
// lost nothing to anybody: its log must not have an operator look for who deleted it.
func TestASessionThatEndsUnderTheCheckIsNotTakenForADeletion(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a := join(t, fake, "a", Ride)
		var log bytes.Buffer // written by the goroutine that campaigns
		a.log = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &log})
		old, err := a.client.Session(within(t))
		must(t, err)
		a.link.Refuse(true)
		a.link.DropRequestOf(func(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpMulti })
		won := a.contend(within(t))
		<-old.Done()
		elapse(time.Second)
		a.link.Refuse(false)
		g := <-won
		must(t, g.err)
		if g.tenure.session.ID() == old.ID() {
			t.Fatalf("granted in session %#x, which has ended", old.ID())
		}
		if said := log.String(); strings.Contains(said, "deleted") {
			t.Errorf("nobody deleted anything, and the log says %q", said)
		}
		must(t, g.tenure.Release(within(t)))
	})
}
