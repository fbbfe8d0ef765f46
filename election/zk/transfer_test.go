package zk

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const requestPath = latchPath + requestSuffix

// queue is a leader and those who wait behind it, in order.
type queue struct {
	fake    *zookeepertest.Fake
	leader  *tenure
	members map[string]*member
	waiting map[string]<-chan granted
}

// line has the members with the given IDs, of one letter each, stand in line.
func line(t *testing.T, fake *zookeepertest.Fake, ids string) *queue {
	t.Helper()
	q := &queue{fake: fake, members: make(map[string]*member), waiting: make(map[string]<-chan granted)}
	for i, letter := range ids {
		id := string(letter)
		m := join(t, fake, id, Ride)
		q.members[id] = m
		if i == 0 {
			q.leader = m.lead(t)
			continue
		}
		q.waiting[id] = m.contend(within(t))
		elapse(time.Second) // connections hold their first replies back for a moment
		synctest.Wait()
	}
	return q
}

// asking has a member ask for a transfer in the background.
func (q *queue) asking(ctx context.Context, who, to string) <-chan error {
	asked := make(chan error, 1)
	go func() { asked <- q.members[who].Transfer(ctx, to) }()
	return asked
}

// releases blocks until the leader has been asked to give way, and releases it.
func (q *queue) releases(t *testing.T) {
	t.Helper()
	<-q.leader.Lost()
	wantErr(t, "the leader's reason", q.leader.Err(), election.ErrResigned)
	must(t, q.leader.Release(within(t)))
}

// succeeds blocks until the member leads.
func (q *queue) succeeds(t *testing.T, id string) {
	t.Helper()
	g := <-q.waiting[id]
	must(t, g.err)
	delete(q.waiting, id)
	wantLive(t, q.fake, g.tenure)
	q.leader = g.tenure
}

// order returns the IDs of those at the latch.
func order(t *testing.T, m *member) string {
	t.Helper()
	all, err := m.Participants(within(t))
	must(t, err)
	var ids strings.Builder
	for _, p := range all {
		ids.WriteString(p.ID)
	}
	return ids.String()
}

// inOrder fails the test unless the members with these IDs stand at the latch so.
func inOrder(t *testing.T, m *member, want string) {
	t.Helper()
	if got := order(t, m); got != want {
		t.Errorf("at the latch stand %q, want %q", got, want)
	}
}

func (q *queue) noRequest(t *testing.T) {
	t.Helper()
	if node, exists := q.fake.Node(requestPath); exists {
		t.Errorf("the request %s is still there", node.Data)
	}
}

// drain releases everybody in turn, as they stand at the latch.
func (q *queue) drain(t *testing.T) {
	t.Helper()
	behind := order(t, q.members["a"])[1:]
	must(t, q.leader.Release(within(t)))
	for _, id := range behind {
		q.succeeds(t, string(id))
		must(t, q.leader.Release(within(t)))
	}
	wantNodes(t, q.fake, "after all terms")
}

func TestATransferMovesOnlyThoseInTheWay(t *testing.T) {
	for _, c := range []struct{ name, by, to, first, moved string }{
		{"to the next", "a", "b", "bcde", ""},
		{"over others", "c", "d", "de", "bc"},
		{"to the last, which asks", "e", "e", "e", "bcd"},
		{"to whoever is next", "a", "", "bcde", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				q := line(t, fake, "abcde")
				asked := q.asking(within(t), c.by, c.to)
				<-q.leader.Lost()
				if why := q.leader.Err().Error(); c.to != "" && !strings.Contains(why, `a transfer to "`+c.to+`" was asked for`) {
					t.Errorf("the leader's reason is %q, want one that names %s", why, c.to)
				}
				if node, _ := fake.Node(q.leader.guard.Path()); node.Owner == 0 {
					t.Error("the leader's node went before its term was released")
				}
				q.releases(t)
				q.succeeds(t, c.first[:1])
				must(t, <-asked)
				synctest.Wait()
				q.noRequest(t)
				// Those that were asked to move did so at the same time.
				got := order(t, q.members["a"])
				behind := []byte(strings.TrimPrefix(got, c.first))
				slices.Sort(behind)
				if !strings.HasPrefix(got, c.first) || string(behind) != c.moved {
					t.Errorf("at the latch stand %q, want %q and behind them, in any order, %q", got, c.first, c.moved)
				}
				q.drain(t)
			})
		})
	}
}

