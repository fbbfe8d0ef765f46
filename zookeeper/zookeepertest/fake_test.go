package zookeepertest

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// inBubble runs f with a fake in virtual time. Ticks last 1 s.
func inBubble(t *testing.T, f func(t *testing.T, fake *Fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := NewFake(FakeConfig{TickTime: time.Second})
		defer fake.Close()
		f(t, fake)
	})
}

// elapse lets virtual time pass.
func elapse(d time.Duration) { <-time.After(d) }

// awaitState takes events until the session has the state.
func awaitState(t *testing.T, events <-chan zk.Event, state zk.State) {
	t.Helper()
	limit := time.After(5 * time.Minute)
	for {
		select {
		case e := <-events:
			if e.State == state {
				return
			}
		case <-limit:
			t.Fatalf("state %v not seen in 5 minutes", state)
		}
	}
}

// awaitRedial returns when a client that lost its connection pauses before it
// dials again: until then go-zookeeper refuses what is asked of it with
// ErrNoServer, or holds it back, as its goroutines happen to run.
func awaitRedial() { synctest.Wait() }

func wantNode(t *testing.T, f *Fake, path string, want bool) {
	t.Helper()
	if _, ok := f.Node(path); ok != want {
		t.Errorf("node %s exists: %t, want %t", path, ok, want)
	}
}

func TestFakeKeepsASessionThatPings(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 6*time.Second)
		defer done()
		create(t, conn, "/e", "", zk.FlagEphemeral)
		elapse(10 * time.Minute)
		wantNode(t, f, "/e", true)
		if n := f.Count(OpPing); n < 200 {
			t.Errorf("%d pings in 10 minutes of a session of 6 s, want one each 2 s", n)
		}
		if n := len(f.Sessions()); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}

func TestFakeClampsTimeouts(t *testing.T) {
	for wish, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 2 * time.Second, 5 * time.Second: 5 * time.Second, time.Hour: 20 * time.Second,
	} {
		inBubble(t, func(t *testing.T, f *Fake) {
			_, _, done := connectFake(t, f.Link, wish)
			defer done()
			if got := f.Sessions()[0].Timeout; got != want {
				t.Errorf("wish %v was granted as %v, want %v", wish, got, want)
			}
		})
	}
}

func TestFakeExpiresASilentSessionBetweenTAndATickLater(t *testing.T) {
	const timeout, tick = 6 * time.Second, time.Second
	for _, phase := range []time.Duration{0, time.Millisecond, 500 * time.Millisecond, 999 * time.Millisecond} {
		inBubble(t, func(t *testing.T, f *Fake) {
			elapse(phase)
			link := f.NewLink()
			conn, _, done := connectFake(t, link, timeout)
			defer done()
			create(t, conn, "/e", "", zk.FlagEphemeral)
			last := time.Now()
			link.Freeze()
			id := f.Sessions()[0].ID
			elapse(2 * timeout)
			ended, ok := f.SessionExpiredAt(id)
			if !ok {
				t.Fatalf("phase %v: the session lives %v after its last request", phase, 2*timeout)
			}
			if after := ended.Sub(last); after < timeout || after > timeout+tick+time.Microsecond {
				t.Errorf("phase %v: expired %v after the last request, want %v to %v", phase, after, timeout, timeout+tick)
			}
			wantNode(t, f, "/e", false)
			link.Unfreeze()
		})
	}
}

func TestFakeTellsAReturningClientThatItsSessionHasExpired(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, events, done := connectFake(t, f.Link, 6*time.Second)
		defer done()
		create(t, conn, "/e", "", zk.FlagEphemeral)
		if !f.ExpireSession(conn.SessionID()) {
			t.Error("ExpireSession found no session")
		}
		wantNode(t, f, "/e", false)
		awaitState(t, events, zk.StateExpired)
		awaitState(t, events, zk.StateHasSession)
		s := f.Sessions()
		if len(s) != 2 || !s[0].Expired || s[1].Expired || !s[1].Connected {
			t.Errorf("sessions %+v, want an expired one and its successor", s)
		}
		if f.ExpireSession(s[0].ID) {
			t.Error("ExpireSession ended a session twice")
		}
	})
}

func TestFakeContinuesASessionOnANewConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, events, done := connectFake(t, f.Link, 6*time.Second)
		defer done()
		create(t, conn, "/e", "", zk.FlagEphemeral)
		_, _, data, err := conn.GetW("/e")
		if err != nil {
			t.Fatal(err)
		}
		_, _, missed, err := conn.ExistsW("/missed")
		if err != nil {
			t.Fatal(err)
		}
		other, _, doneOther := connectFake(t, f.NewLink(), 6*time.Second)
		defer doneOther()

		f.Refuse(true)
		f.Drop()
		awaitState(t, events, zk.StateDisconnected)
		f.Refuse(false)
		awaitState(t, events, zk.StateHasSession)
		create(t, other, "/missed", "", 0)
		if e := <-missed; e.Type != zk.EventNodeCreated {
			t.Errorf("event %v for a watch that was set before the reconnect, want creation", e.Type)
		}
		if _, err := other.Set("/e", nil, -1); err != nil {
			t.Fatal(err)
		}
		if e := <-data; e.Type != zk.EventNodeDataChanged {
			t.Errorf("event %v, want a change of data", e.Type)
		}
		if f.Count(OpSetWatches) == 0 || f.Dials() < 3 {
			t.Errorf("%d setWatches, %d dials", f.Count(OpSetWatches), f.Dials())
		}
	})
}

