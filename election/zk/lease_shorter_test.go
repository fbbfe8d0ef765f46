package zk

import (
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// limitedConn goes to a server that grants no longer time-out than most.
type limitedConn struct {
	net.Conn
	most    time.Duration
	greeted bool
}

// Write lowers the time-out in the first request, which asks for it.
func (c *limitedConn) Write(p []byte) (int, error) {
	const asked = 16 // behind length, version and transaction
	if !c.greeted {
		c.greeted = true
		p = append([]byte(nil), p...)
		if ms := uint32(c.most.Milliseconds()); binary.BigEndian.Uint32(p[asked:]) > ms {
			binary.BigEndian.PutUint32(p[asked:], ms)
		}
	}
	return c.Conn.Write(p)
}

// The servers of an ensemble can have different limits, while they are configured anew
// one by one for example: a session then ends sooner once it has moved.
func TestALeaseEndsBeforeASessionThatAServerMadeShorter(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration // of the second server
		keeps   bool          // the term while the server answers
	}{{sessionTimeout, true}, {sessionTimeout * 5 / 6, true}, {sessionTimeout / 3, false}} {
		t.Run(c.timeout.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				var moved atomic.Bool
				client, err := zookeeper.New(zookeeper.Config{
					Servers: []string{"127.0.0.1:2181"}, SessionTimeout: sessionTimeout,
					Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := fake.DialContext(ctx, network, addr)
						if err != nil || !moved.Load() {
							return conn, err
						}
						return &limitedConn{Conn: conn, most: c.timeout}, nil
					},
				})
				must(t, err)
				driver, err := New(Config{Client: client, Latch: latchPath, Leaders: leadersPath})
				must(t, err)
				ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
				ended := make(chan error, 1)
				go func() { ended <- client.Run(ctx) }()
				t.Cleanup(func() { stop(); <-ended })
				m := &member{Driver: driver, id: "a", link: fake.Link, client: client}
				term := m.lead(t)
				elapse(sessionTimeout)
				moved.Store(true)
				fake.Drop()
				elapse(sessionTimeout)
				if closed(term.Lost()) == c.keeps {
					t.Errorf("with a server that answers and a session time-out of %v the term was kept %v (%v), want %v",
						c.timeout, !c.keeps, term.Err(), c.keeps)
				}
				fake.Freeze()
				<-term.Lost()
				elapse(stopGrace) // Lead takes all of its grace
				synctest.Wait()
				if at, expired := fake.SessionExpiredAt(term.session.ID()); expired {
					t.Errorf("the leader had to have left %v after its session expired", time.Since(at))
				}
				fake.Unfreeze()
				_ = term.Release(within(t)) // its session may have gone
			})
		})
	}
}
