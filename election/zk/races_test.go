package zk

import (
	"context"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The files races_*_test.go hold the races that Curator's LeaderLatch lost in its
// history, each brought about again under this driver. The subtests are named after
// the issues, so that one of them is run by
//
//	go test -run '/CURATOR-110' ./election/zk
//
//	Netflix-115     queue      the predecessor leaves, and is not the leader
//	Netflix-257     start      two starts at once make two nodes
//	CURATOR-18      start      closed while the node is created
//	CURATOR-110     start      started before there is a connection
//	CURATOR-358     queue      a contender leaves between list and read
//	CURATOR-436     queue      the latch is not there when its leader is asked for
//	CURATOR-444     reconnect  (and ensemble) the ensemble is away for about a session time-out
//	CURATOR-498     session    the node of a session that ends is taken for the new one's
//	CURATOR-504     reconnect  reconnects make a contender lose sight of its node
//	CURATOR-537     token      the token names another node than the one that was elected
//	CURATOR-620     session    two reconnects at once delete the leader's node
//	CURATOR-644     reconnect  as 504
//	CURATOR-645     queue      two contenders reset one another for ever
//	CURATOR-653     token      a leader is not told that its node is no longer the first
//	CURATOR-696     session    elected by the node of the session before
//	CURATOR-724     reconnect  the latch is gone after a reconnect
//
// Curator's issues are at https://issues.apache.org/jira/projects/CURATOR, those from
// before at https://github.com/Netflix/curator/issues.

// matcher tells the request at which a race strikes.
type matcher func(zookeepertest.Request) bool

func isJoin(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpCreate && r.Flags == 3 }

func isList(r zookeepertest.Request) bool {
	return r.Op == zookeepertest.OpGetChildren && r.Path == latchPath
}

func isCheck(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpMulti && len(r.Ops) == 1 }

func isRead(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpGetData }

// isWatchOf matches the request that leaves a watch on the node.
func isWatchOf(node string) matcher {
	return func(r zookeepertest.Request) bool { return r.Watch && r.Path == node }
}

// before has do happen when the next request that matches comes to the server over
// the link, which carries it out when do has returned. It takes the link's delays.
func before(link *zookeepertest.Link, match matcher, do func() error) <-chan error {
	struck := make(chan error, 1)
	over := false // calls of one link are one after the other here
	link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
		if !over && match(r) {
			over = true
			struck <- do()
		}
		return 0, 0
	})
	return struck
}

// after has do happen between the next request that matches and its reply.
func after(link *zookeepertest.Link, match matcher, do func() error) <-chan error {
	struck := make(chan error, 1)
	over := false
	link.Delay(func(r zookeepertest.Request) (before, after time.Duration) {
		if over || !match(r) {
			return 0, 0
		}
		over = true
		const carriedOut = time.Millisecond
		time.AfterFunc(carriedOut, func() { struck <- do() })
		return 0, 2 * carriedOut
	})
	return struck
}

// moments are the two sides of a request's effect.
func moments() map[string]func(*zookeepertest.Link, matcher, func() error) <-chan error {
	return map[string]func(*zookeepertest.Link, matcher, func() error) <-chan error{"before": before, "after": after}
}

// strikes waits until a race has happened.
func strikes(t *testing.T, struck <-chan error) {
	t.Helper()
	select {
	case err := <-struck:
		must(t, err)
	case <-within(t).Done():
		t.Fatal("the request at which the race strikes was not made within minutes")
	}
}

// wins waits for a grant, and has it fit the node on the server.
func wins(t *testing.T, fake *zookeepertest.Fake, won <-chan granted) *tenure {
	t.Helper()
	select {
	case g := <-won:
		must(t, g.err)
		wantLive(t, fake, g.tenure)
		return g.tenure
	case <-within(t).Done():
		t.Fatalf("nobody was granted leadership within minutes; contenders %q", nodes(fake))
		return nil
	}
}

// wantWaiting fails the test when a campaign is over although it may not be.
func wantWaiting(t *testing.T, what string, won <-chan granted) {
	t.Helper()
	synctest.Wait()
	if len(won) == 0 {
		return
	}
	if g := <-won; g.err != nil {
		t.Fatalf("%s: the campaign ended: %v, want it to go on", what, g.err)
	} else {
		t.Fatalf("%s: granted %s, want nobody else to lead", what, g.tenure.guard.Path())
	}
}

// wantOneLeader fails the test unless just the last of the tenures is held.
func wantOneLeader(t *testing.T, what string, all ...*tenure) {
	t.Helper()
	synctest.Wait()
	last := len(all) - 1
	for i, one := range all {
		if lost := closed(one.Lost()); lost != (i < last) {
			t.Errorf("%s: tenure %d of %d (%s) is over: %v, want %v (%v)", what, i+1, len(all), one.guard.Path(), lost, i < last, one.Err())
		}
	}
}

// queues has the member contend behind somebody, and returns when its node is there
// and it waits.
func (m *member) queues(ctx context.Context, t *testing.T, fake *zookeepertest.Fake) <-chan granted {
	t.Helper()
	won := m.contend(ctx)
	elapse(sessionTimeout / 100)
	wantWaiting(t, "behind somebody", won)
	if nodeOf(fake, m.client.Status().SessionID) == "" {
		t.Fatalf("latch nodes %q, want one of %s to be there", nodes(fake), m.id)
	}
	return won
}

// joins counts the contenders' nodes that a session has made.
func joins(fake *zookeepertest.Fake, session int64) int {
	n := 0
	for _, txn := range fake.Txns() {
		for _, w := range txn.Writes() {
			if w.Op == zookeepertest.OpCreate && txn.Session == session && path.Dir(w.Path) == latchPath {
				n++
			}
		}
	}
	return n
}

// sessionOf returns the member's session of now.
func (m *member) sessionOf(t *testing.T) *zookeeper.Session {
	t.Helper()
	s, err := m.client.Session(within(t))
	must(t, err)
	return s
}

// nodeOf returns the one latch node of a session, and nothing when it has none or many.
func nodeOf(fake *zookeepertest.Fake, session int64) string {
	var own []string
	for _, node := range nodes(fake) {
		if n, _ := fake.Node(node); n.Owner == session {
			own = append(own, node)
		}
	}
	if len(own) != 1 {
		return ""
	}
	return own[0]
}

// everyRead is a delay that calls do at each read of a node's data.
func everyRead(do func(zookeepertest.Request)) func(zookeepertest.Request) (before, after time.Duration) {
	return func(r zookeepertest.Request) (before, after time.Duration) {
		if isRead(r) {
			do(r)
		}
		return 0, 0
	}
}
