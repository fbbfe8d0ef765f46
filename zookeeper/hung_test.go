package zookeeper_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// director lets a client reach one address only, until it is set free.
type director struct {
	mu   sync.Mutex
	only string   // "" for all
	seen []string // addresses that were dialled, in order
}

func (d *director) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	refused := d.only != "" && addr != d.only
	if !refused {
		d.seen = append(d.seen, addr)
	}
	d.mu.Unlock()
	if refused {
		return nil, errors.New("not now")
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

func (d *director) direct(only string) { d.mu.Lock(); d.only = only; d.mu.Unlock() }

// await returns the addresses that were dialled once enough says so.
func (d *director) await(ctx context.Context, t *testing.T, enough func(seen []string) bool) []string {
	t.Helper()
	for {
		seen := d.dialled()
		if enough(seen) {
			return seen
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("dialled %q, want more", seen)
		}
	}
}

func (d *director) dialled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

// answers asks for a node again and again, and notes how long it
// went without an answer.
func answers(ctx context.Context, s *zookeeper.Session, path string) (longest time.Duration, err error) {
	for last := time.Now(); ; {
		if _, _, err := s.Exists(ctx, path); err != nil {
			return longest, err
		}
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return longest, nil
		}
	}
}

// One server of three hangs: the one that the session is connected to. go-zookeeper
// alone was out for 29.7 s with T = 4 s and lost its session, 4 times of 4.
func TestFinding04OneHungServerOfThreeDoesNotCostTheSession(t *testing.T) {
	const tick, syncLimit = 100 * time.Millisecond, 5
	// The least T for which one hung server of a healthy ensemble is survived.
	const least = 2*syncLimit*tick + 2*time.Second
	ensemble := zookeepertest.StartEnsemble(t, 3, zookeepertest.TickTime(tick), zookeepertest.SyncLimit(syncLimit))
	follower := func() *zookeepertest.Server { return ensemble.Followers()[0] }
	for name, c := range map[string]struct {
		choose  func() *zookeepertest.Server
		again   bool // it is the first to be asked again: it accepts, and says nothing
		timeout time.Duration
	}{
		"a follower":                {follower, false, least},
		"the leader":                {ensemble.Leader, false, least},
		"a follower, twice in turn": {follower, true, 2 * least},
		"the leader, twice in turn": {ensemble.Leader, true, 2 * least},
	} {
		t.Run(name, func(t *testing.T) {
			hung, timeout := c.choose(), c.timeout
			way := &director{only: hung.Addr()}
			s := openWith(t, zookeeper.Config{Servers: ensemble.Addrs(), SessionTimeout: timeout, Dial: way.DialContext})
			ctx := within(t)
			node, stat, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
			must(t, err)
			if !c.again {
				way.direct("")
			}

			type outcome struct {
				gap time.Duration
				err error
			}
			asking, enough := context.WithCancel(ctx)
			defer enough()
			asked := background(func() outcome {
				gap, err := answers(asking, s, node)
				return outcome{gap, err}
			})
			t.Cleanup(hung.Resume) // also when it fails: the others are not healthy without it
			hung.Pause()
			if c.again {
				way.await(ctx, t, func(seen []string) bool { return len(seen) == 2 })
				way.direct("")
			}
			way.await(ctx, t, func(seen []string) bool { return seen[len(seen)-1] != hung.Addr() })
			must(t, s.Guard(node).Check(ctx)) // a quorum answers, too
			now, exists, err := s.Exists(ctx, node)
			must(t, err)
			if !exists || now.Czxid != stat.Czxid || now.EphemeralOwner != s.ID() {
				t.Errorf("node %+v, exists %v, want %+v of session %#x", now, exists, stat, s.ID())
			}
			hung.Resume()
			ensemble.WaitHealthy()
			must(t, s.Guard(node).Check(ctx))
			enough()
			got := <-asked
			if got.err != nil && !errors.Is(got.err, context.Canceled) {
				t.Errorf("asking ended with %v", got.err)
			}
			t.Logf("T = %v, without an answer for %v, %.0f %% of T", s.Timeout(), got.gap, 100*got.gap.Seconds()/s.Timeout().Seconds())
			seen := way.dialled()
			if seen[0] != hung.Addr() || seen[len(seen)-1] == hung.Addr() {
				t.Errorf("dialled %q, want first the server that hung, %s, and another one last", seen, hung.Addr())
			}
			must(t, s.Err())
		})
	}
}

// A server that has not seen what the client has seen refuses it, and the client
// goes on to the next with its session.
func TestAServerThatIsBehindIsPassedOver(t *testing.T) {
	ahead, behind := zookeepertest.StartServer(t), zookeepertest.StartServer(t)
	proxy := zookeepertest.StartProxy(t, ahead.Addr())
	way := &director{only: proxy.Addr()}
	s := openWith(t, zookeeper.Config{
		Servers: []string{proxy.Addr(), behind.Addr()}, SessionTimeout: 10 * time.Second, Dial: way.DialContext,
	})
	ctx := within(t)
	node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
	must(t, err)
	id := s.ID()
	way.direct(behind.Addr())
	before := len(way.dialled())
	proxy.Drop()
	way.await(ctx, t, func(seen []string) bool { return len(seen) > before+1 }) // refused once, and asked again
	if err := s.Err(); err != nil {
		t.Fatalf("the server that is behind ended the session: %v", err)
	}
	way.direct("")
	must(t, s.Guard(node).Check(ctx))
	if stat, exists, err := s.Exists(ctx, node); err != nil || !exists || stat.EphemeralOwner != id {
		t.Errorf("node %+v, exists %v, error %v; want it of session %#x", stat, exists, err, id)
	}
	for _, txn := range behind.Txns(t) {
		if txn.Op == zookeepertest.OpCreateSession {
			t.Errorf("the server that is behind opened session %#x", txn.Session)
		}
	}
}
