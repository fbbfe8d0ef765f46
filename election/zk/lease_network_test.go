package zk

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// tally counts what was done in histories, and what came of it.
type tally struct {
	histories              int
	drops, freezes, cuts   int // faults between client and servers, and among servers
	connects, expiries     int
	terms, deadlines, ends int // terms; of those, ended by the lease's deadline and by the session's end
}

func (a *tally) add(b tally) {
	a.histories += b.histories
	a.drops, a.freezes, a.cuts = a.drops+b.drops, a.freezes+b.freezes, a.cuts+b.cuts
	a.connects, a.expiries = a.connects+b.connects, a.expiries+b.expiries
	a.terms, a.deadlines, a.ends = a.terms+b.terms, a.deadlines+b.deadlines, a.ends+b.ends
}

// ensemble is what the histories of one seed have in common: how ZooKeeper's leader
// counts sessions. It ends them T after it last counted them, hardly later: the tick
// to which real ones round up is left out.
type ensemble struct {
	lists     zookeepertest.FollowerConfig // the phase is each follower's own
	tickKnown bool
}

// randomEnsemble has half a tick of a 40th to a quarter of T, and lists that are late
// within the lease's margin.
func randomEnsemble(random *rand.Rand) ensemble {
	least, most := int64(sessionTimeout)/40, int64(sessionTimeout)/4
	e := ensemble{tickKnown: random.IntN(2) == 0}
	e.lists.Every = time.Duration(least + random.Int64N(most-least+1))
	if random.IntN(3) == 0 {
		e.lists.Every = time.Duration(most)
	}
	e.lists.Late = time.Duration(random.Int64N(int64(float64(sessionTimeout) * zookeeper.LeaseMargin)))
	return e
}

func (e ensemble) fake() *zookeepertest.Fake {
	return zookeepertest.NewFake(zookeepertest.FakeConfig{
		TickTime: time.Millisecond, MinSessionTimeout: time.Second, MaxSessionTimeout: time.Minute,
	})
}

// tick is what contenders are told.
func (e ensemble) tick() time.Duration {
	if e.tickKnown {
		return 2 * e.lists.Every
	}
	return 0
}

// network is one contender's way to the three servers, two of which are followers. All
// durations are drawn in nanoseconds, so that no two things happen at one instant.
type network struct {
	faults, delays *rand.Rand
	servers        [3]*zookeepertest.Link
	followers      [2]*zookeepertest.Follower // the first two servers
	timeout        time.Duration
	deafness       bool // followers may be deaf
	only           bool // the first follower is the only server

	mu    sync.Mutex
	last  int          // the server that was dialled last
	epoch leader.Epoch // of the term that its contender is in, 0 for none
	done  tally
}

func (e ensemble) network(fake *zookeepertest.Fake, timeout time.Duration, random *rand.Rand) *network {
	n := &network{
		faults: rand.New(rand.NewPCG(random.Uint64(), 1)), delays: rand.New(rand.NewPCG(random.Uint64(), 2)),
		timeout: timeout, deafness: e.lists.Every <= timeout/8,
	}
	for i := range n.followers {
		lists := e.lists
		lists.Phase = time.Duration(random.Int64N(int64(lists.Every)))
		n.followers[i] = fake.NewFollower(lists)
		n.servers[i] = n.followers[i].Link
	}
	n.servers[2] = fake.NewLink()
	return n
}

// addrs are the servers' addresses.
func (n *network) addrs() []string {
	all := []string{"127.0.0.1:2180", "127.0.0.1:2181", "127.0.0.1:2182"}
	if n.only {
		return all[:1]
	}
	return all
}

func (n *network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	i := int(addr[len(addr)-1] - '0')
	n.mu.Lock()
	n.last = i
	n.done.connects++
	n.mu.Unlock()
	return n.servers[i].DialContext(ctx, network, addr)
}

func (n *network) current() int { n.mu.Lock(); defer n.mu.Unlock(); return n.last }

func (n *network) term() leader.Epoch { n.mu.Lock(); defer n.mu.Unlock(); return n.epoch }

