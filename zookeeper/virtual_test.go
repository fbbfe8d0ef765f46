package zookeeper_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// What the tests in virtual time share: ticks of a second, and T of six.
const (
	tick    = time.Second
	timeout = 6 * time.Second
)

// inBubble runs f with a fake server in virtual time.
func inBubble(t *testing.T, f func(t *testing.T, fake *zookeepertest.Fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := zookeepertest.NewFake(zookeepertest.FakeConfig{TickTime: tick})
		t.Cleanup(fake.Close)
		f(t, fake)
	})
}

// dialer is what a Link and a Fake have in common.
type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

func config(d dialer) zookeeper.Config {
	return zookeeper.Config{Servers: []string{"127.0.0.1:2181"}, SessionTimeout: timeout, Dial: d.DialContext}
}

func connect(t *testing.T, d dialer) *zookeeper.Session {
	t.Helper()
	return openWith(t, config(d))
}

func openWith(t *testing.T, cfg zookeeper.Config) *zookeeper.Session {
	t.Helper()
	s, err := zookeeper.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }

// awaitState blocks until the session has the state, a minute at most.
func awaitState(t *testing.T, s *zookeeper.Session, want zookeeper.State) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		state, changed := s.State()
		if state == want {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("the session is %v after a minute, want %v", state, want)
		}
	}
}

// cut drops the link's connection and refuses new ones until heal is called.
func cut(t *testing.T, link *zookeepertest.Link, s *zookeeper.Session) (heal func()) {
	t.Helper()
	link.Refuse(true)
	link.Drop()
	awaitState(t, s, zookeeper.Suspended)
	return func() { link.Refuse(false) }
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func wantChildren(t *testing.T, fake *zookeepertest.Fake, path string, want ...string) {
	t.Helper()
	node, _ := fake.Node(path)
	slices.Sort(want)
	if !slices.Equal(node.Children, want) {
		t.Errorf("children of %s at the server are %q, want %q", path, node.Children, want)
	}
}

// accepted counts the writes to a path that changed it.
func accepted(fake *zookeepertest.Fake, path string) int {
	n := 0
	for _, txn := range fake.Txns() {
		for _, w := range txn.Writes() {
			if w.Path == path {
				n++
			}
		}
	}
	return n
}

// background runs f and returns what it returned, once it has.
func background[T any](f func() T) <-chan T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return done
}

// members gives several servers each a path of its own to one fake: what a
// client of an ensemble sees whose members fail one by one.
type members struct {
	links map[string]*zookeepertest.Link

	mu   sync.Mutex
	last string // dialled last
}

func newMembers(fake *zookeepertest.Fake, addrs ...string) *members {
	m := &members{links: make(map[string]*zookeepertest.Link)}
	for _, addr := range addrs {
		m.links[addr] = fake.NewLink()
	}
	return m
}

func (m *members) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	m.last = addr
	m.mu.Unlock()
	return m.links[addr].DialContext(ctx, network, addr)
}

// current is the address of the server that was dialled last.
func (m *members) current() string { m.mu.Lock(); defer m.mu.Unlock(); return m.last }
