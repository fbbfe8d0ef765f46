package zk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// lure is a network that, once armed, keeps its client away from the servers until
// it is opened, takes the client away again right after the first watch event was
// delivered, before the client can read anything, and gives it to another server.
//
// All of this is needed for a client to read from a server that is behind. Servers
// refuse a client that has seen a newer transaction than they have; watch events do
// not count as seen, while any reply does; and after a reconnect the events that
// were missed come before the first reply.
type lure struct {
	from, to string
	armed    atomic.Bool
	open     signal // the way back to the first server is open
	event    signal // the event has come
	asked    signal // the other server has been asked for the session
}

// signal is given once.
type signal struct {
	once sync.Once
	ch   chan struct{}
}

func newSignal() signal { return signal{ch: make(chan struct{})} }

func (s *signal) give() { s.once.Do(func() { close(s.ch) }) }

func (s *signal) given() bool {
	select {
	case <-s.ch:
		return true
	default:
		return false
	}
}

func newLure(from, to string) *lure {
	return &lure{from: from, to: to, open: newSignal(), event: newSignal(), asked: newSignal()}
}

// dial goes to the other server once, for the first connection after the event.
func (l *lure) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	target, lured := l.from, l.event.given() && !l.asked.given()
	if lured {
		target = l.to
	}
	if l.armed.Load() {
		select {
		case <-l.open.ch:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, target)
	if err != nil {
		return nil, err
	}
	return &luredConn{Conn: conn, lure: l, lured: lured}, nil
}

// luredConn reads frame by frame, so that it can tell events.
type luredConn struct {
	net.Conn
	lure    *lure
	lured   bool
	pending []byte
	over    bool
}

func (c *luredConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 {
		if c.over {
			return 0, io.EOF
		}
		head := make([]byte, 4)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return 0, err
		}
		c.pending = append(head, make([]byte, binary.BigEndian.Uint32(head))...)
		if _, err := io.ReadFull(c.Conn, c.pending[4:]); err != nil {
			return 0, err
		}
		if xid := int32(binary.BigEndian.Uint32(c.pending[4:])); xid == -1 && c.lure.armed.Load() {
			c.over = true
			c.Conn.Close() // nothing more goes out before the client knows
			c.lure.event.give()
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

func (c *luredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.lured {
		c.lure.asked.give()
	}
	return n, err
}

// A predecessor's acknowledged writes must be there when the successor recovers,
// although its watch event comes from one server and its reads go to another one
// that was frozen when they were made. Beside coordd's election a naive contender
// goes through the same, one that trusts the event and a look at its own node; it
// must be seen to read stale state, or the test has shown nothing.
func TestRecoveryIsCompleteAfterALureToAServerThatIsBehind(t *testing.T) {
	const rounds = 10
	ens := zookeepertest.StartEnsemble(t, 3, zookeepertest.TickTime(500*time.Millisecond),
		zookeepertest.SyncLimit(2), zookeepertest.MaxSessionTimeout(time.Minute))
	naiveStale := false
	for round := 0; round < rounds && !naiveStale; round++ {
		ens.WaitHealthy()
		// The participants of a round, and their watches, are gone before the next.
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			complete, stale := staleRound(t, ens, round)
			if !complete {
				t.Error("the new leader recovered without an acknowledged job")
			}
			naiveStale = stale
		})
		if t.Failed() {
			return
		}
	}
	if !naiveStale {
		t.Errorf("in %d rounds the naive contender never read stale state: the fault was not produced", rounds)
	}
}