// Nobody in between leads on the way: the leader stays until they have moved.
func TestALeaderStaysUntilItsSuccessorIsNext(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q := line(t, fake, "abc")
		b := q.members["b"]
		b.link.Freeze()
		asked := q.asking(within(t), "a", "c")
		elapse(sessionTimeout / 4)
		if closed(q.leader.Lost()) {
			t.Fatalf("the leader gave way while b stands before c: %v", q.leader.Err())
		}
		b.link.Unfreeze()
		q.releases(t)
		q.succeeds(t, "c")
		must(t, <-asked)
		q.drain(t)
	})
}

func TestATransferThatIsGivenUpNamesWhoDidNotMove(t *testing.T) {
	t.Run("one in between", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q := line(t, fake, "abc")
			q.members["b"].link.Freeze(zookeepertest.ToServer)
			ctx, cancel := context.WithTimeout(t.Context(), sessionTimeout/4)
			defer cancel()
			err := q.members["c"].Transfer(ctx, "c")
			wantErr(t, "transfer", err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), `"b"`) {
				t.Errorf("error %q, want one that names b", err)
			}
			q.noRequest(t)
			q.members["b"].link.Unfreeze()
			elapse(sessionTimeout)
			if closed(q.leader.Lost()) {
				t.Errorf("the leader was asked to give way after the request was taken back: %v", q.leader.Err())
			}
		})
	})
	t.Run("the leader", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q := line(t, fake, "ab")
			ctx, cancel := context.WithTimeout(t.Context(), sessionTimeout)
			defer cancel()
			err := q.members["b"].Transfer(ctx, "b") // nobody releases the leader
			wantErr(t, "transfer", err, context.DeadlineExceeded)
			if !strings.Contains(err.Error(), `"a"`) {
				t.Errorf("error %q, want one that names a", err)
			}
			q.noRequest(t)
		})
	})
}

func TestATransferThatCannotBeIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q := line(t, fake, "ab")
		a := q.members["a"]
		writes := len(fake.Txns())
		wantErr(t, "to nobody", a.Transfer(within(t), "x"), election.ErrNotContending)
		must(t, a.Transfer(within(t), "a")) // leads already
		for _, txn := range fake.Txns()[writes:] {
			for _, w := range txn.Writes() {
				t.Errorf("wrote %s %s, want nothing", w.Op, w.Path)
			}
		}
		must(t, q.leader.Release(within(t)))
		q.succeeds(t, "b")
		must(t, q.leader.Release(within(t)))
		wantErr(t, "to whoever is next where nobody is", a.Transfer(within(t), ""), election.ErrNotContending)
	})
}

// foreigner makes a contender as Curator does.
func foreigner(t *testing.T, s *zookeeper.Session, id string) string {
	t.Helper()
	taken := make(map[string]bool)
	before, _, err := s.Children(within(t), latchPath)
	must(t, err)
	sequence := 0
	for _, name := range before {
		taken[name[len(name)-10:]] = true
	}
	node := ""
	for digits := "0123456789"; node == ""; sequence++ {
		number := "000000000" + string(digits[sequence])
		if !taken[number] {
			node = latchPath + "/_c_" + uuid.NewString() + "-latch-" + number
		}
	}
	must(t, s.Create(within(t), node, []byte(id), zookeeper.Ephemeral))
	return node
}

