package zookeepertest

import (
	"context"
	"net"
	"sort"
	"time"
)

// Link is a client's network path to a Fake, and the place where a test breaks
// it. A client that dials through a link of its own is struck by that link's
// faults and by the Fake's; others are not. Faults hold until they are taken
// back.
type Link struct {
	fake     *Fake
	follower *Follower // nil for a path to the leader

	// Guarded by the fake's lock.
	frozen       Direction
	refuse       bool
	delay        func(Request) (before, after time.Duration)
	dropRequests []drop
	dropReplies  []drop
}

// drop is a fault that strikes one request.
type drop struct {
	match func(Request) bool
	done  chan struct{} // closed when it has struck
}

// NewLink returns another path to the same server.
func (f *Fake) NewLink() *Link { return &Link{fake: f} }

// Dial connects to the fake, whatever the address; it is a go-zookeeper Dialer.
func (l *Link) Dial(network, addr string, _ time.Duration) (net.Conn, error) {
	return l.fake.dial(l, network, addr)
}

// DialContext connects to the fake, whatever the address, as net.Dialer's does.
func (l *Link) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: fakeAddr(addr), Err: err}
	}
	return l.fake.dial(l, network, addr)
}

// Freeze stops requests (ToServer), replies and events (ToClient), or, without
// any, both. Connections stay, dials are accepted, sessions expire meanwhile.
// With ToClient alone requests are carried out and keep the session alive.
func (l *Link) Freeze(directions ...Direction) {
	var frozen Direction
	for _, d := range directions {
		frozen |= d
	}
	if frozen == 0 {
		frozen = Both
	}
	l.setFrozen(frozen)
}

// Unfreeze lets everything through, what was held back first: requests on a
// connection that still exists are carried out even if their client has left.
func (l *Link) Unfreeze() { l.setFrozen(0) }

func (l *Link) setFrozen(frozen Direction) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	l.frozen = frozen
	l.fake.wake()
}

// Refuse tells whether dials are refused from now on. Connections stay.
func (l *Link) Refuse(refuse bool) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	l.refuse = refuse
}

// Drop closes the link's connections; the Fake's own Drop closes all. What they
// still held, either way, is lost. New dials are welcome.
func (l *Link) Drop() {
	l.fake.mu.Lock()
	var conns []*fakeConn
	for c := range l.fake.conns {
		if l.covers(c) {
			conns = append(conns, c)
		}
	}
	l.fake.mu.Unlock()
	sort.Slice(conns, func(i, j int) bool { return conns[i].number < conns[j].number })
	for _, c := range conns {
		c.close()
	}
}

// Delay calls f for every request; it is carried out that much later, and its
// reply is held back that much longer. What follows on the connection waits. Nil
// ends the delays. A link's own delay goes before the fake's.
func (l *Link) Delay(f func(Request) (before, after time.Duration)) {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	l.delay = f
}

// DropRequestOf closes the connection instead of carrying out the next request
// that matches. The channel is closed when that has happened. Match is called
// without locks, from the fake's goroutines, and must not block.
func (l *Link) DropRequestOf(match func(Request) bool) <-chan struct{} {
	d := drop{match, make(chan struct{})}
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	l.dropRequests = append(l.dropRequests, d)
	return d.done
}

// DropReplyOf carries out the next request that matches, and closes the
// connection instead of answering. The channel is closed when that has happened.
// Match is called as by DropRequestOf.
func (l *Link) DropReplyOf(match func(Request) bool) <-chan struct{} {
	d := drop{match, make(chan struct{})}
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	l.dropReplies = append(l.dropReplies, d)
	return d.done
}

// covers reports whether the link's faults strike the connection.
func (l *Link) covers(c *fakeConn) bool { return c.link == l || l == l.fake.Link }

// frozenWays and refusing tell what holds for the link's connections; the fake's
// lock is held.
func (l *Link) frozenWays() Direction { return l.frozen | l.fake.Link.frozen }
func (l *Link) refusing() bool        { return l.refuse || l.fake.Link.refuse }

// plan is what is to happen to one request.
type plan struct {
	before, after          time.Duration
	dropRequest, dropReply chan struct{} // nil, or closed by whoever drops
}

// plan decides what happens to the request, and uses up the drops that strike.
func (l *Link) plan(r Request) plan {
	f := l.fake
	f.mu.Lock()
	delay := l.delay
	if delay == nil {
		delay = f.Link.delay
	}
	f.mu.Unlock()
	var p plan
	if delay != nil {
		p.before, p.after = delay(r)
	}
	links := []*Link{l}
	if l != f.Link {
		links = append(links, f.Link)
	}
	for _, link := range links {
		if p.dropRequest == nil {
			p.dropRequest = link.strike(r, &link.dropRequests)
		}
		if p.dropRequest == nil && p.dropReply == nil {
			p.dropReply = link.strike(r, &link.dropReplies)
		}
	}
	return p
}

// strike returns the first drop that matches, and removes it; nil if none does.
func (l *Link) strike(r Request, drops *[]drop) chan struct{} {
	l.fake.mu.Lock()
	candidates := append([]drop(nil), *drops...)
	l.fake.mu.Unlock()
	for _, d := range candidates {
		if d.match(r) && l.takeDrop(d, drops) {
			return d.done
		}
	}
	return nil
}

// takeDrop removes the drop; false when another request was struck by it.
func (l *Link) takeDrop(d drop, drops *[]drop) bool {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	for i := range *drops {
		if (*drops)[i].done == d.done {
			*drops = append((*drops)[:i:i], (*drops)[i+1:]...)
			return true
		}
	}
	return false
}
