package zookeepertest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// fakeConn is the server's end of a connection. Three goroutines serve it: one
// reads frames whatever happens, as a kernel does; one carries requests out; one
// writes replies. They end when the connection does.
type fakeConn struct {
	fake    *Fake
	link    *Link
	number  int
	conn    net.Conn
	in      queue[[]byte]
	out     queue[outFrame]
	once    sync.Once
	gone    chan struct{} // closed with the connection
	session *fakeSession  // nil before the handshake; written under the fake's lock
	held    [][]byte      // events that its server has not heard of; under the fake's lock
}

// outFrame is a reply or an event on its way.
type outFrame struct {
	frame []byte
	after time.Duration // held back before it is written
	last  bool          // the connection is closed behind it
	// ordered is an answer that the leader gives.
	ordered bool
}

// send queues an event or a reply. It never blocks.
func (c *fakeConn) send(frame []byte) { c.out.push(outFrame{frame: frame}) }

// close ends the connection at once. It never blocks.
func (c *fakeConn) close() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.conn.Close()
	})
}

// serve runs the connection until it ends and then forgets it.
func (c *fakeConn) serve() {
	var parts sync.WaitGroup
	parts.Go(c.read)
	parts.Go(c.process)
	parts.Go(c.write)
	parts.Wait()
	c.fake.forget(c)
}

// read takes frames off the wire. A client that closes is seen by process only
// behind all that it had sent, as on a network.
func (c *fakeConn) read() {
	defer c.in.push(nil)
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.conn, head[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > maxFrame {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(c.conn, frame); err != nil {
			return
		}
		c.in.push(frame)
	}
}

// process carries out requests in their order.
func (c *fakeConn) process() {
	defer c.close()
	if frame := c.next(); frame == nil || !c.handshake(frame) {
		return
	}
	for {
		frame := c.next()
		if frame == nil {
			return
		}
		r, err := decodeRequest(c.session.ID, frame)
		if err != nil || !c.request(r) {
			return
		}
	}
}

// next returns the next frame once the way to the server is open, and nil when
// the connection has ended.
func (c *fakeConn) next() []byte {
	frame, ok := c.in.pop(c.gone)
	if !ok || !c.passage(ToServer) {
		return nil
	}
	return frame
}

func (c *fakeConn) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// handshake answers the first frame. It returns false when the connection ends
// without, or behind, the answer.
func (c *fakeConn) handshake(frame []byte) bool {
	r, err := decodeConnect(frame)
	if err != nil || !c.waitOut(deaf, cutOff) {
		return false
	}
	f := c.fake
	f.mu.Lock()
	if f.closed || r.lastZxid > f.tree.zxid {
		// A client that has seen more than this server is sent away.
		f.mu.Unlock()
		return false
	}
	s := f.connect(c, r)
	c.session = s
	if s != nil {
		c.send(connectReply(r, int32(s.Timeout.Milliseconds()), s.ID, passwordOf(s.ID))) //nolint:gosec // was an int32
	} else {
		c.out.push(outFrame{frame: connectReply(r, 0, 0, string(make([]byte, 16))), last: true})
	}
	f.mu.Unlock()
	if s == nil {
		<-c.gone // the writer closes behind the answer
	}
	return s != nil
}

// request carries out one request with the faults that apply to it. It returns
// false when the connection has ended.
func (c *fakeConn) request(r Request) bool {
	plan := c.link.plan(r)
	if plan.dropRequest != nil {
		close(plan.dropRequest)
		return false
	}
	if plan.before > 0 && !(c.wait(plan.before) && c.passage(ToServer)) {
		return false
	}
	ordered := r.writes() || r.Op == OpSync
	if ordered && !c.waitOut(cutOff) {
		return false
	}
	f := c.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	// A server that has lost its leader does not know that the session has ended.
	if f.closed || c.isGone() || !c.session.Ended.IsZero() && (ordered || c.link.lost() == inTouch) {
		return false
	}
	f.handle(c, r, func(frame []byte) {
		if plan.dropReply == nil {
			c.out.push(outFrame{frame: frame, after: plan.after, ordered: ordered, last: r.Op == OpCloseSession})
		}
	})
	if plan.dropReply != nil {
		c.close()
		close(plan.dropReply)
		return false
	}
	return true
}

// write puts replies on the wire in their order. Where the client has left it
// ends and closes nothing: what the client sent before is still carried out.
func (c *fakeConn) write() {
	for {
		item, ok := c.out.pop(c.gone)
		if !ok || item.ordered && !c.waitOut(deaf) || item.after > 0 && !c.wait(item.after) || !c.passage(ToClient) {
			return
		}
		_, err := c.conn.Write(item.frame)
		if item.last {
			c.close()
		}
		if err != nil || item.last {
			return
		}
	}
}

// wait blocks for d, and returns false when the connection ends meanwhile.
func (c *fakeConn) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.gone:
		return false
	}
}

// passage blocks while the way is frozen, and returns false when the connection
// ends meanwhile.
func (c *fakeConn) passage(way Direction) bool {
	for {
		c.fake.mu.Lock()
		frozen, changed := c.link.frozenWays()&way != 0, c.fake.changed
		c.fake.mu.Unlock()
		if !frozen {
			return !c.isGone()
		}
		select {
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

// queue is an unbounded FIFO with one consumer.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{} // holds one token when something may be there
}

func newQueue[T any]() queue[T] { return queue[T]{ready: make(chan struct{}, 1)} }

// push adds an item. It never blocks.
func (q *queue[T]) push(item T) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// pop takes the first item, and blocks until there is one or gone is closed.
func (q *queue[T]) pop(gone <-chan struct{}) (item T, ok bool) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			item, q.items = q.items[0], q.items[1:]
			q.mu.Unlock()
			return item, true
		}
		q.mu.Unlock()
		select {
		case <-q.ready:
		case <-gone:
			return item, false
		}
	}
}
