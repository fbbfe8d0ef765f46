package zk

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// What the tests in virtual time share.
const (
	tick           = time.Second
	sessionTimeout = 6 * time.Second
	stopGrace      = sessionTimeout / 8
	latchPath      = "/c/latch"
	leadersPath    = "/c/leader"
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

// member is one participant with a link of its own.
type member struct {
	*Driver
	id     string
	link   *zookeepertest.Link
	client *zookeeper.Client
}

func join(t *testing.T, fake *zookeepertest.Fake, id string, policy DisconnectPolicy) *member {
	t.Helper()
	link := fake.NewLink()
	client, err := zookeeper.New(zookeeper.Config{
		Servers: []string{"127.0.0.1:2181"}, SessionTimeout: sessionTimeout, Dial: link.DialContext,
	})
	must(t, err)
	driver, err := New(Config{Client: client, Latch: latchPath, Leaders: leadersPath, OnDisconnect: policy})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return &member{Driver: driver, id: id, link: link, client: client}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within bounds what should happen soon.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (m *member) candidate() election.Candidate {
	return election.Candidate{ID: m.id, StopGrace: stopGrace}
}

// lead campaigns until the member leads.
func (m *member) lead(t *testing.T) *tenure {
	t.Helper()
	got := m.contend(within(t))
	g := <-got
	must(t, g.err)
	return g.tenure
}

// granted is what a campaign returned, and when.
type granted struct {
	tenure *tenure
	err    error
	at     time.Time
}

// contend campaigns in the background.
func (m *member) contend(ctx context.Context) <-chan granted {
	done := make(chan granted, 1)
	go func() {
		won, err := m.Campaign(ctx, m.candidate())
		g := granted{err: err, at: time.Now()}
		if err == nil {
			g.tenure = won.(*tenure) //nolint:forcetypeassert // the driver makes no other
		}
		done <- g
	}()
	return done
}

// operator is a session of somebody else.
func operator(t *testing.T, fake *zookeepertest.Fake) *zookeeper.Session {
	t.Helper()
	s, err := zookeeper.Open(within(t), zookeeper.Config{
		Servers: []string{"127.0.0.1:2181"}, SessionTimeout: sessionTimeout, Dial: fake.DialContext,
	})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// nodes returns the paths of the latch's children.
func nodes(fake *zookeepertest.Fake) []string {
	latch, _ := fake.Node(latchPath)
	for i, name := range latch.Children {
		latch.Children[i] = latchPath + "/" + name
	}
	return latch.Children
}

func wantNodes(t *testing.T, fake *zookeepertest.Fake, what string, want ...string) {
	t.Helper()
	if got := nodes(fake); !slices.Equal(got, want) {
		t.Errorf("%s: latch nodes %q, want %q", what, got, want)
	}
}

// wantLive fails the test unless the tenure is that of a node that exists and is
// owned by its session.
func wantLive(t *testing.T, fake *zookeepertest.Fake, tn *tenure) {
	t.Helper()
	node, exists := fake.Node(tn.guard.Path())
	if !exists || node.Owner != tn.session.ID() || node.Czxid != int64(tn.Guard().Epoch()) {
		t.Errorf("granted %s in epoch %d to session %#x, the server has %+v, exists %v",
			tn.guard.Path(), tn.Guard().Epoch(), tn.session.ID(), node, exists)
	}
}

// info is what a tenure publishes.
func info(tn *tenure, id string) leader.Info {
	return leader.Info{
		Component: leader.Dispatcher, ID: id, SessionID: leader.NewSessionID(),
		Epoch: tn.Guard().Epoch(), Phase: leader.PhaseReady,
	}
}

// published returns what the server shows under the dispatcher's name.
func published(t *testing.T, fake *zookeepertest.Fake) (leader.Info, bool) {
	t.Helper()
	node, exists := fake.Node(leadersPath + "/" + leader.Dispatcher)
	if !exists {
		return leader.Info{}, false
	}
	i, err := leader.DecodeInfo(node.Data)
	must(t, err)
	return i, true
}
