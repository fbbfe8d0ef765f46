package zk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/coordd/coordd/internal/latch"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const latchPath = "/svc/latch"

// followingLatch runs f where a Latch follows latchPath.
func followingLatch(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	followingWith(t, func(c *zookeeper.Client) (retrieval.Driver, error) {
		return NewLatch(LatchConfig{Client: c, Latch: latchPath})
	}, f)
}

// contend adds a contender's node, as ours and Curator's do, and returns its path.
func contend(t *testing.T, s *zookeeper.Session, id string) (string, zookeeper.Stat) {
	t.Helper()
	node, stat, err := s.CreateProtected(t.Context(), latchPath, latch.Suffix, []byte(id))
	must(t, err)
	return node, stat
}

// makeLatch makes the latch before anybody contends, and once it is followed.
func (s *stage) makeLatch(t *testing.T) {
	t.Helper()
	<-time.After(time.Second)
	must(t, s.writer.EnsurePath(t.Context(), latchPath, zookeeper.Container))
	<-time.After(time.Second)
	if o := latest(t, s.seen); o.Status != retrieval.StatusNone || o.Index == 0 {
		t.Errorf("observed %+v at an empty latch, want nobody at an index", o)
	}
	s.wantWatch(t, "the latch is empty")
}

// quiet fails when anything was observed.
func (s *stage) quiet(t *testing.T, when string) {
	t.Helper()
	synctest.Wait()
	for len(s.seen) > 0 {
		t.Errorf("observed %+v when %s, want nothing new", <-s.seen, when)
	}
}

// wantWatch fails unless the server keeps one watch of the follower.
func (s *stage) wantWatch(t *testing.T, when string) {
	t.Helper()
	synctest.Wait()
	if n := s.fake.Watches(); n != 1 {
		t.Errorf("the server keeps %d watches when %s, want 1", n, when)
	}
}

func TestTheFirstContenderLeads(t *testing.T) {
	followingLatch(t, func(t *testing.T, s *stage) {
		if o := await(t, s.seen, retrieval.StatusNone); o.Index != 0 || o.Info != (leader.Info{}) {
			t.Errorf("observed %+v without a latch, want nobody at index 0", o)
		}
		s.wantWatch(t, "there is no latch")
		s.makeLatch(t)

		first, stat := contend(t, s.writer, "a")
		o := await(t, s.seen, retrieval.StatusKnown)
		mark, _ := latch.UUID(first[len(latchPath)+1:])
		want := leader.Info{
			Component: leader.Dispatcher, ID: "a", SessionID: leader.SessionID(mark),
			Epoch: leader.Epoch(stat.Czxid), Since: stat.Created.UTC(),
		}
		if o.Info != want || o.Index != stat.Czxid || uuid.Validate(mark) != nil {
			t.Errorf("observed %+v, want %+v at %d", o, want, stat.Czxid)
		}
		s.wantWatch(t, "a leads")

		requests := s.fake.Count(zookeepertest.OpGetChildren)
		second, next := contend(t, s.writer, "b")
		third, _ := contend(t, s.writer, "c")
		must(t, s.writer.Delete(t.Context(), third, -1))
		must(t, s.writer.Create(t.Context(), latchPath+"/!x", nil, zookeeper.Ephemeral))
		s.quiet(t, "others came and went behind the first")
		if n := s.fake.Count(zookeepertest.OpGetChildren); n != requests {
			t.Errorf("the list was read %d times when others came and went, want never", n-requests)
		}

		must(t, s.writer.Delete(t.Context(), first, -1))
		if o := await(t, s.seen, retrieval.StatusKnown); o.Info.ID != "b" || o.Index != next.Czxid {
			t.Errorf("observed %+v, want b at %d", o, next.Czxid)
		}
		s.wantWatch(t, "b leads")

		must(t, s.writer.Delete(t.Context(), second, -1))
		o = await(t, s.seen, retrieval.StatusNone)
		txns := s.fake.Txns()
		if gone := txns[len(txns)-1].Zxid; o.Index != gone {
			t.Errorf("nobody leads at %d, want the last deletion at %d", o.Index, gone)
		}
		s.wantWatch(t, "nobody contends")

		must(t, s.writer.Delete(t.Context(), latchPath+"/!x", -1))
		if o := latest(t, s.seen); o.Status != retrieval.StatusNone {
			t.Errorf("observed %+v when a foreign child left, want nobody", o)
		}
		s.wantWatch(t, "still nobody contends")
		_, back := contend(t, s.writer, "a")
		if o := await(t, s.seen, retrieval.StatusKnown); o.Info.ID != "a" || o.Index != back.Czxid || o.Index <= next.Czxid {
			t.Errorf("observed %+v, want a again at %d", o, back.Czxid)
		}
		s.wantWatch(t, "a leads again")
	})
}

