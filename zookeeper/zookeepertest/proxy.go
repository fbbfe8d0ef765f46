package zookeepertest

import (
	"net"
	"sync"
	"time"
)

// Direction says which way bytes go through a Proxy.
type Direction int

// The directions; Both is what Freeze means without any.
const (
	// ToServer is the way of requests.
	ToServer Direction = 1 << iota
	// ToClient is the way of replies and watch events.
	ToClient
	// Both is ToServer and ToClient.
	Both = ToServer | ToClient
)

// Proxy is a TCP proxy on loopback in front of one server, and the place where a
// test breaks the network. Its methods may be called from any goroutine and do
// not block; a fault holds until Heal.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup // the accept loop and two copiers a connection

	mu      sync.Mutex
	closed  bool
	cut     bool
	frozen  Direction
	delay   time.Duration
	changed chan struct{} // closed and replaced when a fault begins or ends
	pairs   map[*pair]struct{}
}

// pair is one proxied connection.
type pair struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{} // closed with the connections
}

// StartProxy starts a proxy to the target, a "host:port". It ends with the test.
func StartProxy(tb TB, target string) *Proxy {
	tb.Helper()
	return StartProxyAt(tb, "127.0.0.1:0", target)
}

// StartProxyAt is StartProxy with the address to listen on: for a target that says
// itself where others reach it, and can say that of the proxy.
func StartProxyAt(tb TB, address, target string) *Proxy {
	tb.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		tb.Fatalf("proxy to %s at %s: %v", target, address, err)
	}
	p := &Proxy{target: target, listener: l, changed: make(chan struct{}), pairs: make(map[*pair]struct{})}
	p.wg.Add(1)
	go p.accept()
	tb.Cleanup(p.close)
	return p
}

// Addr returns the "host:port" where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut closes all connections, and every new one as soon as it is made.
func (p *Proxy) Cut() {
	p.change(func() { p.cut = true })
	p.Drop()
}

// Drop closes all connections. New ones are welcome.
func (p *Proxy) Drop() {
	p.mu.Lock()
	pairs := make([]*pair, 0, len(p.pairs))
	for c := range p.pairs {
		pairs = append(pairs, c)
	}
	p.mu.Unlock()
	for _, c := range pairs {
		c.close()
	}
}

// Freeze stops forwarding in the given directions (none means both) and closes
// nothing: neither bytes nor the end of a connection come through. New
// connections are accepted.
func (p *Proxy) Freeze(directions ...Direction) {
	var frozen Direction
	for _, d := range directions {
		frozen |= d
	}
	if frozen == 0 {
		frozen = Both
	}
	p.change(func() { p.frozen |= frozen })
}

// Delay holds back everything that is forwarded by d, each way. What arrives
// while something is held back follows after another d.
func (p *Proxy) Delay(d time.Duration) { p.change(func() { p.delay = d }) }

// Heal ends all faults. What a freeze held back is forwarded.
func (p *Proxy) Heal() {
	p.change(func() { p.cut, p.frozen, p.delay = false, 0, 0 })
}

// change alters the faults and wakes the copiers that wait for that.
func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// close ends the proxy and waits for all its goroutines.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Drop()
	p.wg.Wait()
}

// accept takes connections until the listener is closed.
func (p *Proxy) accept() {
	defer p.wg.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Add(1)
		// Dialling may take long, and the next client must not wait for it.
		go p.serve(client)
	}
}

// serve connects a client with the target and copies until either is gone.
func (p *Proxy) serve(client net.Conn) {
	defer p.wg.Done()
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	c := &pair{client: client, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	refused := p.cut || p.closed
	if !refused {
		p.pairs[c] = struct{}{}
	}
	p.mu.Unlock()
	defer func() {
		c.close()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	if refused {
		return
	}
	var copiers sync.WaitGroup
	copiers.Go(func() { p.copy(c, client, server, ToServer) })
	copiers.Go(func() { p.copy(c, server, client, ToClient) })
	copiers.Wait()
}

// copy forwards bytes one way, and in the end closes the pair.
func (p *Proxy) copy(c *pair, from, to net.Conn, way Direction) {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass(c, way) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass blocks while the way is frozen and for the delay. It returns false when
// the pair was closed meanwhile.
func (p *Proxy) pass(c *pair, way Direction) bool {
	if !p.thawed(c, way) {
		return false
	}
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return p.thawed(c, way)
	case <-c.gone:
		return false
	}
}

// thawed blocks while the way is frozen. It returns false when the pair was
// closed meanwhile.
func (p *Proxy) thawed(c *pair, way Direction) bool {
	for {
		p.mu.Lock()
		frozen, changed := p.frozen&way != 0, p.changed
		p.mu.Unlock()
		if !frozen {
			return true
		}
		select {
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

// close ends both connections at once, without waiting for unsent bytes.
func (c *pair) close() {
	c.once.Do(func() {
		close(c.gone)
		for _, conn := range []net.Conn{c.client, c.server} {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	})
}