// enter notes that the contender on this network is in a term; 0 for that it is not.
func (n *network) enter(term leader.Epoch) { n.mu.Lock(); defer n.mu.Unlock(); n.epoch = term }

// joinOver has a participant contend over the network.
func joinOver(t *testing.T, n *network, cfg Config, id string) *member {
	t.Helper()
	client, err := zookeeper.New(zookeeper.Config{Servers: n.addrs(), SessionTimeout: n.timeout, Dial: n.DialContext})
	must(t, err)
	cfg.Client, cfg.Latch = client, latchPath
	cfg.OnRenewed = func(r Renewal) { n.enter(r.Epoch) }
	driver, err := New(cfg)
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return &member{Driver: driver, id: id, client: client}
}

// slow has requests and replies be late now and then, by up to a T/8 in some histories.
func (n *network) slow() {
	longest := int64(n.timeout) >> (3 + n.delays.IntN(5))
	for _, s := range n.servers {
		s.Delay(func(zookeepertest.Request) (before, after time.Duration) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.delays.IntN(3) > 0 {
				return 0, 0
			}
			return time.Duration(n.delays.Int64N(longest)), time.Duration(n.delays.Int64N(longest))
		})
	}
}

// trouble strikes the network again and again until ctx ends, and leaves it sound.
func (n *network) trouble(ctx context.Context) {
	n.slow()
	for ctx.Err() == nil {
		n.pause(ctx, n.timeout)
		heal, longest := n.strike()
		n.pause(ctx, longest)
		heal()
	}
}

func (n *network) pause(ctx context.Context, longest time.Duration) {
	timer := time.NewTimer(time.Duration(n.faults.Int64N(int64(longest))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// strike begins one fault.
func (n *network) strike() (heal func(), longest time.Duration) {
	at, kind := n.current(), n.faults.IntN(11)
	here := n.servers[at]
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case kind == 0 || kind > 5 && at == len(n.followers): // away from the leader, which nobody can cut off
		n.done.drops++
		here.Drop()
		return func() {}, n.timeout / 4
	case kind == 1: // no server can be reached
		n.done.drops++
		n.each(func(l *zookeepertest.Link) { l.Refuse(true); l.Drop() })
		return func() { n.each(func(l *zookeepertest.Link) { l.Refuse(false) }) }, n.timeout
	case kind <= 4: // one server or the way to it hangs
		n.done.freezes++
		here.Freeze([]zookeepertest.Direction{zookeepertest.ToServer, zookeepertest.ToClient, zookeepertest.Both}[kind-2])
		return here.Unfreeze, 3 * n.timeout / 2
	case kind == 5: // nothing gets through
		n.done.freezes++
		n.each(func(l *zookeepertest.Link) { l.Freeze() })
		return func() { n.each((*zookeepertest.Link).Unfreeze) }, 3 * n.timeout / 2
	default:
		n.done.cuts++
		return n.lose(n.followers[at], n.deafness && kind > 8)
	}
}

// lose takes a follower's leader from it. If it is deaf before, the follower hears what
// it missed, and is then cut off before it can answer: the client hears that its
// renewals were acknowledged, and the list before them was never counted. A term's first
// renewal cannot know of that, and with half a tick of more than T/8 no lease does (see
// package zookeeper): they are spared.
func (n *network) lose(follower *zookeepertest.Follower, deaf bool) (heal func(), longest time.Duration) {
	if !deaf {
		hangUp := n.faults.IntN(2) == 0
		follower.CutOff()
		return func() {
			if hangUp { // as it does in the end
				follower.Drop()
			}
			follower.Rejoin()
		}, 2 * n.timeout
	}
	term := n.epoch
	follower.Deafen()
	return func() {
		if term == 0 || n.term() != term {
			follower.Rejoin()
			return
		}
		follower.CutOff()
		time.AfterFunc(2*n.timeout, follower.Rejoin)
	}, n.timeout
}

func (n *network) each(f func(*zookeepertest.Link)) {
	for _, l := range n.servers {
		f(l)
	}
}

// injected is what was done to the network so far.
func (n *network) injected() tally { n.mu.Lock(); defer n.mu.Unlock(); return n.done }
