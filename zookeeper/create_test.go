package zookeeper_test

import (
	"context"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// isLatchCreate matches the create of a protected node.
func isLatchCreate(r zookeepertest.Request) bool {
	return r.Op == zookeepertest.OpCreate && r.Flags == 3
}

func TestCreateProtectedMakesExactlyOneNode(t *testing.T) {
	for name, c := range map[string]struct {
		parent  bool // exists before
		disturb func(*zookeepertest.Fake)
	}{
		"undisturbed":               {true, func(*zookeepertest.Fake) {}},
		"reply lost":                {true, func(f *zookeepertest.Fake) { f.DropReplyOf(isLatchCreate) }},
		"request lost":              {true, func(f *zookeepertest.Fake) { f.DropRequestOf(isLatchCreate) }},
		"reply lost without parent": {false, func(f *zookeepertest.Fake) { f.DropReplyOf(isLatchCreate) }},
		"two requests lost": {true, func(f *zookeepertest.Fake) {
			f.DropRequestOf(isLatchCreate)
			f.DropRequestOf(isLatchCreate)
		}},
		"request lost, then a reply": {true, func(f *zookeepertest.Fake) {
			f.DropRequestOf(isLatchCreate)
			f.DropReplyOf(isLatchCreate)
		}},
		"reply lost, and those of the search": {true, func(f *zookeepertest.Fake) {
			f.DropReplyOf(isLatchCreate)
			for _, op := range []zookeepertest.Op{zookeepertest.OpMulti, zookeepertest.OpGetChildren, zookeepertest.OpExists} {
				f.DropReplyOf(func(r zookeepertest.Request) bool { return r.Op == op })
			}
		}},
		"request delayed beyond its connection": {true, func(f *zookeepertest.Fake) {
			f.Freeze(zookeepertest.ToServer)
			time.AfterFunc(timeout/2, func() { f.Unfreeze() })
		}},
		"reply delayed beyond its connection": {true, func(f *zookeepertest.Fake) {
			f.Freeze(zookeepertest.ToClient)
			time.AfterFunc(timeout/2, func() { f.Unfreeze() })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				s := connect(t, fake)
				ctx := within(t)
				if c.parent {
					must(t, s.EnsurePath(ctx, "/latch", zookeeper.Container))
				}
				c.disturb(fake)
				node, stat, err := s.CreateProtected(ctx, "/latch", "latch-", []byte("me"))
				must(t, err)
				wantChildren(t, fake, "/latch", path.Base(node))
				held, _ := fake.Node(node)
				if held.Owner != s.ID() || stat.EphemeralOwner != s.ID() || stat.Czxid != held.Czxid || string(held.Data) != "me" {
					t.Errorf("Stat %+v of node %+v, want both of session %#x with the data %q", stat, held, s.ID(), "me")
				}
				if n := len(fake.Sessions()); n != 1 {
					t.Errorf("%d sessions, want 1", n)
				}
			})
		})
	}
}

// The server that answers after a reconnect may not have applied a create that is
// committed already. A list from there shows it only behind a write of the session.
func TestANodeWhoseReplyWasLostIsLookedForBehindAWrite(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s := connect(t, link)
		ctx := within(t)
		must(t, s.EnsurePath(ctx, "/latch", zookeeper.Container))
		link.DropReplyOf(isLatchCreate)
		var asked []zookeepertest.Op // by the goroutine of one connection after the other
		link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Op == zookeepertest.OpMulti || r.Op == zookeepertest.OpGetChildren || r.Op == zookeepertest.OpExists {
				asked = append(asked, r.Op)
			}
			return 0, 0
		})
		_, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
		must(t, err)
		link.Delay(nil)
		want := []zookeepertest.Op{zookeepertest.OpMulti, zookeepertest.OpGetChildren, zookeepertest.OpExists}
		if !slices.Equal(asked, want) {
			t.Errorf("asked for %v after the lost reply, want %v", asked, want)
		}
	})
}

func TestFinding09CreateProtectedNeverAdoptsAnotherSessionsNode(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, dying := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, s.EnsurePath(ctx, "/latch", zookeeper.Container))
		asked := make(chan string, 1)
		lost := link.DropRequestOf(func(r zookeepertest.Request) bool {
			if isLatchCreate(r) {
				asked <- r.Path
				return true
			}
			return false
		})
		link.Refuse(true)
		type made struct {
			node string
			err  error
		}
		done := background(func() made {
			node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
			return made{node, err}
		})
		<-lost
		foreign := <-asked + "0000000000" // the same uuid, and an earlier sequence
		must(t, dying.Create(ctx, foreign, nil, zookeeper.Ephemeral))
		link.Refuse(false)
		own := <-done
		must(t, own.err)
		if held, _ := fake.Node(own.node); own.node == foreign || held.Owner != s.ID() {
			t.Errorf("adopted %s of session %#x, want a node of session %#x", own.node, held.Owner, s.ID())
		}
		wantChildren(t, fake, "/latch", path.Base(foreign), path.Base(own.node))
	})
}

// A create that may have left a node says so, whatever step was interrupted: its
// caller has to end the session then.
func TestCreateProtectedThatIsInterruptedSaysThatTheNodeMayExist(t *testing.T) {
	for _, op := range []zookeepertest.Op{
		zookeepertest.OpCreate, zookeepertest.OpMulti, zookeepertest.OpGetChildren, zookeepertest.OpExists,
	} {
		t.Run("during "+string(op), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link := fake.NewLink()
				s := connect(t, link)
				must(t, s.EnsurePath(within(t), "/latch", zookeeper.Container))
				if op != zookeepertest.OpCreate && op != zookeepertest.OpExists {
					link.DropReplyOf(isLatchCreate) // they belong to the search
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
					if r.Op == op {
						cancel()
						return 0, time.Second
					}
					return 0, 0
				})
				node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
				if err == nil {
					t.Fatalf("created %s, want an error", node)
				}
				wantErr(t, "create", err, zookeeper.ErrUnknownOutcome, context.Canceled)
				synctest.Wait() // for the server
				if held, _ := fake.Node("/latch"); len(held.Children) != 1 {
					t.Errorf("children %q, want the node that was left", held.Children)
				}
			})
		})
	}
}

func TestCreateProtectedStartsOverWhenItsNodeIsDeletedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, operator := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, s.EnsurePath(ctx, "/latch", zookeeper.Container))
		lookedAt := make(chan string, 1)
		link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Op == zookeepertest.OpExists && strings.HasPrefix(r.Path, "/latch/") {
				select {
				case lookedAt <- r.Path:
					return time.Second, 0
				default:
				}
			}
			return 0, 0
		})
		done := background(func() error {
			node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
			if err == nil {
				wantChildren(t, fake, "/latch", path.Base(node))
			}
			return err
		})
		must(t, operator.Delete(ctx, <-lookedAt, -1))
		must(t, <-done)
	})
}
