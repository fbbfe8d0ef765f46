package zk

import (
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// CURATOR-537: the path that is to fence a leader was read when leadership was
// announced, and named the node that a reconnect had made meanwhile, not the one that
// was elected. Here the guard is part of the tenure and names the node of its candidacy,
// whatever becomes of that.
func TestAGuardIsOfTheNodeThatWasElected(t *testing.T) {
	for k := 1; k <= 8; k++ {
		t.Run(fmt.Sprintf("CURATOR-537 the node is made anew at request %d after the first", k), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, op := join(t, fake, "a", Ride), operator(t, fake)
				must(t, op.EnsurePath(within(t), latchPath, zookeeper.Container))
				session, n, gone := a.sessionOf(t).ID(), 0, make(chan string, 1)
				struck := before(a.link, func(r zookeepertest.Request) bool {
					if n > 0 || isJoin(r) {
						n++
					}
					return n > k
				}, func() error {
					node := nodeOf(fake, session)
					gone <- node
					return op.Delete(within(t), node, -1)
				})
				won := a.lead(t)
				strikes(t, struck)
				if won.guard.Path() == <-gone { // it led already: one of its renewals was struck
					wantTokenOutlives(t, fake, a, won)
					return
				}
				wantToken(t, fake, won)
				must(t, won.Release(within(t)))
			})
		})
	}
}

// The same when the newest node at the latch is another one.
func TestAGuardIsNotOfANodeThatCameLater(t *testing.T) {
	for name, strike := range moments() {
		t.Run("CURATOR-537 others join "+name+" the confirmation", func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, op := join(t, fake, "a", Ride), operator(t, fake)
				session := a.sessionOf(t)
				struck := strike(a.link, isCheck, func() error {
					_, _, err := op.CreateProtected(within(t), latchPath, latchSuffix, []byte("a")) // by the same name
					return err
				})
				won := a.lead(t)
				strikes(t, struck)
				wantToken(t, fake, won)
				if first := nodes(fake); len(first) != 2 || won.session != session || !isFirst(won.guard.Path(), first) {
					t.Errorf("granted %s of session %#x, want the first of %q, of session %#x",
						won.guard.Path(), won.session.ID(), first, session.ID())
				}
				must(t, won.Release(within(t)))
			})
		})
	}
}

// isFirst reports whether the node has the lowest sequence.
func isFirst(node string, all []string) bool {
	var names []string
	for _, one := range all {
		names = append(names, path.Base(one))
	}
	return contenders(names)[0] == path.Base(node)
}

// wantToken fails the test unless the tenure's token is that of its node, and good.
func wantToken(t *testing.T, fake *zookeepertest.Fake, won *tenure) {
	t.Helper()
	wantLive(t, fake, won)
	must(t, won.guard.Commit(within(t)))
	token, ok := leader.Token[zookeeper.Guard](won.Guard())
	if !ok || token.Path() != won.guard.Path() {
		t.Errorf("the token is %v, want one of %s", won.Guard(), won.guard.Path())
	}
}

// wantTokenOutlives has the same contender lead again, and fails the test unless each
// token goes on to be that of its own node, of which the former's is no good.
func wantTokenOutlives(t *testing.T, fake *zookeepertest.Fake, m *member, former *tenure) {
	t.Helper()
	epoch, node := former.Guard().Epoch(), former.guard.Path()
	<-former.Lost()
	must(t, former.Release(within(t)))
	next := m.lead(t)
	wantToken(t, fake, next)
	if former.Guard().Epoch() != epoch || former.guard.Path() != node || next.Guard().Epoch() <= epoch {
		t.Errorf("the former token is %v of %s, want epoch %d of %s as before, and %d to be larger",
			former.Guard(), former.guard.Path(), epoch, node, next.Guard().Epoch())
	}
	wantErr(t, "a write of the former term, while the same contender leads", former.guard.Commit(within(t)), leader.ErrFenced)
	must(t, next.Release(within(t)))
}

// CURATOR-653: two latches were reset by the same reconnect. One became the leader when
// the other's node went, then deleted its own, which its reset had still before it; it
// found itself second, waited, and was never told that it led no longer. Here leadership
// is the tenure of one node and ends with that node, and who waits holds none.
func TestALeaderThatFindsItselfSecondLeadsNoLonger(t *testing.T) {
	t.Run("CURATOR-653 its node goes after the grant", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, b, op := join(t, fake, "a", Ride), join(t, fake, "b", Ride), operator(t, fake)
			first := b.lead(t)
			waitingA := a.queues(within(t), t, fake)
			fake.Drop() // both reconnect
			must(t, first.Release(within(t)))
			waitingB := b.contend(within(t))
			second := wins(t, fake, waitingA)
			wantWaiting(t, "behind the second", waitingB)

			must(t, op.Delete(within(t), second.guard.Path(), -1))
			third := wins(t, fake, waitingB)
			wantErr(t, "a write of the leader whose node went", second.guard.Commit(within(t)), leader.ErrFenced)
			wantOneLeader(t, "when its node has gone", second, third)
			wantErr(t, "reason", second.Err(), election.ErrNodeDeleted)

			must(t, second.Release(within(t)))
			behind := a.contend(within(t))
			elapse(3 * sessionTimeout)
			wantWaiting(t, "the former leader, found second", behind)
			wantOneLeader(t, "with the former leader behind", second, third)
			must(t, third.Release(within(t)))
			fourth := wins(t, fake, behind)
			must(t, fourth.Release(within(t)))
		})
	})
	for name, at := range map[string]matcher{"list": isList, "confirmation": isCheck} {
		for when, strike := range moments() {
			t.Run("CURATOR-653 its node goes "+when+" the "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					a, b, op := join(t, fake, "a", Ride), join(t, fake, "b", Ride), operator(t, fake)
					first := b.lead(t)
					waitingA := a.queues(within(t), t, fake)
					session := a.sessionOf(t)
					own := nodeOf(fake, session.ID())
					var waitingB <-chan granted
					struck := strike(a.link, at, func() error {
						waitingB = b.contend(within(t))
						elapse(100 * time.Microsecond) // it is in line before a can be again
						return op.Delete(within(t), own, -1)
					})
					must(t, first.Release(within(t)))
					strikes(t, struck)

					second := wins(t, fake, waitingB)
					elapse(time.Second)
					if len(waitingA) > 0 { // confirmed before its node went, and told at once
						g := <-waitingA
						must(t, g.err)
						if when == "before" {
							t.Errorf("granted %s, which was gone at its %s", g.tenure.guard.Path(), name)
						}
						wantOneLeader(t, "after a grant that was over at once", g.tenure, second)
						wantErr(t, "reason", g.tenure.Err(), election.ErrNodeDeleted)
						must(t, g.tenure.Release(within(t)))
						waitingA = a.contend(within(t))
					}
					elapse(3 * sessionTimeout)
					wantWaiting(t, "the one whose node went", waitingA)
					wantOneLeader(t, "in the end", second)
					must(t, second.Release(within(t)))
					third := wins(t, fake, waitingA)
					must(t, third.Release(within(t)))
				})
			})
		}
	}
}
