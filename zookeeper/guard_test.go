package zookeeper_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// guarded opens a session with a guard on a link of its own.
func guarded(t *testing.T, fake *zookeepertest.Fake) (*zookeepertest.Link, zookeeper.Guard) {
	t.Helper()
	link := fake.NewLink()
	s := connect(t, link)
	node, _, err := s.CreateProtected(within(t), "/latch", "latch-", nil)
	must(t, err)
	return link, s.Guard(node)
}

func isCommit(r zookeepertest.Request) bool {
	return r.Op == zookeepertest.OpMulti && len(r.Ops) > 1
}

func TestCommitIsAppliedOnceThoughAnAnswerWasLost(t *testing.T) {
	for name, disturb := range map[string]func(*zookeepertest.Link){
		"reply lost":   func(l *zookeepertest.Link) { l.DropReplyOf(isCommit) },
		"request lost": func(l *zookeepertest.Link) { l.DropRequestOf(isCommit) },
		"two replies lost": func(l *zookeepertest.Link) {
			l.DropReplyOf(isCommit)
			l.DropReplyOf(isCommit)
		},
		"request delayed beyond its connection": func(l *zookeepertest.Link) {
			l.Freeze(zookeepertest.ToServer)
			time.AfterFunc(timeout/2, func() { l.Unfreeze() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link, guard := guarded(t, fake)
				ctx := within(t)
				s := guard.Session()
				must(t, s.Create(ctx, "/set", []byte("old"), zookeeper.Persistent))
				must(t, s.Create(ctx, "/gone", nil, zookeeper.Persistent))
				disturb(link)
				must(t, guard.Commit(ctx,
					zookeeper.CreateOp("/made", []byte("a"), zookeeper.Persistent),
					zookeeper.CreateOp("/info", []byte("b"), zookeeper.Ephemeral),
					zookeeper.SetOp("/set", []byte("new"), 0),
					zookeeper.DeleteOp("/gone", -1)))
				for path, want := range map[string]int{"/made": 1, "/info": 1, "/set": 2, "/gone": 2} {
					if n := accepted(fake, path); n != want {
						t.Errorf("%s was written %d times, want %d", path, n, want)
					}
				}
				if set, _ := fake.Node("/set"); string(set.Data) != "new" || set.Version != 1 {
					t.Errorf("/set holds %q in version %d, want %q in version 1", set.Data, set.Version, "new")
				}
			})
		})
	}
}

// meanwhile loses one message of the guard's commit, and lets somebody else act
// before the client is back.
func meanwhile(t *testing.T, link *zookeepertest.Link, lost <-chan struct{}, commit func() error, act func()) error {
	t.Helper()
	link.Refuse(true)
	done := background(commit)
	<-lost
	act()
	link.Refuse(false)
	return <-done
}

func TestCommitWhoseGuardFellAfterALostReplyIsFencedAndUnknown(t *testing.T) {
	for name, drop := range map[string]func(*zookeepertest.Link) <-chan struct{}{
		"applied":     func(l *zookeepertest.Link) <-chan struct{} { return l.DropReplyOf(isCommit) },
		"not applied": func(l *zookeepertest.Link) <-chan struct{} { return l.DropRequestOf(isCommit) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link, guard := guarded(t, fake)
				operator := connect(t, fake)
				ctx := within(t)
				write := zookeeper.CreateOp("/job", []byte("a"), zookeeper.Persistent)
				err := meanwhile(t, link, drop(link), func() error { return guard.Commit(ctx, write) }, func() {
					must(t, operator.Delete(ctx, guard.Path(), -1))
				})
				wantErr(t, "commit", err, zookeeper.ErrFenced, zookeeper.ErrUnknownOutcome)
				before := fake.Count(zookeepertest.OpMulti)
				wantErr(t, "next commit", guard.Commit(ctx, write), zookeeper.ErrFenced)
				wantErr(t, "next check", guard.Check(ctx), zookeeper.ErrFenced)
				wantErr(t, "guard", guard.Err(), zookeeper.ErrFenced)
				if n := fake.Count(zookeepertest.OpMulti) - before; n != 0 {
					t.Errorf("%d requests with a guard that is known to have fallen, want none", n)
				}
			})
		})
	}
}

