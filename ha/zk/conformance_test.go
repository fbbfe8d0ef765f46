package zk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/electiontest"
	"github.com/coordd/coordd/jobstore/jobstoretest"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore/resultstoretest"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// sessionTimeout is short, so that real expiries cost little, and long enough for
// a loaded machine.
const sessionTimeout = 2 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// clusters hands out a fresh root below one server for each test.
type clusters struct {
	server *zookeepertest.Server
	n      atomic.Int32
}

func (c *clusters) root() string { return fmt.Sprintf("/suite/c%d", c.n.Add(1)) }

func TestElectionConformance(t *testing.T) {
	c := &clusters{server: zookeepertest.StartServer(t)}
	electiontest.Run(t, func(t *testing.T) electiontest.Harness {
		t.Helper()
		admin, err := zookeeper.Open(within(t), zookeeper.Config{Servers: []string{c.server.Addr()}, SessionTimeout: sessionTimeout})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Close() })
		return &harness{server: c.server, root: c.root(), admin: admin}
	})
}

// harness is a cluster on a real server, each participant behind its own proxy.
type harness struct {
	server *zookeepertest.Server
	root   string
	admin  *zookeeper.Session
}

var _ electiontest.Harness = (*harness)(nil)

func (h *harness) SessionTimeout() time.Duration { return sessionTimeout }

func (h *harness) Participant(t *testing.T, id string) electiontest.Participant {
	t.Helper()
	proxy := zookeepertest.StartProxy(t, h.server.Addr())
	session := &credentials{addr: h.server.Addr()}
	s := participant(t, Config{Servers: []string{proxy.Addr()}, Root: h.root, SessionTimeout: sessionTimeout, Dial: session.dial})
	return &member{Services: s, harness: h, id: id, proxy: proxy, session: session}
}

func (h *harness) AwaitCandidates(t *testing.T, n int) {
	t.Helper()
	ctx := within(t)
	await(ctx, t, fmt.Sprintf("%d candidates", n), func() bool {
		names, _, err := h.admin.Children(ctx, h.root+"/latch")
		return len(names) == n && (err == nil || errors.Is(err, zookeeper.ErrNoNode))
	})
}

func (h *harness) Published(t *testing.T, component string) (leader.Info, bool) {
	t.Helper()
	data, _, err := h.admin.Get(within(t), h.root+"/leader/"+component)
	if errors.Is(err, zookeeper.ErrNoNode) {
		return leader.Info{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := leader.DecodeInfo(data)
	if err != nil {
		t.Fatal(err)
	}
	return info, true
}

// member is one participant of the harness.
type member struct {
	*Services
	harness *harness
	id      string
	proxy   *zookeepertest.Proxy
	session *credentials
	writes  atomic.Int32
}

var _ electiontest.Participant = (*member)(nil)

func (m *member) Driver() election.Driver { return m.Election() }

func (m *member) TryWrite(t *testing.T, g leader.Guard) error {
	t.Helper()
	path := fmt.Sprintf("writes/%s-%d", m.id, m.writes.Add(1))
	return m.Store().Commit(within(t), g, txn.Op{Kind: txn.Create, Path: path, Data: []byte(path)})
}

// Expire ends the session from a second connection while the participant is cut
// off: it would reclaim the session otherwise.
func (m *member) Expire(t *testing.T) {
	t.Helper()
	ctx := within(t)
	s, err := m.Client().Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m.proxy.Cut()
	m.session.end(t)
	m.proxy.Heal()
	select {
	case <-s.Done():
	case <-ctx.Done():
		t.Fatal("the participant did not learn of the expiry")
	}
}

func (m *member) Disconnect(t *testing.T) { t.Helper(); m.proxy.Freeze() }

func (m *member) Reconnect(t *testing.T) { t.Helper(); m.proxy.Heal() }

func (m *member) RemoveCandidacy(t *testing.T) {
	t.Helper()
	ctx, latch := within(t), m.harness.root+"/latch"
	names, _, err := m.harness.admin.Children(ctx, latch)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, _, err := m.harness.admin.Get(ctx, latch+"/"+name)
		if err == nil && string(data) == m.id {
			if err := m.harness.admin.Delete(ctx, latch+"/"+name, -1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s has no candidacy below %s", m.id, latch)
}

// leaders returns a function that begins term after term in one cluster.
func leaders(t testing.TB, c *clusters) (*Services, func(t testing.TB) leader.Guard) {
	t.Helper()
	s := participant(t, Config{Servers: []string{c.server.Addr()}, Root: c.root(), SessionTimeout: sessionTimeout})
	var current election.Tenure
	release := func(t testing.TB) {
		t.Helper()
		if current == nil {
			return
		}
		if err := current.Release(within(t)); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	t.Cleanup(func() { release(t) })
	return s, func(t testing.TB) leader.Guard {
		t.Helper()
		release(t)
		next, err := s.Election().Campaign(within(t), election.Candidate{ID: "suite", StopGrace: sessionTimeout / 8})
		if err != nil {
			t.Fatal(err)
		}
		current = next
		return next.Guard()
	}
}

func TestJobStoreConformance(t *testing.T) {
	c := &clusters{server: zookeepertest.StartServer(t)}
	jobstoretest.Run(t, func(t testing.TB) jobstoretest.Harness {
		t.Helper()
		s, lead := leaders(t, c)
		return jobstoretest.Harness{Driver: s.Store(), Lead: lead}
	})
}

func TestResultStoreConformance(t *testing.T) {
	c := &clusters{server: zookeepertest.StartServer(t)}
	resultstoretest.Run(t, func(t testing.TB) resultstoretest.Harness {
		t.Helper()
		s, lead := leaders(t, c)
		return resultstoretest.Harness{Driver: s.Store(), Lead: lead}
	})
}