func TestAForeignContenderIsNotAskedToGiveWay(t *testing.T) {
	t.Run("leading", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			op := operator(t, fake)
			must(t, op.EnsurePath(within(t), latchPath, zookeeper.Container))
			java := foreigner(t, op, "java")
			a := join(t, fake, "a", Ride)
			waiting := a.contend(within(t))
			synctest.Wait()
			wantErr(t, "to ours", a.Transfer(within(t), "a"), election.ErrForeign)
			wantErr(t, "to whoever is next", a.Transfer(within(t), ""), election.ErrForeign)
			must(t, a.Transfer(within(t), "java")) // leads already
			all, err := a.Participants(within(t))
			must(t, err)
			if len(all) != 2 || !all[0].Foreign || all[1].Foreign {
				t.Errorf("participants %+v, want a foreign one and one of ours", all)
			}
			must(t, op.Delete(within(t), java, -1))
			must(t, (<-waiting).tenure.Release(within(t)))
		})
	})
	t.Run("in between, or the successor", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q, op := line(t, fake, "ab"), operator(t, fake)
			foreigner(t, op, "java")
			c := join(t, fake, "c", Ride)
			q.members["c"], q.waiting["c"] = c, c.contend(within(t))
			synctest.Wait()
			if latch, _ := fake.Node(latchPath); len(latch.Children) != 4 {
				t.Fatalf("contenders %q, want four", latch.Children)
			}
			wantErr(t, "over the foreign one", c.Transfer(within(t), "c"), election.ErrForeign)
			if closed(q.leader.Lost()) {
				t.Fatalf("the leader gave way: %v", q.leader.Err())
			}
			asked := q.asking(within(t), "c", "java")
			q.releases(t)
			must(t, <-asked)
			inOrder(t, c, "javacb")
		})
	})
}

func TestASecondTransferWaitsForTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q := line(t, fake, "abcd")
		first := q.asking(within(t), "b", "c")
		<-q.leader.Lost()
		for _, by := range []string{"d", "b"} { // b shares its session with the first
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			err := q.members[by].Transfer(short, "d")
			cancel()
			if wantErr(t, "transfer", err, context.DeadlineExceeded); !strings.Contains(err.Error(), requestPath) {
				t.Errorf("error %q, want one that names the request in the way", err)
			}
		}
		second := q.asking(within(t), "d", "d")
		q.releases(t)
		q.succeeds(t, "c")
		must(t, <-first)
		q.releases(t)
		q.succeeds(t, "d")
		must(t, <-second)
		synctest.Wait()
		q.noRequest(t)
		q.drain(t)
	})
}

func TestARequestEndsWithWhoeverAsks(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q := line(t, fake, "abc")
		q.members["b"].link.Freeze()
		asker := join(t, fake, "x", Ride)
		q.members["x"] = asker
		asked := q.asking(within(t), "x", "c")
		s, err := asker.client.Session(within(t))
		must(t, err)
		elapse(time.Second)
		if _, exists := fake.Node(requestPath); !exists {
			t.Fatal("no request was made")
		}
		asker.link.Refuse(true)
		fake.ExpireSession(s.ID())
		asker.link.Drop()
		synctest.Wait()
		q.noRequest(t)
		q.members["b"].link.Unfreeze()
		elapse(sessionTimeout)
		if closed(q.leader.Lost()) {
			t.Errorf("the leader gave way to a request that is gone: %v", q.leader.Err())
		}
		inOrder(t, q.members["a"], "abc")
		asker.link.Refuse(false) // it asks again, in another session
		q.releases(t)
		q.succeeds(t, "c")
		must(t, <-asked)
		q.drain(t)
	})
}

func TestATransferGoesOnWhenTheOrderChangesOnTheWay(t *testing.T) {
	t.Run("the leader dies", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q, op := line(t, fake, "abc"), operator(t, fake)
			b := q.members["b"]
			b.link.Freeze(zookeepertest.ToClient)
			asked := q.asking(within(t), "c", "c")
			synctest.Wait()
			must(t, op.Delete(within(t), q.leader.guard.Path(), -1))
			elapse(time.Second)
			b.link.Unfreeze()
			// b either queued again before it could lead, or led and gave way.
			select {
			case g := <-q.waiting["b"]:
				must(t, g.err)
				q.leader = g.tenure
				q.waiting["b"] = nil
				q.releases(t)
			case g := <-q.waiting["c"]:
				must(t, g.err)
				done := make(chan granted, 1)
				done <- g
				q.waiting["c"] = done
			}
			q.succeeds(t, "c")
			must(t, <-asked)
			synctest.Wait()
			q.noRequest(t)
		})
	})
	t.Run("the successor leaves", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q, op := line(t, fake, "abc"), operator(t, fake)
			q.members["b"].link.Freeze()
			q.members["c"].link.Refuse(true)
			asked := q.asking(within(t), "a", "c")
			synctest.Wait()
			for _, node := range nodes(fake) {
				if held, _ := fake.Node(node); string(held.Data) == "c" {
					must(t, op.Delete(within(t), node, -1))
				}
			}
			q.members["c"].link.Drop()
			wantErr(t, "transfer", <-asked, election.ErrNotContending)
			q.noRequest(t)
			q.members["b"].link.Unfreeze()
			elapse(time.Second)
			if closed(q.leader.Lost()) {
				t.Errorf("the leader gave way to nobody: %v", q.leader.Err())
			}
			inOrder(t, q.members["a"], "ab")
		})
	})
	t.Run("the request is deleted by somebody", func(t *testing.T) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			q, op := line(t, fake, "abc"), operator(t, fake)
			q.members["b"].link.Freeze()
			asked := q.asking(within(t), "a", "c")
			synctest.Wait()
			must(t, op.Delete(within(t), requestPath, -1))
			q.members["b"].link.Unfreeze()
			q.releases(t)
			q.succeeds(t, "c")
			must(t, <-asked)
			synctest.Wait()
			q.noRequest(t)
			q.drain(t)
		})
	})
}

