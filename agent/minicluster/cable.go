package minicluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
)

// errCut: the member was killed, and does not reach anybody any more.
var errCut = errors.New("the member was killed")

// cable is what one member says and hears over the network: all connections that were
// made to it, and by it. It can stop the bytes, as a process does that is stopped, and
// break all connections at once, as the kernel does for a process that dies.
type cable struct {
	mu        sync.Mutex
	cut       bool
	listeners []net.Listener
	open      map[*cableConn]struct{}
	// flows is closed while bytes pass.
	flows   chan struct{}
	stopped bool
}

func newCable() *cable {
	flows := make(chan struct{})
	close(flows)
	return &cable{open: make(map[*cableConn]struct{}), flows: flows}
}

// listen returns a listener on a free port of loopback, with its address.
func (c *cable) listen(ctx context.Context) (net.Listener, string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, l)
	return cableListener{l, c}, l.Addr().String(), nil
}

// dial makes a connection, when bytes flow.
func (c *cable) dial(ctx context.Context, address string) (net.Conn, error) {
	if err := c.hold(ctx.Done()); err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return c.add(conn)
}

// add takes a connection in. One that comes too late is closed.
func (c *cable) add(conn net.Conn) (net.Conn, error) {
	added := &cableConn{Conn: conn, on: c, closed: make(chan struct{})}
	c.mu.Lock()
	cut := c.cut
	if !cut {
		c.open[added] = struct{}{}
	}
	c.mu.Unlock()
	if cut {
		return nil, errors.Join(errCut, conn.Close())
	}
	return added, nil
}

func (c *cable) forget(conn *cableConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// hold returns when bytes flow, or with an error when giveUp is closed or the cable cut.
func (c *cable) hold(giveUp <-chan struct{}) error {
	c.mu.Lock()
	flows := c.flows
	c.mu.Unlock()
	select {
	case <-flows:
	case <-giveUp:
		return net.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return errCut
	}
	return nil
}

// flowing reports whether bytes flow.
func (c *cable) flowing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.stopped
}

// stop holds all bytes back, in both directions, until flow or crash. Connections stay,
// and can be made.
func (c *cable) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped && !c.cut {
		c.stopped, c.flows = true, make(chan struct{})
	}
}

// flow ends a stop: what was held back goes on its way.
func (c *cable) flow() {
	for _, conn := range c.release() {
		conn.flush()
	}
}

// release lets bytes pass, and returns the connections.
func (c *cable) release() []*cableConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		c.stopped = false
		close(c.flows)
	}
	return slices.Collect(maps.Keys(c.open))
}

// crash closes the listeners and all connections, for good. What is lost with them is
// meant to be.
func (c *cable) crash() {
	c.mu.Lock()
	c.cut = true
	listeners := c.listeners
	c.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, conn := range c.release() {
		_ = conn.Close()
	}
}

// cableListener is a listener whose connections are on a cable.
type cableListener struct {
	net.Listener

	on *cable
}

// Accept implements net.Listener.
func (l cableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.on.add(conn)
}

// cableConn is a connection on a cable.
type cableConn struct {
	net.Conn

	on     *cable
	once   sync.Once
	closed chan struct{}

	writes sync.Mutex // held by who writes
	held   []byte     // what was written while bytes were held back
}

// Read implements net.Conn. What has arrived waits here while bytes are held back.
func (c *cableConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if held := c.on.hold(c.closed); held != nil {
		return 0, held
	}
	return n, err
}

// Write implements net.Conn. While bytes are held back it takes them, as the kernel does
// for a peer that does not read.
func (c *cableConn) Write(b []byte) (int, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	c.held = append(c.held, b...)
	if err := c.send(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// flush sends what was held back. Its error is that of the next Write.
func (c *cableConn) flush() {
	c.writes.Lock()
	defer c.writes.Unlock()
	_ = c.send()
}

// send sends what is held, if bytes flow. It requires writes.
func (c *cableConn) send() error {
	if len(c.held) == 0 || !c.on.flowing() {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}

// Close implements net.Conn.
func (c *cableConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.on.forget(c)
	return c.Conn.Close()
}
