package zk

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/internal/latch"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/retrieval/retrievaltest"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// A Latch passes the suite of all drivers, on a real server. (That a Driver does is
// tested with its writer, in package ha/zk.)
func TestLatchConformance(t *testing.T) {
	server := zookeepertest.StartServer(t)
	var cases atomic.Int64
	retrievaltest.Run(t, func(t *testing.T) retrievaltest.Harness {
		t.Helper()
		root := "/case" + leader.Epoch(cases.Add(1)).String()
		return &latches{server: server, root: root, session: open(t, server.Addr()), nodes: make(map[string]string)}
	})
}

// latches have contenders at one latch for each component.
type latches struct {
	server  *zookeepertest.Server
	root    string
	session *zookeeper.Session
	nodes   map[string]string // who leads, by component
}

var _ retrievaltest.Harness = (*latches)(nil)

func open(t *testing.T, addr string) *zookeeper.Session {
	t.Helper()
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{addr}, SessionTimeout: sessionTimeout})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Publish has a contender queue behind the leader, who then leaves.
func (l *latches) Publish(t *testing.T, component, address string) (leader.Info, func()) {
	t.Helper()
	node, stat, err := l.session.CreateProtected(t.Context(), l.path(component), latch.Suffix, []byte(address))
	must(t, err)
	if former := l.nodes[component]; former != "" {
		must(t, l.session.Delete(t.Context(), former, -1))
	}
	l.nodes[component] = node
	mark, _ := latch.UUID(strings.TrimPrefix(node, l.path(component)+"/"))
	return leader.Info{
			Component: component, ID: address, SessionID: leader.SessionID(mark),
			Epoch: leader.Epoch(stat.Czxid), Since: stat.Created.UTC(),
		}, func() {
			if l.nodes[component] == node {
				delete(l.nodes, component)
				must(t, l.session.Delete(t.Context(), node, -1))
			}
		}
}

func (l *latches) path(component string) string { return l.root + "/" + component }

func (l *latches) Follower(t *testing.T) retrievaltest.Follower {
	t.Helper()
	proxy := zookeepertest.StartProxy(t, l.server.Addr())
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{proxy.Addr()}, SessionTimeout: sessionTimeout})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the client ended with %v, want its context's error", err)
		}
	})
	return &latchFollower{latches: l, client: client, proxy: proxy}
}

// latchFollower is a client behind its own proxy. As a driver it is one Latch for each
// component.
type latchFollower struct {
	latches *latches
	client  *zookeeper.Client
	proxy   *zookeepertest.Proxy
}

var _ retrieval.Driver = (*latchFollower)(nil)

func (f *latchFollower) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	d, err := NewLatch(LatchConfig{Client: f.client, Latch: f.latches.path(component)})
	if err != nil {
		return err
	}
	return d.Follow(ctx, component, observe)
}

func (f *latchFollower) Driver() retrieval.Driver { return f }

func (f *latchFollower) Disconnect(t *testing.T) { t.Helper(); f.proxy.Cut() }

func (f *latchFollower) Reconnect(t *testing.T) { t.Helper(); f.proxy.Heal() }

func (f *latchFollower) Expire(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := f.client.Session(ctx)
	must(t, err)
	must(t, s.Close())
}