// Of two with one ID the first is meant, and the other is left where it stands.
func TestATransferToAnIDThatContendsTwiceMeansTheFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q := line(t, fake, "abc")
		twin := join(t, fake, "c", Ride)
		second := twin.contend(within(t))
		synctest.Wait()
		asked := q.asking(within(t), "a", "c")
		q.releases(t)
		q.succeeds(t, "c")
		must(t, <-asked)
		inOrder(t, twin, "ccb")
		must(t, q.leader.Release(within(t)))
		g := <-second
		must(t, g.err)
		must(t, g.tenure.Release(within(t)))
	})
}

// What cannot be read is nobody's request.
func TestARequestThatCannotBeReadDisturbsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		q, op := line(t, fake, "ab"), operator(t, fake)
		must(t, op.Create(within(t), requestPath, []byte(`{"version":99}`), zookeeper.Persistent))
		elapse(sessionTimeout)
		if closed(q.leader.Lost()) {
			t.Errorf("leadership was lost: %v", q.leader.Err())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, "transfer", q.members["b"].Transfer(ctx, "b"), context.DeadlineExceeded)
		must(t, op.Delete(within(t), requestPath, -1))
		asked := q.asking(within(t), "b", "b")
		q.releases(t)
		q.succeeds(t, "b")
		must(t, <-asked)
	})
}

// One fault at each request of one in between, of the leader and of who asks: the
// transfer is made, in the end, and nothing of it is left.
func TestATransferSurvivesAFaultAtEachOfItsRequests(t *testing.T) {
	for _, victim := range []string{"a", "b", "c"} {
		for name := range faults(nil, nil) {
			for k := 1; k <= 8; k++ {
				t.Run(path.Join("at "+victim, name, string(rune('0'+k))), func(t *testing.T) {
					inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
						surviveTransfer(t, fake, victim, name, k)
					})
				})
			}
		}
	}
}

// surviveTransfer transfers from a to c, which asks, and lets a fault strike the k-th
// request of the victim meanwhile.
func surviveTransfer(t *testing.T, fake *zookeepertest.Fake, victim, fault string, k int) {
	t.Helper()
	q := line(t, fake, "abc")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	contending := make(chan string, 3)
	again := func(id string, g granted) {
		for g.err == nil { // leads until asked to give way, or until the end
			select {
			case <-g.tenure.Lost():
			case <-ctx.Done():
			}
			release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*time.Second)
			_ = g.tenure.Release(release) // what it cannot remove goes with the session
			cancel()
			g = <-q.members[id].contend(ctx)
		}
		contending <- id
	}
	go again("a", granted{tenure: q.leader})
	for _, id := range []string{"b", "c"} {
		go func() { again(id, <-q.waiting[id]) }()
	}
	s := &striker{at: k, strike: faults(fake, q.members[victim].link)[fault]}
	q.members[victim].link.Delay(s.delay)
	var err error
	for range 20 { // c may be out of the line for a while
		if err = q.members["c"].Transfer(within(t), "c"); !errors.Is(err, election.ErrNotContending) {
			break
		}
		elapse(sessionTimeout)
	}
	must(t, err)
	synctest.Wait()
	elapse(3 * sessionTimeout) // for what goes with a session
	q.noRequest(t)
	q.members[victim].link.Delay(nil)
	stop()
	for range 3 {
		<-contending
	}
}
