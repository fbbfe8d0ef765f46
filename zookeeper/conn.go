package zookeeper

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Lengths of frames, without their four-byte header.
const (
	minConnectFrame = 20 // version, time-out, session id, length of the password
	maxConnectFrame = 64 // the same and a password of 16 bytes, with room to spare
	minReplyFrame   = 16 // xid, zxid, error code
)

// opClose is the operation with which a session ends.
const opClose = 0xfffffff5 // -11

// frameConn stands between go-zookeeper and a socket. It reads the negotiated
// time-out from the connect response, the only place where it appears; bounds
// how long anything may take, as go-zookeeper's own deadlines let a frozen server
// hold it for several session time-outs; and refuses frames that would make
// go-zookeeper panic or allocate without bound.
//
// After a reconnect it delivers nothing until go-zookeeper has sent its watches
// again. Their request names the last transaction that was seen, which go-zookeeper
// reads while its other goroutine may already raise it with a reply: the server
// would then keep to itself what happened in between.
//
// go-zookeeper reads from one goroutine at a time and writes from another; the
// fields below the line belong to the reader.
type frameConn struct {
	net.Conn
	connectBy time.Time                                   // end of the handshake
	connected func(timeout time.Duration, id int64) error // called once, with the negotiated T
	heard     func()                                      // called for every frame
	failed    func(error)                                 // called when the handshake fails
	auth      []Auth                                      // presented in the handshake
	rewatches *rewatches                                  // the session's
	pulse     *pulse                                      // the session's
	replies   replies                                     // that are due
	began     time.Time                                   // before the connection was asked for
	farewell  func()                                      // called when the server has closed the session
	gone      chan struct{}                               // closed by Close
	hangUp    sync.Once
	rewatched chan struct{} // closed when they were sent; nil until connected
	resent    sync.Once
	closing   atomic.Uint32 // number of the request to close the session, zero before

	limit     time.Duration // for one frame; zero until connected
	pending   []byte        // what is left of the frame that is being delivered
	awaited   bool          // nothing is held back any more
	rewatchBy time.Duration // how long it may be
}

// Read delivers the bytes of the next frame, which it has checked.
func (c *frameConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 {
		unconfirmed := c.limit == 0
		if err := c.nextFrame(); err != nil {
			if unconfirmed && !c.isGone() {
				c.failed(err)
			}
			return 0, err
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// Write passes bytes on. go-zookeeper writes whole requests.
//
// Once the session is confirmed, it is the reader alone that tells of a lost connection:
// a write that fails closes the connection and succeeds. go-zookeeper answers a request
// whose write failed at once, and again with all others when the reader has ended; one
// that was queued while its Conn was closed has had an answer before. The third finds no
// room when nobody waits any more, and the Conn's goroutine would stay for ever.
func (c *frameConn) Write(p []byte) (int, error) {
	if c.rewatched == nil {
		return c.Conn.Write(p)
	}
	if len(p) >= 12 {
		xid, op := binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
		switch op {
		case opSetWatches:
			if c.rewatches.resent() {
				c.resent.Do(func() { close(c.rewatched) })
			}
		case opPing:
			c.pulse.ping()
		case opClose:
			c.closing.Store(xid)
		}
		c.replies.ask(xid, op)
	}
	if _, err := c.Conn.Write(p); err != nil {
		_ = c.Close()
	}
	return len(p), nil
}

// Close closes the connection under whoever waits for it. It may be called again.
func (c *frameConn) Close() error {
	c.hangUp.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// isGone reports whether this side closed the connection.
func (c *frameConn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// awaitWatches blocks until the watches were sent again.
func (c *frameConn) awaitWatches() error {
	timer := time.NewTimer(c.rewatchBy)
	defer timer.Stop()
	select {
	case <-c.rewatched:
	case <-timer.C:
		c.rewatches.settle()
	case <-c.gone:
		return net.ErrClosed
	}
	c.awaited = true
	return nil
}

// nextFrame reads the header of a frame, and does all of the handshake.
func (c *frameConn) nextFrame() error {
	if c.rewatched != nil && !c.awaited {
		if err := c.awaitWatches(); err != nil {
			return err
		}
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return err
	}
	least, most := uint32(minReplyFrame), uint32(maxFrame)
	if c.limit == 0 {
		least, most = minConnectFrame, maxConnectFrame
	}
	size := binary.BigEndian.Uint32(head)
	if size < least || size > most {
		return fmt.Errorf("server %s sent a frame of %d bytes, expected %d to %d: is it a ZooKeeper server?", c.RemoteAddr(), size, least, most)
	}
	c.heard()
	if c.limit > 0 {
		return c.nextReply(head, int(size))
	}
	return c.handshake(head, int(size))
}

// nextReply reads a frame after the handshake and checks what it holds.
func (c *frameConn) nextReply(head []byte, size int) error {
	frame := append(head, make([]byte, size)...)
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return err
	}
	if err := c.replies.check(frame[4:]); err != nil {
		return fmt.Errorf("server %s sent a reply of %d bytes that cannot be read: %w", c.RemoteAddr(), size, err)
	}
	switch xid, code := binary.BigEndian.Uint32(frame[4:]), binary.BigEndian.Uint32(frame[16:]); {
	case xid == pingXid:
		c.pulse.pong()
	case code == 0 && xid != 0 && xid == c.closing.Load():
		c.farewell()
	}
	c.pending = frame
	return nil
}

// readLimit is how long a connection may be silent. go-zookeeper pings every
// T/3, so an idle connection hears something every T/3 and a round trip; what is
// left of T after 5T/12 suffices to try two other servers.
func readLimit(timeout time.Duration) time.Duration { return timeout * 5 / 12 }

// SetReadDeadline keeps the deadline within the bound, and never lifts it.
func (c *frameConn) SetReadDeadline(t time.Time) error {
	return c.Conn.SetReadDeadline(c.bound(t))
}

// SetWriteDeadline keeps the deadline within the bound, and never lifts it.
func (c *frameConn) SetWriteDeadline(t time.Time) error {
	return c.Conn.SetWriteDeadline(c.bound(t))
}

func (c *frameConn) bound(t time.Time) time.Time {
	if c.limit == 0 {
		return c.connectBy
	}
	if most := time.Now().Add(c.limit); t.IsZero() || t.After(most) {
		return most
	}
	return t
}
