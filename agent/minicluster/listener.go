package minicluster

import (
	"net"
	"sync"
)

// crashListener is a listener whose connections break all at once when it
// crashes, as the kernel breaks those of a process that dies.
type crashListener struct {
	net.Listener

	mu      sync.Mutex
	crashed bool
	open    map[*crashConn]struct{}
}

type crashConn struct {
	net.Conn

	from *crashListener
}

func newCrashListener(l net.Listener) *crashListener {
	return &crashListener{Listener: l, open: make(map[*crashConn]struct{})}
}

// Accept implements net.Listener.
func (l *crashListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &crashConn{Conn: conn, from: l}
		if l.add(c) {
			return c, nil
		}
		if err := conn.Close(); err != nil {
			return nil, err
		}
	}
}

func (l *crashListener) add(c *crashConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.crashed {
		l.open[c] = struct{}{}
	}
	return !l.crashed
}

// Close implements net.Conn.
func (c *crashConn) Close() error {
	c.from.forget(c)
	return c.Conn.Close()
}

func (l *crashListener) forget(c *crashConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// crash closes the listener and all its connections. What is lost with them is
// meant to be.
func (l *crashListener) crash() {
	l.mu.Lock()
	l.crashed = true
	var open []*crashConn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	_ = l.Listener.Close()
	for _, c := range open {
		_ = c.Close()
	}
}
