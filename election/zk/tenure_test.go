package zk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestAContenderWhoseNodeWasDeletedLeavesNothingOfItsSession(t *testing.T) {
	t.Run("waiting", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, b, op := join(t, fake, "a", Ride), join(t, fake, "b", Ride), operator(t, fake)
			first := a.lead(t)
			waiting := b.contend(within(t))
			synctest.Wait()
			old, err := b.client.Session(within(t))
			must(t, err)
			for _, node := range nodes(fake) {
				if node != first.guard.Path() {
					must(t, op.Delete(within(t), node, -1))
				}
			}
			elapse(time.Second)
			if !closed(old.Done()) {
				t.Error("the session whose node was deleted lives")
			}
			if n := len(nodes(fake)); n != 2 {
				t.Errorf("%d contenders, want the leader and one that contends again", n)
			}
			must(t, first.Release(within(t)))
			next := <-waiting
			must(t, next.err)
			wantLive(t, fake, next.tenure)
			must(t, next.tenure.Release(within(t)))
		})
	})
	t.Run("leading", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			a, op := join(t, fake, "a", Ride), operator(t, fake)
			first := a.lead(t)
			must(t, first.Publish(within(t), info(first, "a")))
			must(t, op.Delete(within(t), first.guard.Path(), -1))
			<-first.Lost()
			wantErr(t, "reason", first.Err(), election.ErrNodeDeleted)
			wantErr(t, "publish", first.Publish(within(t), info(first, "a")), leader.ErrFenced)
			must(t, first.Release(within(t)))
			if !closed(first.session.Done()) {
				t.Error("the session whose node was deleted lives")
			}
			if _, exists := published(t, fake); exists {
				t.Error("information of the deposed leader is still published")
			}
			second := a.lead(t)
			if second.session.ID() == first.session.ID() || second.Guard().Epoch() <= first.Guard().Epoch() {
				t.Errorf("session %#x and epoch %d follow session %#x and epoch %d, want new ones",
					second.session.ID(), second.Guard().Epoch(), first.session.ID(), first.Guard().Epoch())
			}
			must(t, second.Release(within(t)))
		})
	})
}

// What the list said may be over when leadership is granted: only the guarded check
// decides.
func TestAGrantWaitsForAGuardedCheck(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, op := join(t, fake, "a", Ride), operator(t, fake)
		checking := make(chan string, 1)
		a.link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Op != zookeepertest.OpMulti {
				return 0, 0
			}
			select {
			case checking <- r.Ops[0].Path:
			default:
			}
			return time.Second, 0
		})
		won := a.contend(within(t))
		first := <-checking
		if len(won) > 0 {
			t.Error("granted before the check was answered")
		}
		must(t, op.Delete(within(t), first, -1))
		g := <-won
		must(t, g.err)
		if g.tenure.guard.Path() == first {
			t.Errorf("granted %s, whose check has failed", first)
		}
		wantLive(t, fake, g.tenure)
		must(t, g.tenure.Release(within(t)))
	})
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want one that wraps %v", what, err, want)
	}
}

func TestForeignChildrenOfTheLatchAreIgnored(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		op := operator(t, fake)
		must(t, op.EnsurePath(within(t), latchPath, zookeeper.Container))
		for _, name := range []string{"!x", "lock-0000000001"} {
			must(t, op.Create(within(t), latchPath+"/"+name, nil, zookeeper.Persistent))
		}
		mine := join(t, fake, "a", Ride).lead(t)
		wantLive(t, fake, mine)
		must(t, mine.Release(within(t)))
		wantNodes(t, fake, "after the release", latchPath+"/!x", latchPath+"/lock-0000000001")
	})
}

func TestAContenderOfAnotherImplementationIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		op := operator(t, fake)
		curator, _, err := op.CreateProtected(within(t), latchPath, latchSuffix, []byte("java"))
		must(t, err)
		waiting := join(t, fake, "a", Ride).contend(within(t))
		elapse(time.Minute)
		if len(waiting) > 0 {
			t.Error("granted while another contender leads")
		}
		must(t, op.Delete(within(t), curator, -1))
		g := <-waiting
		must(t, g.err)
		must(t, g.tenure.Release(within(t)))
	})
}

