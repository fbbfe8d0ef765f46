package zookeeper_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// A server closes the connection of who sends too much, without a word; one leader
// after another would lose its session over the same write.
func TestOversizedRequestsNeverLeave(t *testing.T) {
	big, half := make([]byte, zookeeper.MaxData+1), make([]byte, zookeeper.MaxData)
	long := "/" + strings.Repeat("x", zookeeper.MaxData)
	for name, request := range map[string]func(context.Context, *zookeeper.Session) error{
		"create": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Create(ctx, "/big", big, zookeeper.Persistent)
		},
		"create of a container": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Create(ctx, "/big", big, zookeeper.Container)
		},
		"participant id in a latch": func(ctx context.Context, s *zookeeper.Session) error {
			return second(s.CreateProtected(ctx, "/latch", "latch-", big))
		},
		"set": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Multi(ctx, zookeeper.SetOp("/x", big, -1))
		},
		"create in a multi": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Multi(ctx, zookeeper.CheckOp("/x", -1), zookeeper.CreateOp("/big", big, zookeeper.Persistent))
		},
		"guarded set": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Guard("/x").Commit(ctx, zookeeper.SetOp("/x", big, -1))
		},
		"sum of a multi": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Multi(ctx, zookeeper.SetOp("/x", half, -1), zookeeper.SetOp("/x", half, -1))
		},
		"sum of many checks": func(ctx context.Context, s *zookeeper.Session) error {
			ops := make([]zookeeper.Op, 20_000)
			for i := range ops {
				ops[i] = zookeeper.CheckOp("/x", -1)
			}
			return s.Multi(ctx, ops...)
		},
		"sum of a guarded multi": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Guard("/x").Commit(ctx, zookeeper.SetOp("/x", half, -1), zookeeper.SetOp("/x", half, -1))
		},
		"path of a create": func(ctx context.Context, s *zookeeper.Session) error {
			return s.Create(ctx, long, nil, zookeeper.Persistent)
		},
		"path of a read":    func(ctx context.Context, s *zookeeper.Session) error { return second(s.Get(ctx, long)) },
		"path of a watch":   func(ctx context.Context, s *zookeeper.Session) error { _, _, _, err := s.Watch(ctx, long); return err },
		"path of a delete":  func(ctx context.Context, s *zookeeper.Session) error { return s.Delete(ctx, long, -1) },
		"path of a listing": func(ctx context.Context, s *zookeeper.Session) error { return second(s.Children(ctx, long)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				s := connect(t, fake)
				must(t, s.Create(within(t), "/x", nil, zookeeper.Persistent))
				must(t, s.EnsurePath(within(t), "/latch", zookeeper.Container))
				before, dialled := fake.Counts(), fake.Dials()
				wantErr(t, name, request(within(t), s), zookeeper.ErrTooLarge)
				synctest.Wait()
				if after := fake.Counts(); !maps.Equal(before, after) || fake.Dials() != dialled {
					t.Errorf("requests before %v and after %v, %d connections more; want that nothing left", before, after, fake.Dials()-dialled)
				}
				if state, _ := s.State(); state != zookeeper.Connected {
					t.Errorf("the session is %v, want %v", state, zookeeper.Connected)
				}
			})
		})
	}
}

// What is allowed, to the last byte, is also what a real server accepts.
func TestTheLargestRequestsAreAccepted(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s := open(t, timeout, srv.Addr())
	ctx := within(t)
	most := make([]byte, zookeeper.MaxData)
	id := s.ID()
	must(t, s.Create(ctx, "/"+strings.Repeat("x", 64<<10-1), most, zookeeper.Persistent))
	must(t, s.Multi(ctx, zookeeper.CreateOp("/a", most, zookeeper.Persistent),
		zookeeper.CreateOp("/b", make([]byte, 1_000_000-len(most)-2*(64+2)), zookeeper.Persistent)))
	if state, _ := s.State(); state != zookeeper.Connected || s.ID() != id {
		t.Errorf("the session %#x is %v, want %#x connected", s.ID(), state, id)
	}
}
