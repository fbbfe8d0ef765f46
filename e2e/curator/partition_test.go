package curator

import (
	"path"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// cutTimeout is the session time-out of a leader whose server is cut off, and gives that
// server up long before the test is over; its server takes longer.
const (
	cutTimeout   = 4 * time.Second
	cutSyncLimit = 300 // ticks of 100 ms
)

// The leader's server is cut off from the quorum while the leader still reaches it, and
// that server only. It answers pings and reads, so nothing tells the leader but the lack
// of an answer to a write. Ours has stepped down before the next one is elected;
// Curator's LeaderLatch, under either of its policies, claims to lead after that.
func TestALeaderWhoseServerIsCutOffStepsDownBeforeTheNextIsElectedUnlikeCurators(t *testing.T) {
	e := zookeepertest.StartEnsemble(t, 3, zookeepertest.Partitions(), zookeepertest.TickTime(tick),
		zookeepertest.SyncLimit(cutSyncLimit), zookeepertest.MaxSessionTimeout(long))
	classes := compileContender(t)
	for _, c := range []struct {
		kind      kind
		overlaps  bool
		successor kind
	}{{ours, false, ours}, {ours, false, theirs}, {theirs, true, theirs}, {bySession, true, ours}} {
		t.Run(string(c.kind)+" before "+string(c.successor), func(t *testing.T) {
			follower, majority := e.Followers()[0], e.Leader()
			behind, ahead := meet(t, follower, classes, path.Base(t.Name())), meet(t, majority, classes, path.Base(t.Name()))
			first := behind.join(t, "first", c.kind, cutTimeout)
			first.leads(t)
			node := lowest(t, ahead)
			second := ahead.join(t, "second", c.successor, long)
			ahead.awaitQueue(t, first, second)
			behind.awaitQueue(t, first, second) // the follower has it all

			e.CutOff(follower)
			t.Cleanup(e.Heal)
			second.leads(t)
			said := first.saidSince(first.heard)
			claims := first.ask(t, "leading", "yes", "no") == "yes"
			t.Logf("the second leads; the first said %q since it led, and claims to lead: %t", said, claims)
			if steppedDown := slices.Contains(said, "notleader"); steppedDown == c.overlaps || claims != c.overlaps {
				t.Errorf("when the second was elected the first had said %q and claims to lead: %t; want %t", said, claims, c.overlaps)
			}
			wantAnswers(t, behind, node)

			e.Heal()
			if c.overlaps {
				first.await(t, "notleader")
			}
			e.WaitHealthy()
			ahead.awaitQueue(t, second, first)
			first.exit(t)
			second.exit(t)
		})
	}
}

// lowest returns the path of the first contender's node.
func lowest(t *testing.T, g *ground) string {
	t.Helper()
	names, _, err := g.session.Children(t.Context(), g.latch)
	if err != nil || len(names) == 0 {
		t.Fatalf("contenders at %s: %q, %v", g.latch, names, err)
	}
	return g.latch + "/" + slices.MinFunc(names, bySequence)
}

// wantAnswers fails unless the server that was cut off answers as if nothing had
// happened: with the node of the leader that the others have deposed, over a connection
// that its pings keep alive.
func wantAnswers(t *testing.T, behind *ground, node string) {
	t.Helper()
	state, _ := behind.session.State()
	_, there, err := behind.session.Exists(t.Context(), node)
	if state != zookeeper.Connected || err != nil || !there {
		t.Errorf("the server that was cut off is %v and says that %s exists: %t (error %v); want answers from the past",
			state, node, there, err)
	}
}