func TestAStopGraceThatLeavesNoLeaseIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a := join(t, fake, "a", Ride)
		_, err := a.Campaign(within(t), election.Candidate{ID: "a", StopGrace: sessionTimeout / 2})
		if err == nil || !strings.Contains(err.Error(), "lower the grace or raise the time-out") {
			t.Errorf("error %v, want one that says what to change", err)
		}
		wantNodes(t, fake, "after the refusal")
	})
}

func TestAStrayWriteToALatchNodeNeitherDisarmsNorDeposes(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, b, op := join(t, fake, "a", Ride), join(t, fake, "b", Ride), operator(t, fake)
		mine := a.lead(t)
		waiting := b.contend(within(t))
		synctest.Wait()
		for range 3 {
			for _, node := range nodes(fake) {
				must(t, op.Multi(within(t), zookeeper.SetOp(node, []byte("stray"), -1)))
			}
			elapse(2 * sessionTimeout)
		}
		if closed(mine.Lost()) {
			t.Errorf("the leader was deposed: %v", mine.Err())
		}
		if len(waiting) > 0 {
			t.Error("another contender was granted leadership")
		}
		must(t, mine.guard.Commit(within(t), zookeeper.CreateOp("/job", nil, zookeeper.Persistent)))
		start := time.Now()
		must(t, mine.Release(within(t)))
		next := <-waiting
		must(t, next.err)
		if took := time.Since(start); took > time.Second {
			t.Errorf("the successor was granted after %v, want at once: its watch was used up", took)
		}
		must(t, next.tenure.Release(within(t)))
	})
}

// A stray write uses up the leader's own watch, which is set again.
func TestADeletionAfterAStrayWriteIsNoticedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, op := join(t, fake, "a", Ride), operator(t, fake)
		mine := a.lead(t)
		for range 3 {
			must(t, op.Multi(within(t), zookeeper.SetOp(mine.guard.Path(), []byte("stray"), -1)))
			elapse(sessionTimeout / 50) // before the next renewal
		}
		start := time.Now()
		must(t, op.Delete(within(t), mine.guard.Path(), -1))
		<-mine.Lost()
		wantErr(t, "reason", mine.Err(), election.ErrNodeDeleted)
		if took := time.Since(start); took > sessionTimeout/100 {
			t.Errorf("noticed after %v, want at once", took)
		}
		must(t, mine.Release(within(t)))
	})
}

func TestReleaseRemovesInfoAndNodeInOneTransaction(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a := join(t, fake, "a", Ride)
		mine := a.lead(t)
		rest := info(mine, "a")
		rest.Component = leader.RESTServer
		must(t, mine.Publish(within(t), info(mine, "a"), rest))
		before := len(fake.Txns())
		must(t, mine.Release(within(t)))
		var removed [][]string
		for _, txn := range fake.Txns()[before:] {
			var paths []string
			for _, w := range txn.Writes() {
				paths = append(paths, string(w.Op)+" "+w.Path)
			}
			slices.Sort(paths)
			removed = append(removed, paths)
		}
		want := []string{
			"delete " + mine.guard.Path(),
			"delete " + leadersPath + "/" + leader.Dispatcher,
			"delete " + leadersPath + "/" + leader.RESTServer,
		}
		if len(removed) != 1 || !slices.Equal(removed[0], want) {
			t.Errorf("the release wrote %q, want one transaction %q", removed, want)
		}
		wantErr(t, "publish after the release", mine.Publish(within(t), info(mine, "a")), leader.ErrFenced)
	})
}

func TestPublishReplacesWhatSomebodyElseLeft(t *testing.T) {
	for name, mode := range map[string]zookeeper.Mode{"persistent": zookeeper.Persistent, "another session's": zookeeper.Ephemeral} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				op := operator(t, fake)
				must(t, op.EnsurePath(within(t), leadersPath, zookeeper.Persistent))
				must(t, op.Create(within(t), leadersPath+"/"+leader.Dispatcher, []byte("foreign"), mode))
				mine := join(t, fake, "a", Ride).lead(t)
				must(t, mine.Publish(within(t), info(mine, "a")))
				got, _ := published(t, fake)
				node, _ := fake.Node(leadersPath + "/" + leader.Dispatcher)
				if got.Epoch != mine.Guard().Epoch() || node.Owner != mine.session.ID() {
					t.Errorf("epoch %d of session %#x is published, want %d of %#x",
						got.Epoch, node.Owner, mine.Guard().Epoch(), mine.session.ID())
				}
				must(t, mine.Release(within(t)))
				if _, exists := published(t, fake); exists {
					t.Error("the info outlived its term")
				}
			})
		})
	}
}

