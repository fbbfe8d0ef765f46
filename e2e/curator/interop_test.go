package curator

import (
	"path"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const (
	tick = 100 * time.Millisecond
	// short is the session time-out of who will be lost without a word; it is waited
	// for, and long enough for a busy machine.
	short = 5 * time.Second
	// long is never waited for: a hand-over from a session of that length within the
	// tests' patience was a clean one.
	long = 10 * patience
)

// way is how the leader leaves and comes back.
type way struct {
	timeout time.Duration
	// leave makes the leader go. It does not wait for the next one.
	leave func(t *testing.T, leader *participant)
	// comeBack has it contend again, when the next one leads.
	comeBack func(t *testing.T, former *participant)
}

// ways returns the ways for all participants. Each ends with the former leader behind
// the next one.
func ways() map[string]way {
	return map[string]way{
		"closes": {
			timeout:  long,
			leave:    func(t *testing.T, p *participant) { t.Helper(); p.ask(t, "close", "closed") },
			comeBack: func(t *testing.T, p *participant) { t.Helper(); p.wantRefused(t); p.tell(t, "contend") },
		},
		"is killed": {
			timeout:  short,
			leave:    func(t *testing.T, p *participant) { t.Helper(); p.kill(t) },
			comeBack: func(t *testing.T, p *participant) { t.Helper(); p.start(t) },
		},
		"is cut off": {
			timeout: short,
			leave: func(t *testing.T, p *participant) {
				t.Helper()
				p.proxy.Cut()
				p.await(t, "notleader")
			},
			comeBack: func(_ *testing.T, p *participant) { p.proxy.Heal() },
		},
		"is paused": {
			timeout: short,
			leave: func(t *testing.T, p *participant) {
				t.Helper()
				p.pause(t)
				p.tell(t, "claim") // the first that it does when it wakes up
			},
			comeBack: func(t *testing.T, p *participant) {
				t.Helper()
				p.signal(t, syscall.SIGCONT)
				answer := p.await(t, "claimed", "refused")
				if p.kind == ours && answer == "claimed" {
					t.Errorf("%s slept past its session, and its write was accepted", p.id)
				}
			},
		},
	}
}

// meet returns a latch of its own for the test.
func meet(t *testing.T, srv *zookeepertest.Server, classes, name string) *ground {
	t.Helper()
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}, SessionTimeout: long})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	root := path.Join("/shared", name)
	g := &ground{addr: srv.Addr(), classes: classes, latch: root + "/latch", claims: root + "/claims", session: s}
	if err := s.EnsurePath(t.Context(), g.claims, zookeeper.Persistent); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLeadershipPassesBetweenOursAndCurators(t *testing.T) {
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(tick), zookeepertest.MaxSessionTimeout(long))
	classes := compileContender(t)
	run := func(name string, scenario func(t *testing.T, g *ground)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := meet(t, srv, classes, t.Name())
			defer g.check(t, srv) // also when the scenario has failed
			scenario(t, g)
		})
	}
	for _, order := range [][2]kind{{ours, theirs}, {theirs, ours}} {
		for name, w := range ways() {
			run(string(order[0])+" leads and "+name, func(t *testing.T, g *ground) {
				t.Helper()
				passToAndFro(t, g, w, order)
			})
		}
		run(string(order[1])+" dies waiting between "+string(order[0]), func(t *testing.T, g *ground) {
			t.Helper()
			dieWaiting(t, g, order)
		})
	}
	run("ours leads and its node is deleted", func(t *testing.T, g *ground) {
		t.Helper()
		deleteLeader(t, g)
	})
}

// passToAndFro has the first lead, leave in its way, come back behind the second, and
// lead again when that closes.
func passToAndFro(t *testing.T, g *ground, w way, order [2]kind) {
	t.Helper()
	first := g.join(t, "first", order[0], w.timeout)
	first.leads(t)
	second := g.join(t, "second", order[1], long)
	g.awaitQueue(t, first, second)
	for _, p := range []*participant{first, second} {
		p.wantParticipants(t, first, second)
	}
	second.wantRefused(t)

	w.leave(t, first)
	second.leads(t)
	w.comeBack(t, first)
	g.awaitQueue(t, second, first)
	for _, p := range []*participant{first, second} {
		p.wantParticipants(t, second, first)
	}

	second.ask(t, "close", "closed")
	first.leads(t)
	first.exit(t)
	second.exit(t)
}

// dieWaiting kills the middle one of three. The last, who watched it, must go on to
// wait for the first.
func dieWaiting(t *testing.T, g *ground, order [2]kind) {
	t.Helper()
	first := g.join(t, "first", order[0], long)
	first.leads(t)
	middle := g.join(t, "middle", order[1], short)
	g.awaitQueue(t, first, middle)
	last := g.join(t, "last", order[0], long)
	g.awaitQueue(t, first, middle, last)

	middle.kill(t)
	g.awaitQueue(t, first, last)
	last.wantRefused(t)
	if got := first.ask(t, "claim", "claimed", "refused"); got != "claimed" {
		t.Errorf("the first leads, and its write is %s", got)
	}
	first.ask(t, "close", "closed")
	last.leads(t)
	first.exit(t)
	last.exit(t)
}

// deleteLeader deletes our leader's node, as an operator does. It must step down, and
// contend again behind Curator's.
func deleteLeader(t *testing.T, g *ground) {
	t.Helper()
	first := g.join(t, "first", ours, long)
	first.leads(t)
	second := g.join(t, "second", theirs, long)
	g.awaitQueue(t, first, second)

	names, _, err := g.session.Children(t.Context(), g.latch)
	if err != nil {
		t.Fatal(err)
	}
	lowest := names[0]
	for _, name := range names {
		if bySequence(name, lowest) < 0 {
			lowest = name
		}
	}
	if err := g.session.Delete(t.Context(), g.latch+"/"+lowest, -1); err != nil {
		t.Fatal(err)
	}
	second.leads(t)
	first.await(t, "notleader")
	g.awaitQueue(t, second, first)
	first.wantRefused(t)
	second.exit(t)
	first.leads(t)
	first.exit(t)
}
