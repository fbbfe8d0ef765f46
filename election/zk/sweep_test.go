package zk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The sweep lets one fault strike at each request of a whole term in turn: while
// joining, listing, waiting, confirming, publishing, renewing and releasing.

// striker calls strike at the k-th request of a link, the first being 1, and
// notes them all. Pings and the watches of a reconnect do not count.
type striker struct {
	mu     sync.Mutex
	at     int
	seen   []string
	strike func(zookeepertest.Request) (before, after time.Duration)
}

func (s *striker) delay(r zookeepertest.Request) (before, after time.Duration) {
	if r.Op == zookeepertest.OpPing || r.Op == zookeepertest.OpSetWatches || r.Op == zookeepertest.OpCloseSession {
		return 0, 0
	}
	s.mu.Lock()
	s.seen = append(s.seen, string(r.Op)+" "+r.Path)
	now := len(s.seen) == s.at
	s.mu.Unlock()
	if now {
		return s.strike(r)
	}
	return 0, 0
}

func (s *striker) struck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at > 0 && len(s.seen) >= s.at
}

// faults are what can happen to a request. Each returns how it is delayed.
func faults(fake *zookeepertest.Fake, link *zookeepertest.Link) map[string]func(zookeepertest.Request) (before, after time.Duration) {
	const soon = 10 * time.Millisecond
	expire := func(r zookeepertest.Request) func() { return func() { fake.ExpireSession(r.Session) } }
	return map[string]func(zookeepertest.Request) (before, after time.Duration){
		"session expires before the request": func(r zookeepertest.Request) (before, after time.Duration) {
			expire(r)()
			return 0, 0
		},
		"session expires before the reply": func(r zookeepertest.Request) (before, after time.Duration) {
			time.AfterFunc(soon, expire(r))
			return 0, 2 * soon
		},
		"connection lost before the request": func(zookeepertest.Request) (before, after time.Duration) {
			time.AfterFunc(soon, link.Drop)
			return 2 * soon, 0
		},
		"connection lost before the reply": func(zookeepertest.Request) (before, after time.Duration) {
			time.AfterFunc(soon, link.Drop)
			return 0, 2 * soon
		},
		"frozen until the session has expired": func(zookeepertest.Request) (before, after time.Duration) {
			link.Freeze()
			time.AfterFunc(2*sessionTimeout, link.Unfreeze)
			return 0, 0
		},
		"replies frozen for half a time-out": func(zookeepertest.Request) (before, after time.Duration) {
			link.Freeze(zookeepertest.ToClient)
			time.AfterFunc(sessionTimeout/2, link.Unfreeze)
			return 0, 0
		},
	}
}

// term is one whole term of a, with b waiting behind it all the time.
func term(t *testing.T, fake *zookeepertest.Fake, a, b *member, s *striker) {
	t.Helper()
	before := s.struck()
	mine := a.lead(t)
	if !before && !s.struck() {
		wantLive(t, fake, mine)
	}
	others := b.contend(within(t))
	err := mine.Publish(within(t), info(mine, a.id))
	switch {
	case err == nil:
	case !errors.Is(err, leader.ErrFenced):
		t.Errorf("publish: %v, want success or a fence", err)
	default:
		<-mine.Lost()
	}
	elapse(sessionTimeout/4 + 500*time.Millisecond) // for renewals, and between them
	synctest.Wait()
	if err == nil && !closed(mine.Lost()) {
		if got, _ := published(t, fake); got.Epoch != mine.Guard().Epoch() {
			t.Errorf("epoch %d is published while epoch %d leads", got.Epoch, mine.Guard().Epoch())
		}
	}
	if closed(mine.Lost()) && mine.Err() == nil {
		t.Error("lost without a reason")
	}
	release, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	start := time.Now()
	_ = mine.Release(release) // what it could not remove goes with the session
	if took := time.Since(start); took > 7*time.Second {
		t.Errorf("release took %v with 4 s to do so", took)
	}
	next := <-others
	must(t, next.err)
	if next.tenure.Guard().Epoch() <= mine.Guard().Epoch() {
		t.Errorf("epoch %d follows %d, want a larger one", next.tenure.Guard().Epoch(), mine.Guard().Epoch())
	}
	wantLive(t, fake, next.tenure)
	if err := mine.guard.Commit(within(t)); err == nil {
		t.Error("a guard of the former term was accepted")
	}
	elapse(3 * sessionTimeout) // for what goes with a session
	wantNodes(t, fake, "while the successor leads", next.tenure.guard.Path())
	if got, exists := published(t, fake); exists {
		t.Errorf("epoch %d is still published after its term", got.Epoch)
	}
	must(t, next.tenure.Release(within(t)))
	wantNodes(t, fake, "after all terms")
}