// Servers remove the latch, a container, when it is empty, and who contends next makes
// it again: sequences count from 0, epochs and indexes go on.
func TestALatchThatIsMadeAgainGoesOn(t *testing.T) {
	followingLatch(t, func(t *testing.T, s *stage) {
		node, stat := contend(t, s.writer, "a")
		await(t, s.seen, retrieval.StatusKnown)
		must(t, s.writer.Delete(t.Context(), node, -1))
		gone := await(t, s.seen, retrieval.StatusNone)
		s.fake.RemoveEmptyContainers()
		if o := latest(t, s.seen); o.Status != retrieval.StatusNone || o.Index <= gone.Index {
			t.Errorf("observed %+v when the latch was removed, want nobody at an index above %d", o, gone.Index)
		}
		s.wantWatch(t, "the latch is gone")
		_, again := contend(t, s.writer, "b")
		o := await(t, s.seen, retrieval.StatusKnown)
		if o.Info.ID != "b" || o.Index != again.Czxid || o.Info.Epoch <= leader.Epoch(stat.Czxid) {
			t.Errorf("observed %+v, want b at %d", o, again.Czxid)
		}
	})
}

// The first one leaves between the list and the look at its node: who is reported is
// the one after it, and no watch stays at a name that never comes back.
func TestAContenderThatLeavesUnderALookIsNotReported(t *testing.T) {
	followingLatch(t, func(t *testing.T, s *stage) {
		s.makeLatch(t)
		s.link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Op == zookeepertest.OpGetData {
				before = time.Second
			}
			return before, after
		})
		first, _ := contend(t, s.writer, "a")
		contend(t, s.writer, "b")
		<-time.After(time.Second / 2)
		must(t, s.writer.Delete(t.Context(), first, -1))
		if o := await(t, s.seen, retrieval.StatusKnown); o.Info.ID != "b" {
			t.Errorf("observed %+v, want b", o)
		}
		s.wantWatch(t, "b leads")
	})
}

func TestAHandOverWhileTheFollowerIsAwayIsSeenAfterwards(t *testing.T) {
	followingLatch(t, func(t *testing.T, s *stage) {
		s.makeLatch(t)
		newest, _ := contend(t, s.writer, "0")
		await(t, s.seen, retrieval.StatusKnown)
		for i, outage := range []time.Duration{time.Second, 3 * sessionTimeout} { // within and beyond the session
			s.link.Refuse(true)
			s.link.Drop()
			if o := latest(t, s.seen); o != (retrieval.Observation{}) {
				t.Errorf("observed %+v without a connection, want that nothing is known", o)
			}
			former := newest
			newest, _ = contend(t, s.writer, fmt.Sprint(i+1))
			must(t, s.writer.Delete(t.Context(), former, -1))
			<-time.After(outage)
			s.link.Refuse(false)
			await(t, s.seen, retrieval.StatusUnconfirmed)
			if o := await(t, s.seen, retrieval.StatusKnown); o.Info.ID != fmt.Sprint(i+1) {
				t.Errorf("observed %+v after an outage of %v, want %d", o, outage, i+1)
			}
			s.wantWatch(t, "it is connected again")
		}
	})
}

