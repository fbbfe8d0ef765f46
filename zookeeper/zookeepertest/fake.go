package zookeepertest

import (
	"maps"
	"net"
	"sync"
	"syscall"
	"time"
)

// FakeConfig describes a fake server. The zero value is ZooKeeper's own default.
type FakeConfig struct {
	// TickTime is how often sessions are checked for expiry; 0 means 2 s.
	TickTime time.Duration
	// MinSessionTimeout is the least time-out that is granted; 0 means 2 ticks.
	MinSessionTimeout time.Duration
	// MaxSessionTimeout is the largest that is granted; 0 means 20 ticks.
	MaxSessionTimeout time.Duration
}

// Fake is a ZooKeeper server inside the process, without a network, for virtual
// time. It is made, used and closed inside one testing/synctest bubble (or
// outside of any). Its methods may be called from any goroutine and do not
// block, except Close.
//
// The Link that it embeds is the server's own: its faults strike every client.
// NewLink gives a client a path of its own.
type Fake struct {
	*Link
	cfg   FakeConfig
	start time.Time
	wg    sync.WaitGroup // one for each connection

	mu          sync.Mutex // never held across a channel or a connection
	closed      bool
	changed     chan struct{} // closed and replaced when a freeze begins or ends
	tree        *tree
	watches     map[watchKey]map[*fakeConn]struct{}
	sessions    map[int64]*fakeSession
	lastSession int64
	conns       map[*fakeConn]struct{}
	connsMade   int
	counts      map[Op]int
	txns        []Txn
}

// watchKey is what is watched: a node's data (or existence), or its children.
type watchKey struct {
	path  string
	child bool
}

// NewFake returns a fake that serves at once. Close ends it.
func NewFake(cfg FakeConfig) *Fake {
	if cfg.TickTime == 0 {
		cfg.TickTime = 2 * time.Second
	}
	if cfg.MinSessionTimeout == 0 {
		cfg.MinSessionTimeout = 2 * cfg.TickTime
	}
	if cfg.MaxSessionTimeout == 0 {
		cfg.MaxSessionTimeout = 20 * cfg.TickTime
	}
	f := &Fake{
		cfg: cfg, start: time.Now(), changed: make(chan struct{}), tree: newTree(),
		watches:  make(map[watchKey]map[*fakeConn]struct{}),
		sessions: make(map[int64]*fakeSession), lastSession: 1 << 56,
		conns: make(map[*fakeConn]struct{}), counts: make(map[Op]int),
	}
	f.Link = &Link{fake: f}
	return f
}

// Close closes all connections and returns when nothing of the fake runs any
// more. Dials are refused from then on. It may be called again.
func (f *Fake) Close() {
	f.mu.Lock()
	f.closed = true
	for _, s := range f.sessions {
		s.timer.Stop()
	}
	f.mu.Unlock()
	f.Drop()
	f.wg.Wait()
}

// dial makes a connection over the link.
func (f *Fake) dial(l *Link, network, addr string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || l.refusing() {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: fakeAddr(addr), Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	f.connsMade++
	c := &fakeConn{
		fake: f, link: l, number: f.connsMade, conn: server,
		in: newQueue[[]byte](), out: newQueue[outFrame](), gone: make(chan struct{}),
	}
	f.conns[c] = struct{}{}
	f.wg.Go(c.serve)
	return client, nil
}

// fakeAddr is the address of an error.
type fakeAddr string

func (fakeAddr) Network() string  { return "fake" }
func (a fakeAddr) String() string { return string(a) }

// forget removes what a connection that has ended leaves behind.
func (f *Fake) forget(c *fakeConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	for key, watchers := range f.watches {
		delete(watchers, c)
		if len(watchers) == 0 {
			delete(f.watches, key)
		}
	}
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
	}
}

// Count returns how many requests of a kind were carried out, OpPing and
// OpCreateSession among them.
func (f *Fake) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Counts returns how many requests of each kind were carried out.
func (f *Fake) Counts() map[Op]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// Dials returns how many connections were ever made.
func (f *Fake) Dials() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connsMade
}

// Watches returns how many watches the server keeps: one for each connection and
// node whose data or existence is watched, and one more for its children.
func (f *Fake) Watches() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, watchers := range f.watches {
		n += len(watchers)
	}
	return n
}

// Txns returns all writes in their true order, refused ones among them, as
// Server.Txns does.
func (f *Fake) Txns() []Txn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Txn(nil), f.txns...)
}

// Node is what a fake holds at a path.
type Node struct {
	// Data is the node's content.
	Data []byte
	// Children are the names in it, sorted.
	Children []string
	// Owner is the session of an ephemeral, 0 for a persistent node.
	Owner int64
	// Container tells whether servers may remove the node when it is empty.
	Container bool
	// Czxid is the transaction that made it.
	Czxid int64
	// Version counts the changes of its data.
	Version int32
}

// Node returns what is at the path, and false when nothing is.
func (f *Fake) Node(path string) (Node, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.tree.nodes[path]
	if n == nil {
		return Node{}, false
	}
	node := Node{
		Data: append([]byte(nil), n.data...), Children: n.names(),
		Owner: n.owner, Czxid: n.czxid, Version: n.version,
	}
	if n.owner == containerOwner {
		node.Owner, node.Container = 0, true
	}
	return node, true
}

// RemoveEmptyContainers does what servers do once a minute: it deletes containers
// that had children and have none.
func (f *Fake) RemoveEmptyContainers() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.tree.ephemerals(containerOwner) {
		if n := f.tree.nodes[path]; n.creates == 0 || len(n.children) > 0 {
			continue
		}
		f.tree.zxid++
		f.tree.remove(path, -1)
		f.txns = append(f.txns, Txn{Zxid: f.tree.zxid, Time: time.Now(), Op: OpDelete, Path: path})
		f.notify(f.tree.commit())
	}
}
