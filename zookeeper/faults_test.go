package zookeeper_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// dialFunc is a dialer.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

// hostile reads a client's connect request, answers with fixed bytes, and closes
// dropped when the client has hung up.
func hostile(t *testing.T, answer []byte) (client net.Conn, dropped <-chan struct{}) {
	t.Helper()
	client, server := net.Pipe()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer server.Close()
		head := make([]byte, 4)
		if _, err := io.ReadFull(server, head); err != nil {
			t.Errorf("connect request: %v", err)
			return
		}
		if _, err := io.CopyN(io.Discard, server, int64(binary.BigEndian.Uint32(head))); err != nil {
			t.Errorf("connect request: %v", err)
			return
		}
		_, _ = server.Write(answer) // the client may hang up in the middle
		_, _ = io.Copy(io.Discard, server)
	}()
	return client, gone
}

// connectResponse is what a server says first.
func connectResponse(timeout int32, session int64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 36)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout))
	b = binary.BigEndian.AppendUint64(b, uint64(session))
	b = binary.BigEndian.AppendUint32(b, 16)
	return append(b, make([]byte, 16)...)
}

func TestFinding05HostileBytesCostTheirSenderTheConnection(t *testing.T) {
	good := connectResponse(6000, 7)
	for name, c := range map[string]struct {
		answer  []byte
		session bool // the answer makes one
	}{
		"another protocol":         {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false},
		"short connect response":   {[]byte{0, 0, 0, 4, 1, 2, 3, 4}, false},
		"endless connect response": {[]byte{0, 0, 0, 36, 1}, false},
		"huge connect response":    {[]byte{0x7f, 0xff, 0xff, 0xff}, false},
		"session without time-out": {connectResponse(0, 7), false},
		"negative time-out":        {connectResponse(-1, 7), false},
		"time-out of 9 ms":         {connectResponse(9, 7), false},
		"empty frame":              {append(good, 0, 0, 0, 0), true},
		"frame without a header":   {append(good, 0, 0, 0, 15, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), true},
		"huge frame":               {append(good, 0x40, 0, 0, 0), true},
		"negative length":          {append(good, 0xff, 0xff, 0xff, 0xff), true},
		"frame that never ends":    {append(good, 0, 0, 0, 200, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				var dropped <-chan struct{}
				s := connect(t, dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dropped != nil {
						return fake.DialContext(ctx, network, addr)
					}
					conn, gone := hostile(t, c.answer)
					dropped = gone
					return conn, nil
				}))
				<-dropped
				if !c.session {
					must(t, s.Create(within(t), "/x", nil, zookeeper.Persistent))
					return
				}
				<-s.Done() // the next server has never heard of that session
				wantErr(t, "reason", s.Err(), zookeeper.ErrExpired)
			})
		})
	}
}

func TestOpenNamesAServerThatSpeaksSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := zookeeper.Open(ctx, config(dialFunc(func(context.Context, string, string) (net.Conn, error) {
			conn, _ := hostile(t, []byte("SSH-2.0-OpenSSH_9.2\r\n"))
			return conn, nil
		})))
		wantErr(t, "open", err, zookeeper.ErrSuspended, context.DeadlineExceeded)
	})
}

func TestFinding07ANegotiatedTimeoutShorterThanAskedIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := zookeepertest.NewFake(zookeepertest.FakeConfig{TickTime: tick, MaxSessionTimeout: 4 * time.Second})
		t.Cleanup(fake.Close)
		cfg := config(fake)
		cfg.SessionTimeout = time.Hour
		s := openWith(t, cfg)
		if s.Timeout() != 4*time.Second {
			t.Errorf("time-out %v, want the server's 4 s", s.Timeout())
		}
		elapse(time.Minute)
		if state, _ := s.State(); state != zookeeper.Connected {
			t.Errorf("state %v after a minute, want %v", state, zookeeper.Connected)
		}
		start := time.Now()
		fake.Freeze()
		awaitState(t, s, zookeeper.Suspended)
		if took := time.Since(start); took > s.Timeout()/2 {
			t.Errorf("silence was noticed after %v of a time-out of %v", took, s.Timeout())
		}
	})
}

// One and even two servers of three that hang, at whatever instant it happens,
// cost less than T: the session is still there on the third.
func TestFinding04FrozenServersAmongHealthyOnesDoNotCostTheSession(t *testing.T) {
	addrs := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	for phase := time.Duration(0); phase < timeout/3; phase += 130 * time.Millisecond {
		for frozen := 1; frozen <= 2; frozen++ {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				m := newMembers(fake, addrs...)
				cfg := config(m)
				cfg.Servers = addrs
				s := openWith(t, cfg)
				elapse(time.Minute + phase)
				hung := m.current()
				start := time.Now()
				m.links[hung].Freeze()
				if frozen == 2 {
					for _, addr := range addrs {
						if addr != hung {
							m.links[addr].Freeze()
							break
						}
					}
				}
				data := background(func() error { _, _, err := s.Children(t.Context(), "/"); return err })
				must(t, <-data)
				if took := time.Since(start); took >= timeout {
					t.Errorf("phase %v: an answer took %v with %d of 3 servers frozen, want less than %v", phase, took, frozen, timeout)
				}
				elapse(2 * timeout)
				if err := s.Err(); err != nil {
					t.Errorf("phase %v: session ended with %d of 3 servers frozen: %v", phase, frozen, err)
				}
				for _, link := range m.links {
					link.Unfreeze()
				}
			})
		}
	}
}