func TestReleaseWithoutAConnectionLeavesTheNodeToTheTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
		mine := a.lead(t)
		must(t, mine.Publish(within(t), info(mine, "a")))
		waiting := b.contend(within(t))
		synctest.Wait()
		a.link.Refuse(true)
		a.link.Drop()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := mine.Release(ctx)
		if err == nil || !strings.Contains(err.Error(), "the session was closed instead") {
			t.Errorf("release: %v, want an error that says what becomes of the node", err)
		}
		if !closed(mine.session.Done()) {
			t.Error("the session lives, and with it the node")
		}
		next := <-waiting
		must(t, next.err)
		ended, expired := fake.SessionExpiredAt(mine.session.ID())
		if !expired || next.at.Before(ended) {
			t.Errorf("granted at %v, the session of the former leader expired at %v, %v", next.at, ended, expired)
		}
		must(t, next.tenure.Release(within(t)))
		a.link.Refuse(false)
	})
}

// The latch node is gone, whoever deleted it while the release's reply was lost: no
// info may stay behind in a session that goes on.
func TestReleaseLeavesNoInfoWhenItsNodeWasDeletedMeanwhile(t *testing.T) {
	isRelease := func(r zookeepertest.Request) bool {
		return r.Op == zookeepertest.OpMulti && len(r.Ops) > 1
	}
	for name, drop := range map[string]func(*zookeepertest.Link) <-chan struct{}{
		"reply lost":   func(l *zookeepertest.Link) <-chan struct{} { return l.DropReplyOf(isRelease) },
		"request lost": func(l *zookeepertest.Link) <-chan struct{} { return l.DropRequestOf(isRelease) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, op := join(t, fake, "a", Ride), operator(t, fake)
				mine := a.lead(t)
				must(t, mine.Publish(within(t), info(mine, "a")))
				lost := drop(a.link)
				a.link.Refuse(true)
				released := make(chan error, 1)
				go func() { released <- mine.Release(within(t)) }()
				<-lost
				if err := op.Delete(within(t), mine.guard.Path(), -1); err != nil {
					wantErr(t, "delete", err, zookeeper.ErrNoNode)
				}
				a.link.Refuse(false)
				must(t, <-released)
				if got, exists := published(t, fake); exists {
					t.Errorf("epoch %d is still published after its release", got.Epoch)
				}
				wantNodes(t, fake, "after the release")
			})
		})
	}
}

func TestALostConnectionEndsATermByItsPolicy(t *testing.T) {
	for policy, want := range map[DisconnectPolicy]error{Ride: election.ErrLeaseExpired, StepDown: election.ErrDisconnected} {
		t.Run(want.Error(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a := join(t, fake, "a", policy)
				mine := a.lead(t)
				elapse(time.Minute)
				start := time.Now()
				a.link.Refuse(true)
				a.link.Drop()
				<-mine.Lost()
				wantErr(t, "reason", mine.Err(), want)
				if took := time.Since(start); policy == StepDown && took > 10*time.Millisecond || policy == Ride && took < sessionTimeout/10 {
					t.Errorf("lost after %v", took)
				}
				a.link.Refuse(false)
				must(t, mine.Release(within(t)))
				wantNodes(t, fake, "after the release")
			})
		})
	}
}

// A connection that is back before the lease ends costs nothing, also when it was
// lost under a renewal.
func TestARidingLeaderSurvivesAShortDisconnect(t *testing.T) {
	isRenewal := func(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpMulti }
	for name, drop := range map[string]func(*zookeepertest.Link){
		"request lost":     func(l *zookeepertest.Link) { l.DropRequestOf(isRenewal) },
		"reply lost":       func(l *zookeepertest.Link) { l.DropReplyOf(isRenewal) },
		"between renewals": func(l *zookeepertest.Link) { time.AfterFunc(sessionTimeout/50, l.Drop) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a := join(t, fake, "a", Ride)
				mine := a.lead(t)
				for range 5 {
					elapse(3 * sessionTimeout)
					drop(a.link)
				}
				elapse(3 * sessionTimeout)
				if closed(mine.Lost()) {
					t.Errorf("leadership lost: %v", mine.Err())
				}
				must(t, mine.Release(within(t)))
			})
		})
	}
}
