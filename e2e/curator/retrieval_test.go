package curator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	retrievalzk "github.com/coordd/coordd/retrieval/zk"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// follower hears who leads at a latch, which it does not contend at.
type follower struct {
	proxy *zookeepertest.Proxy
	told  chan leader.Info // the zero Info for nobody
}

func (g *ground) follow(t *testing.T, timeout time.Duration) *follower {
	t.Helper()
	f := &follower{proxy: zookeepertest.StartProxy(t, g.addr), told: make(chan leader.Info, 100)}
	client, err := zookeeper.New(zookeeper.Config{Servers: []string{f.proxy.Addr()}, SessionTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	driver, err := retrievalzk.NewLatch(retrievalzk.LatchConfig{Client: client, Latch: g.latch})
	if err != nil {
		t.Fatal(err)
	}
	r, err := retrieval.New(retrieval.Config{Driver: driver, Component: "shared"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 3)
	go func() { ended <- client.Run(ctx) }()
	go func() { ended <- r.Run(ctx) }()
	go func() {
		ended <- r.ListenLeader(ctx, func(info leader.Info, _ bool) { f.told <- info })
	}()
	t.Cleanup(func() {
		stop()
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the follower ended with %v, want its context's error", err)
			}
		}
	})
	return f
}

// hears waits for the next announcement, which must be of this participant, or of
// nobody.
func (f *follower) hears(t *testing.T, id string) leader.Info {
	t.Helper()
	select {
	case info := <-f.told:
		if info.ID != id || (info.SessionID == "") != (id == "") {
			t.Fatalf("announced was %+v, want %q", info, id)
		}
		return info
	case <-time.After(patience):
		t.Fatalf("waited %v for the announcement of %q", patience, id)
		return leader.Info{}
	}
}

// Leaders come and go at a latch that Curator's contenders share with ours, cleanly and
// by death. A follower hears of each, in order and once, whoever's it is.
func TestALatchOfCuratorsAndOursIsFollowed(t *testing.T) {
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(tick), zookeepertest.MaxSessionTimeout(long))
	g := meet(t, srv, compileContender(t), "followed")
	defer g.check(t, srv)
	steady, shaky := g.follow(t, long), g.follow(t, short)
	steady.hears(t, "")
	shaky.hears(t, "")

	first := g.join(t, "first", theirs, long)
	first.leads(t)
	one := steady.hears(t, "first")
	names, _, err := g.session.Children(t.Context(), g.latch)
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], "_c_"+string(one.SessionID)+"-latch-") {
		t.Errorf("the session ID is %q, want the UUID in %q (%v)", one.SessionID, names, err)
	}
	stat, _, err := g.session.Exists(t.Context(), g.latch+"/"+names[0])
	if err != nil || one.Epoch != leader.Epoch(stat.Czxid) {
		t.Errorf("the epoch is %d, want %d (%v)", one.Epoch, stat.Czxid, err)
	}
	second := g.join(t, "second", ours, short)
	g.awaitQueue(t, first, second)
	third := g.join(t, "third", theirs, long)
	g.awaitQueue(t, first, second, third)

	shaky.hears(t, "first")
	shaky.proxy.Cut()
	first.ask(t, "close", "closed")
	line := second.await(t, "leader")
	if two := steady.hears(t, "second"); line != "leader "+two.Epoch.String() || two.Epoch <= one.Epoch {
		t.Errorf("announced was epoch %d, after %d, and the leader says %q", two.Epoch, one.Epoch, line)
	}
	if got := second.ask(t, "claim", "claimed", "refused"); got != "claimed" {
		t.Errorf("the second leads, and its write is %s", got)
	}
	second.kill(t)
	third.leads(t)
	three := steady.hears(t, "third")
	shaky.proxy.Heal()
	if info := shaky.hears(t, "third"); info != three {
		t.Errorf("who was away heard of %+v, want %+v", info, three)
	}
	third.exit(t)
	steady.hears(t, "")
	shaky.hears(t, "")
	first.exit(t)
}
