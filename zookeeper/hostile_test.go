package zookeeper_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Where a hostile server puts its bytes.
const (
	asHandshake = iota // in the place of the connect response
	unprompted         // behind it, before any request
	asReply            // as the body of a well-formed reply to each request
	asEvent            // as the body of a watch event before each reply
	places
)

// attack is what a hostile server does on one connection.
type attack struct {
	place byte
	bytes []byte
}

// patience is after how many requests a hostile server falls silent.
const patience = 20

// serve attacks over conn until the client hangs up.
func (a attack) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := readPacket(conn); err != nil {
		return
	}
	if a.place == asHandshake {
		_, _ = conn.Write(a.bytes)
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	_, _ = conn.Write(connectResponse(int32(timeout.Milliseconds()), 7))
	if a.place == unprompted {
		_, _ = conn.Write(a.bytes)
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	for range patience {
		request, err := readPacket(conn)
		if err != nil || len(request) < 8 {
			return
		}
		xid, body := binary.BigEndian.Uint32(request), a.bytes
		if a.place == asEvent {
			if _, err := conn.Write(reply(0xffffffff, body)); err != nil {
				return
			}
			body = make([]byte, 200) // a Stat of zeros, an empty path: what is asked for
		}
		if _, err := conn.Write(reply(xid, body)); err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, conn)
}

func readPacket(conn net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint32(head))
	_, err := io.ReadFull(conn, packet)
	return packet, err
}

// reply frames the body of an answer that reports no error.
func reply(xid uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.BigEndian.AppendUint32(b, xid)
	b = binary.BigEndian.AppendUint64(b, 1<<32) // zxid
	b = binary.BigEndian.AppendUint32(b, 0)     // no error
	return append(b, body...)
}

// victims are the operations whose replies are attacked.
func victims() []func(ctx context.Context, s *zookeeper.Session) error {
	return []func(ctx context.Context, s *zookeeper.Session) error{
		func(ctx context.Context, s *zookeeper.Session) error { return second(s.Get(ctx, "/x")) },
		func(ctx context.Context, s *zookeeper.Session) error { return second(s.Exists(ctx, "/x")) },
		func(ctx context.Context, s *zookeeper.Session) error { return second(s.Children(ctx, "/x")) },
		func(ctx context.Context, s *zookeeper.Session) error {
			return s.Create(ctx, "/x", nil, zookeeper.Ephemeral)
		},
		func(ctx context.Context, s *zookeeper.Session) error {
			return s.EnsurePath(ctx, "/x/y", zookeeper.Container)
		},
		func(ctx context.Context, s *zookeeper.Session) error {
			return second(s.CreateProtected(ctx, "/x", "latch-", nil))
		},
		func(ctx context.Context, s *zookeeper.Session) error {
			return s.Multi(ctx, zookeeper.CreateOp("/x", nil, zookeeper.Persistent), zookeeper.SetOp("/x", nil, -1))
		},
		func(ctx context.Context, s *zookeeper.Session) error {
			return s.Guard("/x").Commit(ctx, zookeeper.DeleteOp("/y", -1))
		},
		func(ctx context.Context, s *zookeeper.Session) error {
			_, _, _, err := s.Watch(ctx, "/x")
			return err
		},
		func(ctx context.Context, s *zookeeper.Session) error { return s.Delete(ctx, "/x", -1) },
	}
}

// survive lets a session meet the attack on its first connection, and an honest
// server, which does not know the session, on the next ones.
func survive(t *testing.T, a attack, victim func(context.Context, *zookeeper.Session) error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := zookeepertest.NewFake(zookeepertest.FakeConfig{TickTime: tick})
		t.Cleanup(fake.Close)
		var dials atomic.Int32
		cfg := config(dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return fake.DialContext(ctx, network, addr)
			}
			client, server := net.Pipe()
			go a.serve(server)
			return client, nil
		}))
		cfg.Chroot = "/root"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := zookeeper.Open(within(t), cfg)
		if err != nil {
			wantErr(t, "open", err, zookeeper.ErrExpired) // as the attacker said
			return
		}
		defer s.Close()
		if err := victim(within(t), s); errors.Is(err, zookeeper.ErrTooLarge) {
			t.Errorf("the operation ended with %v, though it was sent", err)
		}
		// A reply may claim a transaction that no server has seen yet: then all refuse
		// the client, until it gives the session up.
		if n := dials.Load(); n > 30 {
			t.Errorf("the client connected %d times, want 30 at most", n)
		}
		runtime.ReadMemStats(&after)
		// A session allocates some 10 MiB: go-zookeeper's buffers for each connection.
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(64<<20+100*len(a.bytes)); used > most {
			t.Errorf("%d bytes were allocated, want %d at most", used, most)
		}
	})
}

