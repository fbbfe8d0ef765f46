package zookeeper

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// connectFrame is a connect response as servers send it.
func connectFrame(timeout time.Duration, id uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 36)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(timeout.Milliseconds()))
	b = binary.BigEndian.AppendUint64(b, id)
	b = binary.BigEndian.AppendUint32(b, 16)
	return append(b, make([]byte, 16)...)
}

// replyFrame is a reply of n bytes.
func replyFrame(n uint32, body int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, n), make([]byte, body)...)
}

// recorded is a connection that delivers fixed bytes.
type recorded struct {
	net.Conn
	io.Reader
}

func (r recorded) Read(p []byte) (int, error) { return r.Reader.Read(p) }
func (recorded) RemoteAddr() net.Addr         { return &net.TCPAddr{} }

// refusing is a connection whose writes fail.
type refusing struct {
	net.Conn

	closed int
}

func (r *refusing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (r *refusing) Close() error              { r.closed++; return nil }

// go-zookeeper would answer a request twice whose write fails, and a third time when it
// was queued while its Conn was closed: then its goroutine blocks for ever.
func TestAFailedWriteIsToldByTheReaderAlone(t *testing.T) {
	raw := &refusing{}
	c := &frameConn{Conn: raw, gone: make(chan struct{}), rewatches: new(rewatches), pulse: new(pulse)}
	if _, err := c.Write(make([]byte, 20)); err == nil || raw.closed > 0 {
		t.Errorf("a write of the handshake: error %v, closed %d times; want the error, which go-zookeeper handles", err, raw.closed)
	}
	c.rewatched = make(chan struct{})
	if n, err := c.Write(make([]byte, 20)); n != 20 || err != nil {
		t.Errorf("a later write: %d, %v; want 20 bytes and no error", n, err)
	}
	if raw.closed != 1 || !c.isGone() {
		t.Errorf("the connection was closed %d times, want once, so that the reader ends", raw.closed)
	}
}

// FuzzFrame holds frameConn to what go-zookeeper needs: whatever a server sends,
// what comes out is what went in, in frames whose length go-zookeeper survives,
// after a connect response that names a session it can live with.
func FuzzFrame(f *testing.F) {
	good := connectFrame(6*time.Second, 1)
	for _, in := range [][]byte{
		nil, {0}, {0, 0, 0}, {0xff, 0xff, 0xff, 0xff}, []byte("HTTP/1.1 400 Bad Request\r\n"),
		good, good[:10], connectFrame(0, 0), connectFrame(0, 1), connectFrame(-time.Second, 1),
		append(bytes.Clone(good), replyFrame(16, 16)...),
		append(bytes.Clone(good), replyFrame(16, 7)...),
		append(bytes.Clone(good), replyFrame(15, 15)...),
		append(bytes.Clone(good), replyFrame(0, 0)...),
		append(bytes.Clone(good), replyFrame(maxFrame+1, 16)...),
		append(bytes.Clone(good), replyFrame(1<<31, 16)...),
		append(append(bytes.Clone(good), replyFrame(40, 40)...), replyFrame(20, 20)...),
	} {
		f.Add(in, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		sessions := 0
		c := &frameConn{
			Conn: recorded{Reader: bytes.NewReader(in)}, heard: func() {}, failed: func(error) {}, rewatches: new(rewatches), pulse: new(pulse),
			connected: func(timeout time.Duration, id int64) error {
				sessions++
				if timeout <= 0 {
					t.Errorf("time-out %v of session %d, which go-zookeeper panics at", timeout, id)
				}
				return nil
			},
		}
		var out []byte
		buf := make([]byte, int(chunk)+1)
		for {
			n, err := c.Read(buf)
			out = append(out, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Errorf("delivered %x of %x", out, in)
		}
		if sessions > 1 {
			t.Errorf("%d sessions on one connection", sessions)
		}
		checkFrames(t, out)
	})
}

// checkFrames fails the test when a frame's length is out of bounds.
func checkFrames(t *testing.T, out []byte) {
	t.Helper()
	for first := true; len(out) >= 4; first = false {
		size := binary.BigEndian.Uint32(out)
		if first && (size < minConnectFrame || size > maxConnectFrame) || size < minReplyFrame || size > maxFrame {
			t.Errorf("a frame of %d bytes was delivered", size)
			return
		}
		if first && size >= 16 && len(out) >= 20 {
			timeout, id := int32(binary.BigEndian.Uint32(out[8:])), binary.BigEndian.Uint64(out[12:])
			if timeout <= 0 && id != 0 {
				t.Errorf("session %d with the time-out %d was delivered", id, timeout)
			}
		}
		out = out[min(len(out), 4+int(size)):]
	}
}

func TestFrameConnBoundsAllDeadlines(t *testing.T) {
	handshake := time.Now().Add(time.Second)
	set := &deadlines{}
	c := &frameConn{Conn: set, connectBy: handshake}
	for _, d := range []time.Time{{}, time.Now().Add(time.Hour), time.Now()} {
		_ = c.SetReadDeadline(d)
		_ = c.SetWriteDeadline(d)
		if !set.read.Equal(handshake) || !set.write.Equal(handshake) {
			t.Errorf("deadlines %v and %v during the handshake, want its end %v", set.read, set.write, handshake)
		}
	}
	c.limit = time.Minute
	for _, d := range []time.Time{{}, time.Now().Add(time.Hour)} {
		_ = c.SetReadDeadline(d)
		_ = c.SetWriteDeadline(d)
		for what, got := range map[string]time.Time{"read": set.read, "write": set.write} {
			if left := time.Until(got); left <= 0 || left > time.Minute {
				t.Errorf("%s deadline %v from now for %v, want a minute at most", what, left, d)
			}
		}
	}
	soon := time.Now().Add(time.Second)
	_ = c.SetReadDeadline(soon)
	_ = c.SetWriteDeadline(soon)
	if !set.read.Equal(soon) || !set.write.Equal(soon) {
		t.Errorf("deadlines %v and %v, want %v, which is within the bound", set.read, set.write, soon)
	}
}

// deadlines is a connection that notes its deadlines.
type deadlines struct {
	net.Conn
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = t; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = t; return nil }
