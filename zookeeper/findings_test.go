package zookeeper_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The findings are what go-zookeeper v1.0.4 was seen to do to its callers. Each has
// tests that carry its number in their names, here and beside what they are about:
//
//	go test -run Finding04 ./zookeeper

// go-zookeeper's channel holds six events and drops what does not fit.
func TestFinding01NoEventIsLostHoweverManyComeAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		const watched = 300
		var fired []<-chan struct{}
		for i := range watched {
			fired = append(fired, watching(t, s, fmt.Sprintf("/n%d", i), 1))
		}
		link.Freeze(zookeepertest.ToClient)
		for i := range watched {
			must(t, other.Create(within(t), fmt.Sprintf("/n%d", i), nil, zookeeper.Persistent))
		}
		link.Unfreeze()
		for i, ch := range fired {
			select {
			case <-ch:
			case <-time.After(timeout):
				t.Fatalf("the event of /n%d was lost", i)
			}
		}
		for range 10 { // each reconnect is worth three events
			heal := cut(t, link, s)
			heal()
			awaitState(t, s, zookeeper.Connected)
		}
		fake.ExpireSession(s.ID())
		select {
		case <-s.Done():
		case <-time.After(timeout):
			t.Fatal("the expiry was lost")
		}
		wantErr(t, "reason", s.Err(), zookeeper.ErrExpired)
	})
}

// counted counts the connections that are open.
type counted struct {
	net.Conn
	open *atomic.Int32
	once atomic.Bool
}

func (c *counted) Close() error {
	if c.once.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// go-zookeeper leaves the socket open on which it hears that its session expired,
// and asks again at once.
func TestFinding03AServerThatAlwaysExpiresIsAskedEverLessAndLeavesNoSocket(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *zookeepertest.Fake) {
		var open atomic.Int32
		d := &dials{next: func(context.Context, string, string) (net.Conn, error) {
			conn, _ := hostile(t, connectResponse(0, 0))
			open.Add(1)
			return &counted{Conn: conn, open: &open}, nil
		}}
		c, err := zookeeper.New(config(d))
		must(t, err)
		run, stop := context.WithCancel(t.Context())
		start := time.Now()
		ended := background(func() error { return c.Run(run) })
		elapse(3 * time.Minute)
		if n := open.Load(); n > 1 {
			t.Errorf("%d connections are open, want 1 at most", n)
		}
		stop()
		<-ended
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are open after the end, want none", n)
		}
		d.wantPatience(t, start)
	})
}

// go-zookeeper sleeps a second after each round of servers, all clients in step.
func TestFinding07RoundsOfRefusalsArePacedWithJitter(t *testing.T) {
	gaps := func() (gaps []time.Duration) {
		inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
			fake.Refuse(true)
			d := &dials{next: fake.DialContext}
			cfg := config(d)
			cfg.Servers = []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := zookeeper.Open(ctx, cfg)
			wantErr(t, "open", err, zookeeper.ErrSuspended)
			for i := range d.at[1:] {
				gaps = append(gaps, d.at[i+1].Sub(d.at[i]))
			}
			if len(d.at) < 9 {
				t.Fatalf("%d attempts in %v, want three rounds at least", len(d.at), timeout)
			}
		})
		return gaps
	}
	first, again := gaps(), gaps()
	if first[0] != 0 || first[1] != 0 {
		t.Errorf("pauses %v within the first round, want none", first[:2])
	}
	for i, gap := range first[2:] {
		if gap <= 0 || gap > time.Second {
			t.Errorf("pause %d is %v, want some, and one second at most", i+2, gap)
		}
	}
	if slices.Equal(first, again) {
		t.Errorf("two clients paused alike: %v", first)
	}
}

// go-zookeeper keeps a channel for every watch that is asked for, until it fires.
func TestFinding08AThousandWatchesOnANodeAreOne(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		asked := 0
		link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
			if r.Watch {
				asked++
			}
			return 0, 0
		})
		fired := watching(t, s, "/x", 1000)
		link.Delay(nil)
		if asked != 1 {
			t.Errorf("the server was asked for %d watches, want 1", asked)
		}
		must(t, other.Create(within(t), "/x", nil, zookeeper.Persistent))
		<-fired
	})
}

// go-zookeeper's own search for a protected node cuts 32 characters out of every
// name that begins as its own does.
func TestFinding09ShortNamesOfOthersDoNotDisturbTheSearchForAProtectedNode(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s, other := connect(t, link), connect(t, fake)
		ctx := within(t)
		must(t, s.EnsurePath(ctx, "/latch", zookeeper.Container))
		for _, name := range []string{"_c_", "_c_x", "_c_0123456789", "!x"} {
			must(t, other.Create(ctx, "/latch/"+name, nil, zookeeper.Persistent))
		}
		link.DropReplyOf(isLatchCreate)
		node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
		must(t, err)
		if held, _ := fake.Node(node); held.Owner != s.ID() {
			t.Errorf("%s belongs to session %#x, want %#x", node, held.Owner, s.ID())
		}
	})
}

// go-zookeeper looks names up once, and fails when one of them is unknown.
func TestFinding10NamesAreLookedUpAtEachDialAndABadOneCostsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		asked := make(map[string]int)
		cfg := config(dialFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
			asked[addr]++
			if addr != "good.example:2181" {
				return nil, &net.DNSError{Err: "no such host", Name: addr, IsNotFound: true}
			}
			return fake.DialContext(ctx, network, addr)
		}))
		cfg.Servers = []string{"bad.example", "good.example", "2001:db8::1", "[2001:db8::2]:2182"}
		s := openWith(t, cfg)
		for range 5 {
			elapse(timeout)
			fake.Drop()
			must(t, second(s.Exists(within(t), "/")))
		}
		synctest.Wait()
		for _, addr := range []string{"bad.example:2181", "good.example:2181", "[2001:db8::1]:2181", "[2001:db8::2]:2182"} {
			if asked[addr] < 2 {
				t.Errorf("%s was dialled %d times, want that each dial gets the name", addr, asked[addr])
			}
		}
	})
}

// The real go-zookeeper client runs in virtual time, where minutes cost nothing.
func TestFinding13TheRealClientLivesThroughExpiryAndReconnectInVirtualTime(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		c, err := zookeeper.New(config(fake))
		must(t, err)
		run, stop := context.WithCancel(t.Context())
		ended := background(func() error { return c.Run(run) })
		first, err := c.Session(within(t))
		must(t, err)
		elapse(30 * time.Second)
		fake.Drop()
		elapse(30 * time.Second)
		if err := first.Err(); err != nil {
			t.Errorf("a lost connection ended the session: %v", err)
		}
		fake.ExpireSession(first.ID())
		elapse(30 * time.Second)
		next, err := c.Session(within(t))
		must(t, err)
		if next.ID() == first.ID() || fake.Count(zookeepertest.OpPing) < 30 {
			t.Errorf("session %#x after %#x with %d pings in 90 s, want another one and a ping each 2 s",
				next.ID(), first.ID(), fake.Count(zookeepertest.OpPing))
		}
		stop()
		<-ended
	})
}
