package zookeeper

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Lengths of frames, without their four-byte header.
const (
	minConnectFrame = 20  // version, time-out, session id, length of the password
	maxConnectFrame = 256 // the same and a password of 16 bytes, with room to spare
	minReplyFrame   = 16  // xid, zxid, error code
)

// frameConn stands between go-zookeeper and a socket. It reads the negotiated
// time-out from the connect response, the only place where it appears; bounds
// how long anything may take, as go-zookeeper's own deadlines let a frozen server
// hold it for several session time-outs; and refuses frames whose length would
// make go-zookeeper panic or allocate without bound.
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
	rewatches *rewatches                                  // the session's
	pulse     *pulse                                      // the session's
	began     time.Time                                   // before the connection was asked for
	gone      chan struct{}                               // closed by Close
	hangUp    sync.Once
	rewatched chan struct{} // closed when they were sent; nil until connected
	resent    sync.Once

	limit     time.Duration // for one frame; zero until connected
	pending   []byte        // read ahead, to be delivered first
	rest      int           // bytes of the current frame still to be read
	awaited   bool          // nothing is held back any more
	rewatchBy time.Duration // how long it may be
}

// Read delivers the bytes of the next frame, whose length it has checked.
func (c *frameConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 && c.rest == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.rest)])
	c.rest -= n
	return n, err
}

// Write passes bytes on. go-zookeeper writes whole requests.
func (c *frameConn) Write(p []byte) (int, error) {
	if c.rewatched != nil && len(p) >= 12 && binary.BigEndian.Uint32(p[8:]) == opSetWatches && c.rewatches.resent() {
		c.resent.Do(func() { close(c.rewatched) })
	}
	if len(p) >= 12 && binary.BigEndian.Uint32(p[8:]) == opPing {
		c.pulse.ping()
	}
	return c.Conn.Write(p)
}

// Close closes the connection under whoever waits for it. It may be called again.
func (c *frameConn) Close() error {
	c.hangUp.Do(func() { close(c.gone) })
	return c.Conn.Close()
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

// nextFrame reads the header of a frame, and all of the connect response.
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
	frame := append(head, make([]byte, size)...)
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return err
	}
	timeout := time.Duration(int32(binary.BigEndian.Uint32(frame[8:]))) * time.Millisecond //nolint:gosec // as it was sent
	id := int64(binary.BigEndian.Uint64(frame[12:]))                                       //nolint:gosec // as it was sent
	switch {
	case timeout > 0:
		c.limit = readLimit(timeout)
		if err := c.connected(timeout, id); err != nil {
			return err
		}
		c.pulse.connect(c.began)
		c.rewatchBy, c.rewatched = c.rewatches.handshake(), make(chan struct{})
	case id != 0: // both are zero when the server says that the session expired
		return fmt.Errorf("server %s gave session %#x the time-out %v", c.RemoteAddr(), id, timeout)
	}
	c.pending = frame
	return nil
}

// nextReply reads as much of a frame after the handshake as tells what it answers.
func (c *frameConn) nextReply(head []byte, size int) error {
	frame := append(head, make([]byte, 4)...)
	if _, err := io.ReadFull(c.Conn, frame[4:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(frame[4:]) == pingXid {
		c.pulse.pong()
	}
	c.pending, c.rest = frame, size-4
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