func TestATermSurvivesAFaultAtEachOfItsRequests(t *testing.T) {
	var requests []string
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
		s := &striker{}
		a.link.Delay(s.delay)
		term(t, fake, a, b, s)
		requests = s.seen
	})
	if len(requests) < 10 {
		t.Fatalf("an undisturbed term makes the requests %q, too few to be all", requests)
	}
	names := faults(nil, nil)
	for name := range names {
		for k, what := range requests {
			t.Run(fmt.Sprintf("%s/%d %s", name, k+1, what), func(t *testing.T) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
					s := &striker{at: k + 1, strike: faults(fake, a.link)[name]}
					a.link.Delay(s.delay)
					term(t, fake, a, b, s)
				})
			})
		}
	}
}

// A campaign that ends at any of its requests leaves no node behind, or no session.
func TestACampaignThatIsCancelledLeavesNothing(t *testing.T) {
	for k := 1; k < 8; k++ {
		for _, after := range []time.Duration{0, time.Second} {
			t.Run(fmt.Sprintf("at request %d, reply after %v", k, after), func(t *testing.T) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					a := join(t, fake, "a", Ride)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					s := &striker{at: k, strike: func(zookeepertest.Request) (time.Duration, time.Duration) {
						cancel()
						return 0, after
					}}
					a.link.Delay(s.delay)
					switch g := <-a.contend(ctx); {
					case g.err == nil:
						must(t, g.tenure.Release(within(t)))
					case !errors.Is(g.err, context.Canceled):
						t.Errorf("campaign: %v, want %v", g.err, context.Canceled)
					}
					elapse(2 * time.Second)
					synctest.Wait()
					wantNodes(t, fake, "after the campaign")
				})
			})
		}
	}
}

// Two contenders, one of whom loses the connection while its node is created: one
// leads, and no node that nobody knows of blocks the other.
func TestAContenderWhoseCreateWasInterruptedBlocksNobody(t *testing.T) {
	isCreate := func(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpCreate && r.Flags == 3 }
	for name, interrupt := range map[string]func(*zookeepertest.Link){
		"reply lost":   func(l *zookeepertest.Link) { l.DropReplyOf(isCreate) },
		"request lost": func(l *zookeepertest.Link) { l.DropRequestOf(isCreate) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				a, b := join(t, fake, "a", Ride), join(t, fake, "b", Ride)
				must(t, operator(t, fake).EnsurePath(within(t), latchPath, 2))
				interrupt(a.link)
				ga, gb := a.contend(within(t)), b.contend(within(t))
				for range 2 {
					var first granted
					select {
					case first = <-ga:
						ga = nil
					case first = <-gb:
						gb = nil
					}
					must(t, first.err)
					wantLive(t, fake, first.tenure)
					elapse(sessionTimeout)
					if len(ga)+len(gb) > 0 {
						t.Error("both contenders lead")
					}
					must(t, first.tenure.Release(within(t)))
				}
				wantNodes(t, fake, "after both terms")
			})
		})
	}
}