func TestFakeTellsAtReconnectWhatWasMissed(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		link := f.NewLink()
		conn, events, done := connectFake(t, link, 10*time.Second)
		defer done()
		other, _, doneOther := connectFake(t, f.NewLink(), 10*time.Second)
		defer doneOther()
		create(t, conn, "/a", "", 0)
		create(t, conn, "/b", "", 0)
		_, _, change, err := conn.GetW("/a")
		if err != nil {
			t.Fatal(err)
		}
		_, _, deletion, err := conn.GetW("/b")
		if err != nil {
			t.Fatal(err)
		}
		_, _, kids, err := conn.ChildrenW("/a")
		if err != nil {
			t.Fatal(err)
		}
		link.Refuse(true)
		link.Drop()
		awaitState(t, events, zk.StateDisconnected)
		if _, err := other.Set("/a", nil, -1); err != nil {
			t.Fatal(err)
		}
		create(t, other, "/a/x", "", 0)
		if err := other.Delete("/b", -1); err != nil {
			t.Fatal(err)
		}
		link.Refuse(false)
		for want, ch := range map[zk.EventType]<-chan zk.Event{
			zk.EventNodeDataChanged: change, zk.EventNodeDeleted: deletion, zk.EventNodeChildrenChanged: kids,
		} {
			if e := <-ch; e.Type != want {
				t.Errorf("event %v, want %v", e.Type, want)
			}
		}
	})
}

func TestFakeClosesASessionOnRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 6*time.Second)
		create(t, conn, "/e", "", zk.FlagEphemeral)
		done()
		s := f.Sessions()[0]
		if s.Ended.IsZero() || s.Expired {
			t.Errorf("session %+v after Close, want it ended and not expired", s)
		}
		wantNode(t, f, "/e", false)
		if _, ok := f.SessionExpiredAt(s.ID); ok {
			t.Error("a closed session counts as expired")
		}
	})
}

func TestFakeDropsTheReplyOfAWriteThatItMade(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 6*time.Second)
		defer done()
		dropped := f.DropReplyOf(func(r Request) bool { return r.Op == OpCreate && r.Path == "/a" })
		_, err := conn.Create("/a", nil, 0, zk.WorldACL(zk.PermAll))
		if !errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("error %v, want a closed connection", err)
		}
		<-dropped
		wantNode(t, f, "/a", true)
		awaitRedial()
		create(t, conn, "/b", "", 0)
	})
}

func TestFakeDropsARequestBeforeItIsCarriedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 6*time.Second)
		defer done()
		dropped := f.DropRequestOf(func(r Request) bool {
			return r.Op == OpMulti && strings.HasPrefix(r.Ops[0].Path, "/a")
		})
		req := &zk.CreateRequest{Path: "/a", Acl: zk.WorldACL(zk.PermAll)}
		if _, err := conn.Multi(req); !errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("error %v, want a closed connection", err)
		}
		<-dropped
		wantNode(t, f, "/a", false)
		awaitRedial()
		if _, err := conn.Multi(req); err != nil {
			t.Errorf("the fault struck twice: %v", err)
		}
	})
}

func TestFakeFreezesOneClientAndServesAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		link := f.NewLink()
		frozen, _, done := connectFake(t, link, 10*time.Second)
		defer done()
		other, _, doneOther := connectFake(t, f.NewLink(), 10*time.Second)
		defer doneOther()
		link.Freeze()
		reply := make(chan error, 1)
		go func() {
			_, err := frozen.Create("/late", nil, 0, zk.WorldACL(zk.PermAll))
			reply <- err
		}()
		synctest.Wait()
		create(t, other, "/now", "", 0)
		wantNode(t, f, "/late", false)
		link.Unfreeze()
		if err := <-reply; err != nil {
			t.Errorf("request that a freeze held back: %v", err)
		}
		wantNode(t, f, "/late", true)
	})
}

func TestFakeFrozenTowardsTheClientCarriesRequestsOut(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 10*time.Second)
		defer done()
		f.Freeze(ToClient)
		_, err := conn.Create("/a", nil, 0, zk.WorldACL(zk.PermAll))
		if !errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("error %v, want a closed connection", err)
		}
		wantNode(t, f, "/a", true)
		f.Unfreeze()
	})
}

func TestFakeCarriesOutWhatALeftClientHadSent(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		link := f.NewLink()
		conn, events, done := connectFake(t, link, 10*time.Second)
		defer done()
		link.Freeze(ToServer)
		_, err := conn.Create("/late", nil, 0, zk.WorldACL(zk.PermAll))
		if !errors.Is(err, zk.ErrConnectionClosed) {
			t.Errorf("error %v, want a closed connection", err)
		}
		wantNode(t, f, "/late", false)
		link.Unfreeze()
		awaitState(t, events, zk.StateHasSession)
		wantNode(t, f, "/late", true)
	})
}

func TestFakeDelaysRequestsAndReplies(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		conn, _, done := connectFake(t, f.Link, 10*time.Second)
		defer done()
		f.Delay(func(r Request) (before, after time.Duration) {
			if r.Op == OpCreate {
				return time.Second, 2 * time.Second
			}
			return 0, 0
		})
		start := time.Now()
		create(t, conn, "/a", "", 0)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("create took %v, want 3 s", took)
		}
		txns := f.Txns()
		if at := txns[len(txns)-1].Time.Sub(start); at != time.Second {
			t.Errorf("carried out after %v, want 1 s", at)
		}
		f.Delay(nil)
	})
}
