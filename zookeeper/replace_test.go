package zookeeper_test

import (
	"context"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// isReplacement matches the transaction of ReplaceProtected.
func isReplacement(r zookeepertest.Request) bool {
	return r.Op == zookeepertest.OpMulti && len(r.Ops) == 2 && r.Ops[1].Op == zookeepertest.OpCreate
}

func TestReplaceProtectedLeavesOnlyTheNewNodeBehindAllOthers(t *testing.T) {
	for name, disturb := range map[string]func(*zookeepertest.Fake){
		"undisturbed":  func(*zookeepertest.Fake) {},
		"reply lost":   func(f *zookeepertest.Fake) { f.DropReplyOf(isReplacement) },
		"request lost": func(f *zookeepertest.Fake) { f.DropRequestOf(isReplacement) },
		"request lost, then a reply": func(f *zookeepertest.Fake) {
			f.DropRequestOf(isReplacement)
			f.DropReplyOf(isReplacement)
		},
		"reply lost, and those of the search": func(f *zookeepertest.Fake) {
			f.DropReplyOf(isReplacement)
			for _, op := range []zookeepertest.Op{zookeepertest.OpGetChildren, zookeepertest.OpExists} {
				f.DropReplyOf(func(r zookeepertest.Request) bool { return r.Op == op })
			}
		},
		"request delayed beyond its connection": func(f *zookeepertest.Fake) {
			f.Freeze(zookeepertest.ToServer)
			time.AfterFunc(timeout/2, func() { f.Unfreeze() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				s, other := connect(t, fake.NewLink()), connect(t, fake.NewLink())
				ctx := within(t)
				old, former, err := s.CreateProtected(ctx, "/latch", "latch-", []byte("me"))
				must(t, err)
				between, _, err := other.CreateProtected(ctx, "/latch", "latch-", nil)
				must(t, err)
				disturb(fake)
				node, stat, err := s.ReplaceProtected(ctx, old, "latch-", []byte("me"))
				must(t, err)
				wantChildren(t, fake, "/latch", path.Base(between), path.Base(node))
				held, _ := fake.Node(node)
				if held.Owner != s.ID() || stat.Czxid != held.Czxid || stat.Czxid <= former.Czxid || string(held.Data) != "me" {
					t.Errorf("Stat %+v of node %+v after %+v, want a later one of session %#x with the data %q", stat, held, former, s.ID(), "me")
				}
				if node[len(node)-10:] <= between[len(between)-10:] {
					t.Errorf("%s stands before %s", node, between)
				}
				if !zookeeper.OwnMark(path.Base(node)) {
					t.Errorf("%s does not look like one of ours", node)
				}
			})
		})
	}
}

func TestReplaceProtectedOfADeletedNodeMakesNone(t *testing.T) {
	for name, disturb := range map[string]func(*zookeepertest.Link) <-chan struct{}{
		"before":                         nil,
		"while the request is lost":      func(l *zookeepertest.Link) <-chan struct{} { return l.DropRequestOf(isReplacement) },
		"the new one, with a lost reply": func(l *zookeepertest.Link) <-chan struct{} { return l.DropReplyOf(isReplacement) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link := fake.NewLink()
				s, operator := connect(t, link), connect(t, fake.NewLink())
				ctx := within(t)
				old, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
				must(t, err)
				removeAll := func() {
					latch, _ := fake.Node("/latch")
					for _, name := range latch.Children {
						must(t, operator.Delete(ctx, "/latch/"+name, -1))
					}
				}
				if disturb == nil {
					removeAll()
				} else {
					lost := disturb(link)
					link.Refuse(true)
					go func() {
						<-lost
						removeAll()
						link.Refuse(false)
					}()
				}
				node, _, err := s.ReplaceProtected(ctx, old, "latch-", nil)
				wantErr(t, "replace", err, zookeeper.ErrNoNode)
				if node != "" {
					t.Errorf("made %s, want none", node)
				}
				wantChildren(t, fake, "/latch")
			})
		})
	}
}

func TestReplaceProtectedThatIsInterruptedSaysThatTheNodeMayExist(t *testing.T) {
	for _, op := range []zookeepertest.Op{zookeepertest.OpMulti, zookeepertest.OpGetChildren, zookeepertest.OpExists} {
		t.Run("during "+string(op), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link := fake.NewLink()
				s := connect(t, link)
				old, _, err := s.CreateProtected(within(t), "/latch", "latch-", nil)
				must(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
					if r.Op == op {
						cancel()
						return 0, time.Second
					}
					return 0, 0
				})
				_, _, err = s.ReplaceProtected(ctx, old, "latch-", nil)
				wantErr(t, "replace", err, zookeeper.ErrUnknownOutcome, context.Canceled)
				synctest.Wait() // for the server
				if held, _ := fake.Node("/latch"); len(held.Children) != 1 || "/latch/"+held.Children[0] == old {
					t.Errorf("children %q, want the new node", held.Children)
				}
			})
		})
	}
}

// The same against a real server, which numbers by transaction.
func TestReplaceProtectedOnARealServer(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}})
	must(t, err)
	defer func() { _ = s.Close() }()
	old, _, err := s.CreateProtected(t.Context(), "/latch", "latch-", nil)
	must(t, err)
	between, _, err := s.CreateProtected(t.Context(), "/latch", "latch-", nil)
	must(t, err)
	node, stat, err := s.ReplaceProtected(t.Context(), old, "latch-", []byte("me"))
	must(t, err)
	if stat.EphemeralOwner != s.ID() || node[len(node)-10:] <= between[len(between)-10:] {
		t.Errorf("made %s with %+v behind %s, want it behind and owned by %#x", node, stat, between, s.ID())
	}
	names, _, err := s.Children(t.Context(), "/latch")
	must(t, err)
	if len(names) != 2 {
		t.Errorf("children %q, want two", names)
	}
}