// staleRound has one hand-over across a frozen server. It reports whether
// coordd's successor saw the predecessor's job, and whether the naive one missed it.
func staleRound(t *testing.T, ens *zookeepertest.Ensemble, round int) (complete, naiveStale bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	root := "/round" + string(rune('a'+round))
	frozen, followers := ens.Leader(), ens.Followers()
	const timeout = 20 * time.Second

	old := participant(t, Config{Servers: []string{followers[0].Addr()}, Root: root, SessionTimeout: timeout})
	tenure, err := old.Election().Campaign(ctx, election.Candidate{ID: "old", StopGrace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	// The folders exist before the freeze: only the job itself is new.
	if err := old.Store().Commit(ctx, tenure.Guard(), txn.Op{Kind: txn.Create, Path: "jobs/first"}); err != nil {
		t.Fatal(err)
	}
	ours, naive := newLure(followers[1].Addr(), frozen.Addr()), newLure(followers[1].Addr(), frozen.Addr())

	next := participant(t, Config{Servers: []string{"lure:1"}, Root: root, SessionTimeout: timeout, Dial: ours.dial})
	type seen struct {
		jobs []string
		err  error
	}
	watches := func(n string) func() bool {
		return func() bool { return followers[1].Mntr()["zk_watch_count"] == n }
	}
	recovered, trusted := make(chan seen, 1), make(chan seen, 1)
	go func() {
		jobs, err := recoverJobs(ctx, next)
		recovered <- seen{jobs, err}
	}()
	// Ours watches its predecessor, itself, and the node of transfers. It is in line
	// before the naive one comes, whose end it would wait for otherwise.
	await(ctx, t, "coordd's contender to queue up", watches("3"))
	token, _ := leader.Token[zookeeper.Guard](tenure.Guard())
	go func() {
		jobs, err := trustTheEvent(ctx, naive, root, token.Path(), timeout)
		trusted <- seen{jobs, err}
	}()
	await(ctx, t, "the naive contender to watch the leader", watches("4"))

	ours.armed.Store(true)
	naive.armed.Store(true)
	frozen.Pause()
	// Acknowledged by the two others, after they have elected a new leader.
	if err := old.Store().Commit(ctx, tenure.Guard(), txn.Op{Kind: txn.Create, Path: "jobs/accepted"}); err != nil {
		t.Fatal(err)
	}
	if err := tenure.Release(ctx); err != nil {
		t.Fatal(err)
	}
	ours.open.give()
	naive.open.give()
	// Both stand before the frozen server's door when it wakes up: it has not
	// noticed yet that it lost its followers.
	<-ours.asked.ch
	<-naive.asked.ch
	frozen.Resume()

	got, naiveGot := <-recovered, <-trusted
	if got.err != nil {
		t.Fatalf("recovery: %v", got.err)
	}
	t.Logf("round %d: coordd read %q, the naive contender %q (%v)", round, got.jobs, naiveGot.jobs, naiveGot.err)
	return slices.Contains(got.jobs, "accepted"), naiveGot.err == nil && !slices.Contains(naiveGot.jobs, "accepted")
}

// await polls until done; each poll is a round trip to a server.
func await(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	for !done() {
		if ctx.Err() != nil {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

// recoverJobs leads and lists the jobs, as the coordinator does.
func recoverJobs(ctx context.Context, s *Services) ([]string, error) {
	tenure, err := s.Election().Campaign(ctx, election.Candidate{ID: "next", StopGrace: time.Second})
	if err != nil {
		return nil, err
	}
	jobs, err := s.Store().List(ctx, tenure.Guard(), "jobs")
	return jobs, errors.Join(err, tenure.Release(ctx))
}

// trustTheEvent is the mistake: it leads when its watch says that the leader's
// node is gone, and a look shows that its own node is there.
func trustTheEvent(ctx context.Context, l *lure, root, leaderNode string, timeout time.Duration) ([]string, error) {
	s, err := zookeeper.Open(ctx, zookeeper.Config{Servers: []string{"lure:1"}, SessionTimeout: timeout, Dial: l.dial})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	own, _, err := s.CreateProtected(ctx, root+"/latch", "naive-", nil)
	if err != nil {
		return nil, err
	}
	_, _, fired, err := s.Watch(ctx, leaderNode)
	if err != nil {
		return nil, err
	}
	select {
	case <-fired:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if _, exists, err := s.Exists(ctx, own); err != nil || !exists {
		return nil, errors.Join(err, leader.ErrFenced)
	}
	jobs, _, err := s.Children(ctx, root+"/jobs")
	return jobs, err
}