func TestCommitTellsAnothersNodeFromItsOwnAfterALostRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link, guard := guarded(t, fake)
		other := connect(t, fake)
		ctx := within(t)
		err := meanwhile(t, link, link.DropRequestOf(isCommit), func() error {
			return guard.Commit(ctx, zookeeper.CreateOp("/job", []byte("mine"), zookeeper.Persistent))
		}, func() {
			must(t, other.Create(ctx, "/job", []byte("another's"), zookeeper.Persistent))
		})
		wantErr(t, "commit", err, zookeeper.ErrNodeExists)
		var failed *zookeeper.MultiError
		if !errors.As(err, &failed) || failed.Index != 0 {
			t.Errorf("error %v, want that of operation 0", err)
		}
	})
}

func TestCommitThatWasRefusedStaysRefusedAfterALostReply(t *testing.T) {
	for name, c := range map[string]struct {
		ops   []zookeeper.Op
		index int
		want  error
	}{
		"delete of nothing, then create": {[]zookeeper.Op{
			zookeeper.DeleteOp("/never", -1), zookeeper.CreateOp("/y", nil, zookeeper.Persistent),
		}, 0, zookeeper.ErrNoNode},
		"create, then delete of nothing": {[]zookeeper.Op{
			zookeeper.CreateOp("/y", nil, zookeeper.Persistent), zookeeper.DeleteOp("/never", -1),
		}, 1, zookeeper.ErrNoNode},
		"delete of nothing, then delete": {[]zookeeper.Op{
			zookeeper.DeleteOp("/never", -1), zookeeper.DeleteOp("/x", -1),
		}, 0, zookeeper.ErrNoNode},
		"delete of nothing, then set": {[]zookeeper.Op{
			zookeeper.DeleteOp("/never", -1), zookeeper.SetOp("/x", []byte("new"), -1),
		}, 0, zookeeper.ErrNoNode},
		"create below nothing":     {[]zookeeper.Op{zookeeper.CreateOp("/never/y", nil, zookeeper.Persistent)}, 0, zookeeper.ErrNoNode},
		"set of another version":   {[]zookeeper.Op{zookeeper.SetOp("/x", []byte("new"), 7)}, 0, zookeeper.ErrBadVersion},
		"check of another version": {[]zookeeper.Op{zookeeper.CheckOp("/x", 7)}, 0, zookeeper.ErrBadVersion},
		"ephemeral that another session owns": {[]zookeeper.Op{
			zookeeper.CreateOp("/foreign", []byte("same"), zookeeper.Ephemeral),
		}, 0, zookeeper.ErrNodeExists},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link, guard := guarded(t, fake)
				ctx := within(t)
				must(t, guard.Session().Create(ctx, "/x", []byte("old"), zookeeper.Persistent))
				must(t, connect(t, fake).Create(ctx, "/foreign", []byte("same"), zookeeper.Ephemeral))
				link.DropReplyOf(isCommit)
				err := guard.Commit(ctx, c.ops...)
				var failed *zookeeper.MultiError
				if !errors.As(err, &failed) || failed.Index != c.index || !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v of operation %d", err, c.want, c.index)
				}
				if x, _ := fake.Node("/x"); string(x.Data) != "old" {
					t.Errorf("/x holds %q, want %q", x.Data, "old")
				}
			})
		})
	}
}

func TestCommitWithoutAnAnswerIsUnknown(t *testing.T) {
	for name, end := range map[string]func(*zookeeper.Session, context.CancelFunc){
		"context ended":  func(_ *zookeeper.Session, cancel context.CancelFunc) { cancel() },
		"session closed": func(s *zookeeper.Session, _ context.CancelFunc) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link, guard := guarded(t, fake)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				link.Freeze()
				done := background(func() error {
					return guard.Commit(ctx, zookeeper.CreateOp("/job", nil, zookeeper.Persistent))
				})
				synctest.Wait()
				end(guard.Session(), cancel)
				err := <-done
				wantErr(t, "commit", err, zookeeper.ErrUnknownOutcome)
				if !errors.Is(err, context.Canceled) && !errors.Is(err, zookeeper.ErrClosed) {
					t.Errorf("error %v, want one that says why no answer came", err)
				}
				link.Unfreeze()
			})
		})
	}
}

// A late write of an old term is refused as such, also when this process knows that
// its session is over and asks nobody.
func TestAGuardOfAnEndedSessionIsFenced(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		_, guard := guarded(t, fake)
		guard.Session().Abandon()
		for call, err := range map[string]error{
			"commit": guard.Commit(t.Context(), zookeeper.CreateOp("/job", nil, zookeeper.Persistent)),
			"check":  guard.Check(t.Context()),
		} {
			wantErr(t, call, err, zookeeper.ErrFenced)
			wantErr(t, call, err, zookeeper.ErrExpired)
		}
	})
}
