package zookeeper_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// twoIdentities is what a client has while its password is changed.
func twoIdentities() zookeeper.Security {
	return zookeeper.Security{Auth: []zookeeper.Auth{{Secret: "ann:old"}, {Secret: "ann:new"}}}
}

func isAuth(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpSetAuth }

func TestIdentitiesArePresentedFirstOnEveryConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		asked := make(chan zookeepertest.Op, 1000)
		fake.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			asked <- r.Op
			return 0, 0
		})
		cfg := config(fake)
		cfg.Security = twoIdentities()
		s := openWith(t, cfg)
		const connections = 3
		for range connections - 1 {
			for range manyRequests { // more than fit go-zookeeper's queue
				go func() { _ = s.Create(t.Context(), "/x", nil, zookeeper.Persistent) }()
			}
			fake.Drop()
			awaitState(t, s, zookeeper.Suspended)
			awaitState(t, s, zookeeper.Connected)
		}
		must(t, s.Create(within(t), "/last", nil, zookeeper.Persistent))
		if n := fake.Count(zookeepertest.OpSetAuth); n != 2*connections {
			t.Errorf("%d identities were presented on %d connections, want two on each", n, connections)
		}
		for range 2 {
			if op := <-asked; op != zookeepertest.OpSetAuth {
				t.Errorf("%v was asked before the identities were presented", op)
			}
		}
	})
}

// Finding 6: when go-zookeeper itself presents credentials again and that fails, it
// fills a channel of one slot twice, and its Conn is dead for ever.
func TestFinding06CredentialsLostOnAReconnectDoNotLockTheClientUp(t *testing.T) {
	for name, lose := range map[string]func(*zookeepertest.Fake, *failingWrites) <-chan struct{}{
		"request lost": func(f *zookeepertest.Fake, _ *failingWrites) <-chan struct{} { return f.DropRequestOf(isAuth) },
		"reply lost":   func(f *zookeepertest.Fake, _ *failingWrites) <-chan struct{} { return f.DropReplyOf(isAuth) },
		"write fails": func(_ *zookeepertest.Fake, w *failingWrites) <-chan struct{} {
			done := make(chan struct{})
			w.fail.Store(&done)
			return done
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				writes := &failingWrites{fake: fake}
				cfg := config(writes)
				cfg.Security = twoIdentities()
				s := openWith(t, cfg)
				lost := lose(fake, writes)
				fake.Drop()
				awaitState(t, s, zookeeper.Suspended)
				<-lost
				must(t, s.Create(within(t), "/x", nil, zookeeper.Persistent))
				if err := s.Err(); err != nil {
					t.Errorf("the session ended with %v, want it to live", err)
				}
			})
		})
	}
}

// failingWrites dials a fake; when told so, one write of credentials fails.
type failingWrites struct {
	fake *zookeepertest.Fake
	fail atomic.Pointer[chan struct{}]
}

func (f *failingWrites) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := f.fake.DialContext(ctx, network, addr)
	return &failingConn{Conn: conn, writes: f}, err
}

type failingConn struct {
	net.Conn
	writes *failingWrites
}

func (c *failingConn) Write(p []byte) (int, error) {
	const auth = 100
	if len(p) > 12 && p[11] == auth {
		if done := c.writes.fail.Swap(nil); done != nil {
			close(*done)
			return 0, errors.New("write failed")
		}
	}
	return c.Conn.Write(p)
}

func TestFinding06UnansweredCredentialsEndInBoundedTime(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		fake.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if isAuth(r) {
				return time.Hour, 0
			}
			return 0, 0
		})
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		cfg := config(fake)
		cfg.Security = twoIdentities()
		began := time.Now()
		_, err := zookeeper.Open(ctx, cfg)
		wantErr(t, "open", err, zookeeper.ErrSuspended, context.DeadlineExceeded)
		wantText(t, "open", err, "does not answer")
		if took := time.Since(began); took > timeout+3*time.Second {
			t.Errorf("Open took %v, want its context's %v and at most 3s", took, timeout)
		}
		synctest.Wait()
	})
}