func TestEpochsOfALatchAreRaisedByItsFloor(t *testing.T) {
	followingWith(t, func(c *zookeeper.Client) (retrieval.Driver, error) {
		return NewLatch(LatchConfig{Client: c, Latch: latchPath, EpochFloor: 1000})
	}, func(t *testing.T, s *stage) {
		_, stat := contend(t, s.writer, "a")
		if o := await(t, s.seen, retrieval.StatusKnown); o.Info.Epoch != 1000+leader.Epoch(stat.Czxid) || o.Index != stat.Czxid {
			t.Errorf("observed %+v, want the epoch raised by 1000 and the index %d", o, stat.Czxid)
		}
	})
}

func TestATermWithoutUUIDHasASessionIDOfItsOwn(t *testing.T) {
	plain := sessionOf("/l/latch-0000000001", 7)
	for name, other := range map[string]leader.SessionID{
		"another node":                   sessionOf("/l/latch-0000000002", 7),
		"the same name, made again":      sessionOf("/l/latch-0000000001", 8),
		"the same name in another latch": sessionOf("/m/latch-0000000001", 7),
	} {
		if other == plain || uuid.Validate(string(other)) != nil {
			t.Errorf("%s has the session ID %q, want a UUID other than %q", name, other, plain)
		}
	}
	if again := sessionOf("/l/latch-0000000001", 7); again != plain {
		t.Errorf("the same node has the session IDs %q and %q", plain, again)
	}
}

// Contenders come and go in any order, at the head and behind it, while the follower's
// connection breaks now and then. Whoever is reported as the leader was the lowest.
func TestNobodyIsReportedWhoIsNotFirst(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			followingLatch(t, func(t *testing.T, s *stage) {
				random := rand.New(rand.NewPCG(seed, 0))
				s.link.Delay(func(zookeepertest.Request) (before, after time.Duration) {
					return 3 * time.Millisecond, 2 * time.Millisecond
				})
				var nodes []string
				for i := range 150 {
					<-time.After(time.Duration(random.IntN(8)) * time.Millisecond)
					switch n := random.IntN(10); {
					case n < 4 || len(nodes) == 0:
						node, _ := contend(t, s.writer, fmt.Sprint(i))
						nodes = append(nodes, node)
					case n < 9:
						i := random.IntN(min(3, len(nodes))) // often the first
						must(t, s.writer.Delete(t.Context(), nodes[i], -1))
						nodes = slices.Delete(nodes, i, i+1)
					default:
						s.link.Drop()
					}
					s.judge(t)
				}
				<-time.After(2 * sessionTimeout)
				s.judge(t)
				first, _, leads := s.first()
				if last := s.newest; leads != (last.Status == retrieval.StatusKnown) || leads && last.Index != first {
					t.Errorf("at last observed %+v, want the contender of %d (%v)", last, first, leads)
				}
			})
		})
	}
}

// judge checks what was observed since the last time. A contender that came before
// whoever was reported must be gone.
func (s *stage) judge(t *testing.T) {
	t.Helper()
	synctest.Wait()
	for len(s.seen) > 0 {
		s.newest = <-s.seen
		if first, name, leads := s.first(); s.newest.Status == retrieval.StatusKnown && leads && first < s.newest.Index {
			t.Errorf("observed the contender of %d while %s of %d is before it", s.newest.Index, name, first)
		}
	}
}

// first returns the transaction that made the first contender.
func (s *stage) first() (int64, string, bool) {
	list, _ := s.fake.Node(latchPath)
	order := latch.Contenders(list.Children)
	if len(order) == 0 {
		return 0, "", false
	}
	n, _ := s.fake.Node(latchPath + "/" + order[0])
	return n.Czxid, order[0], true
}
