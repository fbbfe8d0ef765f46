package zk

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// credentials records what lets a second connection act for a session: its id and
// password, from the connect response of the newest connection.
type credentials struct {
	addr string

	mu       sync.Mutex
	response []byte
}

// dial connects as usual and listens in.
func (c *credentials) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &recordedConn{Conn: conn, to: c}, nil
}

// recordedConn copies the first frame that is read, header included.
type recordedConn struct {
	net.Conn
	to    *credentials
	frame []byte
}

func (c *recordedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	const whole = 4 + 36 // header; version, time-out, id, length and 16 bytes of password
	if len(c.frame) < whole {
		c.frame = append(c.frame, p[:n]...)
		if len(c.frame) >= whole {
			c.to.mu.Lock()
			c.to.response = c.frame[4:whole]
			c.to.mu.Unlock()
		}
	}
	return n, err
}

// end takes the session over on a connection of its own and closes it, so that the
// server ends it at once. Its owner learns that it has expired.
func (c *credentials) end(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.mu.Lock()
	known := c.response
	c.mu.Unlock()
	// Version, last zxid seen, time-out, then id and password as they were given.
	connect := binary.BigEndian.AppendUint32(nil, 0)
	connect = binary.BigEndian.AppendUint64(connect, 0)
	connect = append(append(connect, known[4:8]...), known[8:]...)
	send(t, conn, connect)
	if _, err := io.ReadFull(conn, make([]byte, 4+36)); err != nil {
		t.Fatal(err)
	}
	const closeSession = 0xfffffff5 // operation -11
	send(t, conn, binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 1), closeSession))
	if _, err := io.Copy(io.Discard, conn); err != nil { // the server hangs up
		t.Fatal(err)
	}
}

func send(t *testing.T, conn net.Conn, body []byte) {
	t.Helper()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		t.Fatal(err)
	}
}