// Bytes that go-zookeeper does not survive, or for which it allocates gigabytes.
func hostileBytes() map[string]attack {
	u32, u64 := binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	stat := make([]byte, 68)
	password := func(length uint32) []byte {
		b := connectResponse(6000, 7)
		binary.BigEndian.PutUint32(b[20:], length)
		return b
	}
	return map[string]attack{
		"a password of 2 GiB":               {asHandshake, password(0x7fffffff)},
		"a time-out of 1 ms":                {asHandshake, connectResponse(1, 7)},
		"session 0":                         {asHandshake, connectResponse(6000, 0)},
		"4 G names":                         {asReply, u32(nil, 0xffffffff)},
		"2 G names":                         {asReply, append(u32(nil, 0x7fffffff), stat...)},
		"data of 2 GiB":                     {asReply, u32(nil, 0x7fffffff)},
		"a name of 4 GiB":                   {asReply, u32(u32(nil, 1), 0xffffffff)},
		"nothing":                           {asReply, nil},
		"half a header of a multi's result": {asReply, u32(nil, 13)},
		"results without an end":            {asReply, append(u32(nil, 13), 0, 0, 0, 0, 0)},
		"an empty path":                     {asReply, append(u32(nil, 0), stat...)},
		"an event without a path":           {asEvent, u32(u32(nil, 1), 3)},
		"an event that says expired":        {asEvent, u32(u32(u32(nil, 0xffffffff), 0xffffff90), 0)},
		"an event that says disconnected":   {asEvent, u32(u32(u32(nil, 0xffffffff), 0), 0)},
		"a reply nobody asked for":          {unprompted, reply(77, u64(nil, 0))},
		"a ping's answer nobody asked for":  {unprompted, reply(0xfffffffe, nil)},
	}
}

func TestFinding05HostileRepliesNeitherEndTheProcessNorFillItsMemory(t *testing.T) {
	for name, a := range hostileBytes() {
		t.Run(name, func(t *testing.T) {
			for _, victim := range victims() {
				survive(t, a, victim)
			}
		})
	}
}

// injecting passes on what an honest server sends, and puts a frame before what
// follows the connect response.
type injecting struct {
	net.Conn
	reads int
	frame []byte
}

func (c *injecting) Read(p []byte) (int, error) {
	if c.reads++; c.reads > 2 && len(c.frame) > 0 { // its length and its body came
		n := copy(p, c.frame)
		c.frame = c.frame[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// go-zookeeper reports what happens to its connection as events without a path, and
// takes the same from the wire.
func TestFinding05AServerCannotForgeWhatIsSaidOfTheConnection(t *testing.T) {
	for name, state := range map[string]zk.State{"expired": zk.StateExpired, "disconnected": zk.StateDisconnected} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				body := binary.BigEndian.AppendUint32([]byte{255, 255, 255, 255}, uint32(state))
				forged := reply(0xffffffff, append(body, 0, 0, 0, 0))
				var dials atomic.Int32
				s := connect(t, dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := fake.DialContext(ctx, network, addr)
					if dials.Add(1) > 1 || err != nil {
						return conn, err
					}
					return &injecting{Conn: conn, frame: forged}, nil
				}))
				elapse(3 * timeout)
				state, _ := s.State()
				if n := dials.Load(); state != zookeeper.Connected || n != 2 {
					t.Errorf("the session is %v (%v) after %d connections, want it on a second one", state, s.Err(), n)
				}
			})
		})
	}
}

// Beyond its seeds: go test -fuzz FuzzHostileServer ./zookeeper
func FuzzHostileServer(f *testing.F) {
	for _, a := range hostileBytes() {
		for i := range victims() {
			f.Add(a.place, byte(i), a.bytes)
		}
	}
	// A well-formed reply to each kind of request.
	stat := make([]byte, 68)
	path := append([]byte{0, 0, 0, 7}, "/root/x"...)
	f.Add(byte(asReply), byte(0), append([]byte{0, 0, 0, 1, 'd'}, stat...))
	f.Add(byte(asReply), byte(2), append(append([]byte{0, 0, 0, 1}, path...), stat...))
	f.Add(byte(asReply), byte(3), path)
	f.Add(byte(asReply), byte(6), slices.Concat(
		[]byte{0, 0, 0, 1, 0, 0, 0, 0, 0}, path, []byte{0, 0, 0, 5, 0, 0, 0, 0, 0}, stat, []byte{255, 255, 255, 255, 1, 255, 255, 255, 255}))
	f.Add(byte(asEvent), byte(8), append([]byte{0, 0, 0, 3, 0, 0, 0, 3}, path...))
	f.Fuzz(func(t *testing.T, place, victim byte, bytes []byte) {
		all := victims()
		survive(t, attack{place % places, bytes}, all[int(victim)%len(all)])
	})
}