func TestFinding04AWriteThatBlocksIsGivenUpInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		client, server := net.Pipe()
		first := true
		s := connect(t, dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if !first {
				return fake.DialContext(ctx, network, addr)
			}
			first = false
			inner, err := fake.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			// The connect request (a header and 44 bytes) goes through, then
			// nothing more does.
			go func() { _, _ = io.CopyN(inner, server, 48) }()
			go func() {
				_, _ = io.Copy(server, inner)
				inner.Close()
				server.Close()
			}()
			return client, nil
		}))
		start := time.Now()
		wantErr(t, "create", s.Create(within(t), "/x", nil, zookeeper.Persistent), zookeeper.ErrUnknownOutcome)
		if took := time.Since(start); took > timeout/2 {
			t.Errorf("the write was given up after %v, want less than %v", took, timeout/2)
		}
		must(t, second(s.Children(within(t), "/"))) // the session goes on
	})
}

func TestFinding04AnAttemptToConnectTakesAThirdOfTheTimeout(t *testing.T) {
	for _, slow := range []time.Duration{0, timeout / 4, time.Hour} {
		t.Run(fmt.Sprintf("dial takes %v", slow), func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				start := time.Now()
				var attempts []time.Duration
				connect(t, dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
					if attempts = append(attempts, time.Since(start)); len(attempts) > 1 {
						return fake.DialContext(ctx, network, addr)
					}
					select {
					case <-time.After(slow):
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
					client, server := net.Pipe() // accepts and says nothing
					go func() { _, _ = io.Copy(io.Discard, server) }()
					return client, nil
				}))
				// The second try comes after a pause of at most 100 ms.
				if second := attempts[1]; second > timeout/3+100*time.Millisecond {
					t.Errorf("the next server was tried after %v, want %v", second, timeout/3)
				}
			})
		})
	}
}

func TestClientGoesOnWhileNobodyAnswersAndSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		fake.Refuse(true)
		c, err := zookeeper.New(config(fake))
		must(t, err)
		run, stop := context.WithCancel(t.Context())
		ended := background(func() error { return c.Run(run) })
		elapse(10 * time.Minute)
		status := c.Status()
		wantErr(t, "status", status.Err, zookeeper.ErrSuspended)
		if op := new(net.OpError); !errors.As(status.Err, &op) {
			t.Errorf("status says %v, want that the connection was refused", status.Err)
		}
		if status.State != zookeeper.Connecting || status.SessionID != 0 || !status.LastContact.IsZero() {
			t.Errorf("status %+v, want one that connects and never heard of a server", status)
		}
		fake.Refuse(false)
		s, err := c.Session(within(t))
		must(t, err)
		if status = c.Status(); status.State != zookeeper.Connected || status.SessionID != s.ID() || status.Err != nil {
			t.Errorf("status %+v, want a connection in session %#x", status, s.ID())
		}
		fake.Refuse(true)
		fake.Drop()
		awaitState(t, s, zookeeper.Suspended)
		elapse(time.Second)
		if status = c.Status(); status.State != zookeeper.Suspended || status.Err == nil || status.LastContact.IsZero() {
			t.Errorf("status %+v, want a suspension with its reason", status)
		}
		<-s.Done()
		waiting := background(func() error { _, err := c.Session(t.Context()); return err })
		synctest.Wait()
		stop()
		wantErr(t, "Run", <-ended, context.Canceled)
		wantErr(t, "Session", <-waiting, zookeeper.ErrClosed)
		wantErr(t, "status", c.Status().Err, zookeeper.ErrClosed)
	})
}

func TestClientClosesItsSessionAtTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		c, err := zookeeper.New(config(fake))
		must(t, err)
		run, stop := context.WithCancel(t.Context())
		ended := background(func() error { return c.Run(run) })
		first, err := c.Session(within(t))
		must(t, err)
		fake.ExpireSession(first.ID())
		<-first.Done()
		next, err := c.Session(within(t))
		must(t, err)
		stop()
		<-ended
		sessions := fake.Sessions()
		if len(sessions) != 2 || sessions[1].ID != next.ID() || sessions[1].Ended.IsZero() || sessions[1].Expired {
			t.Errorf("sessions %+v, want an expired and a closed one", sessions)
		}
	})
}
