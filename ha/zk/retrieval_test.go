package zk

import (
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/retrieval/retrievaltest"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestRetrievalConformance(t *testing.T) {
	c := &clusters{server: zookeepertest.StartServer(t)}
	newPublishers := func(t *testing.T) *publishers {
		t.Helper()
		root := c.root()
		s := participant(t, Config{Servers: []string{c.server.Addr()}, Root: root, SessionTimeout: sessionTimeout})
		return &publishers{server: c.server, root: root, services: s, terms: make(map[string]election.Tenure)}
	}
	retrievaltest.Run(t, func(t *testing.T) retrievaltest.Harness { t.Helper(); return newPublishers(t) })
	retrievaltest.RunForged(t, func(t *testing.T) retrievaltest.Forger { t.Helper(); return newPublishers(t) })
}

// publishers leads as many components as a case asks for, each term through a latch
// of its own, so that several can lead at once in one session.
type publishers struct {
	server   *zookeepertest.Server
	root     string
	services *Services
	terms    map[string]election.Tenure // by component
}

var _ retrievaltest.Forger = (*publishers)(nil)

func (p *publishers) Publish(t *testing.T, component, address string) (leader.Info, func()) {
	t.Helper()
	if former := p.terms[component]; former != nil {
		delete(p.terms, component)
		if err := former.Release(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	tenure := p.lead(t, component)
	info := leader.Info{
		Component: component, ID: "publisher", Address: address, SessionID: leader.NewSessionID(),
		Epoch: tenure.Guard().Epoch(), Since: time.Now().UTC().Round(0), Phase: leader.PhaseReady,
	}
	if err := tenure.Publish(within(t), info); err != nil {
		t.Fatal(err)
	}
	p.terms[component] = tenure
	withdraw := func() {
		if p.terms[component] != tenure {
			return
		}
		delete(p.terms, component)
		if err := tenure.Release(within(t)); err != nil {
			t.Errorf("withdraw %s: %v", component, err)
		}
	}
	t.Cleanup(withdraw)
	return info, withdraw
}

// lead begins a term at the component's latch.
func (p *publishers) lead(t *testing.T, component string) election.Tenure {
	t.Helper()
	d, err := electionzk.New(electionzk.Config{
		Client: p.services.Client(), Latch: p.root + "/latches/" + component, Leaders: p.root + "/leader",
	})
	if err != nil {
		t.Fatal(err)
	}
	tenure, err := d.Campaign(within(t), election.Candidate{ID: "publisher", StopGrace: sessionTimeout / 8})
	if err != nil {
		t.Fatal(err)
	}
	return tenure
}

// Forge writes the node as no term would.
func (p *publishers) Forge(t *testing.T, info leader.Info) {
	t.Helper()
	ctx := within(t)
	s, err := p.services.Client().Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := info.Encode()
	if err != nil {
		t.Fatal(err)
	}
	node := p.root + "/leader/" + info.Component
	if err := s.EnsurePath(ctx, p.root+"/leader", zookeeper.Persistent); err != nil {
		t.Fatal(err)
	}
	ops := []zookeeper.Op{zookeeper.CreateOp(node, data, zookeeper.Persistent)}
	if _, exists, _ := s.Exists(ctx, node); exists {
		ops = append([]zookeeper.Op{zookeeper.DeleteOp(node, -1)}, ops...)
	}
	if err := s.Multi(ctx, ops...); err != nil {
		t.Fatal(err)
	}
}

func (p *publishers) Follower(t *testing.T) retrievaltest.Follower {
	t.Helper()
	proxy := zookeepertest.StartProxy(t, p.server.Addr())
	s := participant(t, Config{Servers: []string{proxy.Addr()}, Root: p.root, SessionTimeout: sessionTimeout})
	return &follower{services: s, proxy: proxy}
}

// follower is a participant behind its own proxy.
type follower struct {
	services *Services
	proxy    *zookeepertest.Proxy
}

func (f *follower) Driver() retrieval.Driver { return f.services.Retrieval() }

func (f *follower) Disconnect(t *testing.T) { t.Helper(); f.proxy.Cut() }

func (f *follower) Reconnect(t *testing.T) { t.Helper(); f.proxy.Heal() }

func (f *follower) Expire(t *testing.T) {
	t.Helper()
	session, err := f.services.Client().Session(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
}
