package zookeepertest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// A list goes out every 500 ms here, the second a little late.
func newFollower(f *Fake) *Follower {
	return f.NewFollower(FollowerConfig{Every: 500 * time.Millisecond, Phase: 100 * time.Millisecond, Late: 20 * time.Millisecond})
}

func TestFakeFollowerCountsASessionWhenItTellsTheLeader(t *testing.T) {
	const timeout = 6 * time.Second
	for _, c := range []struct{ request, counted time.Duration }{
		{50 * time.Millisecond, 100 * time.Millisecond},
		{150 * time.Millisecond, 620 * time.Millisecond},
		{610 * time.Millisecond, 620 * time.Millisecond},
		{630 * time.Millisecond, 1100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			f := NewFake(FakeConfig{TickTime: 10 * time.Millisecond, MaxSessionTimeout: timeout})
			defer f.Close()
			follower := newFollower(f)
			conn, _, done := connectFake(t, follower.Link, timeout)
			defer done()
			elapse(c.request)
			if _, _, err := conn.Exists("/"); err != nil {
				t.Fatal(err)
			}
			elapse(c.counted - c.request + time.Millisecond)
			follower.Freeze()
			elapse(2 * timeout)
			ended, ok := f.SessionExpiredAt(f.Sessions()[0].ID)
			if after := ended.Sub(start) - c.counted; !ok || after < timeout || after > timeout+20*time.Millisecond {
				t.Errorf("a session of %v active at %v expired %v after it was to be counted, expired %v", timeout, c.request, after, ok)
			}
			follower.Unfreeze()
		})
	}
}

func TestFakeFollowerThatWasCutOffGoesOnAnsweringAnExpiredSession(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		follower := newFollower(f)
		conn, events, done := connectFake(t, follower.Link, 6*time.Second)
		defer done()
		create(t, conn, "/e", "", zk.FlagEphemeral)
		_, _, fired, err := conn.ExistsW("/e")
		if err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		follower.CutOff()
		pings := f.Count(OpPing)
		elapse(10 * time.Second)
		wantNode(t, f, "/e", false)
		if _, _, err := conn.Exists("/"); err != nil {
			t.Errorf("a read on a cut-off follower: %v, want an answer", err)
		}
		if n := f.Count(OpPing) - pings; n < 4 {
			t.Errorf("%d pings were answered in 10 s, want one each 2 s", n)
		}
		synctest.Wait()
		select {
		case e := <-fired:
			t.Errorf("a cut-off follower told of %v", e)
		default:
		}
		if conn.State() != zk.StateHasSession {
			t.Errorf("the client is in %v, want it to hear nothing of its expiry", conn.State())
		}
		follower.Rejoin()
		awaitState(t, events, zk.StateExpired)
	})
}

func TestFakeFollowerThatWasCutOffHoldsWritesAndHandshakesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *Fake) {
		follower := newFollower(f)
		conn, _, done := connectFake(t, follower.Link, 6*time.Second)
		defer done()
		follower.CutOff()
		written := make(chan error, 1)
		go func() {
			_, err := conn.Create("/p", nil, 0, zk.WorldACL(zk.PermAll))
			written <- err
		}()
		raw, err := follower.Dial("tcp", "a:1", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		elapse(time.Second)
		wantNode(t, f, "/p", false)
		if n := len(f.Sessions()); n != 1 {
			t.Errorf("%d sessions, want no second one without a quorum", n)
		}
		follower.Rejoin()
		if err := <-written; err != nil {
			t.Errorf("a write that waited for the quorum: %v", err)
		}
		wantNode(t, f, "/p", true)
		elapse(time.Minute)
		if n := len(f.Sessions()); n != 1 || f.Sessions()[0].Expired {
			t.Errorf("sessions %+v, want the one, alive", f.Sessions())
		}
	})
}

func TestFakeFollowerThatIsDeafPassesWritesOnAndHearsNothingOfThem(t *testing.T) {
	for what, then := range map[string]func(*Follower){"rejoins": (*Follower).Rejoin, "is cut off": (*Follower).CutOff} {
		inBubble(t, func(t *testing.T, f *Fake) {
			follower := newFollower(f)
			conn, _, done := connectFake(t, follower.Link, 6*time.Second)
			defer done()
			_, _, fired, err := conn.ExistsW("/p")
			if err != nil {
				t.Fatal(err)
			}
			follower.Deafen()
			begun := time.Now()
			written := make(chan time.Duration, 1)
			go func() {
				_, err := conn.Create("/p", nil, 0, zk.WorldACL(zk.PermAll))
				if err != nil {
					t.Errorf("%s: a write that was carried out: %v", what, err)
				}
				written <- time.Since(begun)
			}()
			elapse(time.Second)
			synctest.Wait()
			wantNode(t, f, "/p", true)
			select {
			case <-fired:
				t.Errorf("%s: the watch fired before the follower heard of the write", what)
			default:
			}
			then(follower)
			if after := <-written; after != time.Second {
				t.Errorf("%s: a write was answered after %v, want 1 s", what, after)
			}
			<-fired
			follower.Rejoin()
		})
	}
}

func TestFakeFollowerTellsAtOnceWhenItRejoins(t *testing.T) {
	const timeout = 6 * time.Second
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(FakeConfig{TickTime: 10 * time.Millisecond, MaxSessionTimeout: timeout})
		defer f.Close()
		follower := newFollower(f)
		_, _, done := connectFake(t, follower.Link, timeout)
		defer done()
		elapse(time.Millisecond)
		follower.CutOff()
		elapse(timeout - 10*time.Millisecond) // pings were answered meanwhile
		follower.Rejoin()
		rejoined := time.Now()
		follower.Freeze()
		elapse(2 * timeout)
		if ended, ok := f.SessionExpiredAt(f.Sessions()[0].ID); !ok || ended.Sub(rejoined) < timeout {
			t.Errorf("the session ended %v after its follower had rejoined, expired %v; want T = %v", ended.Sub(rejoined), ok, timeout)
		}
		follower.Unfreeze()
	})
}

// What a follower sent before it was cut off stands in front of what it sends when it
// can send again: a leader that carries out a later write has counted the list.
func TestFakeFollowerThatCanSendAgainDeliversItsListFirst(t *testing.T) {
	const timeout = 6 * time.Second
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(FakeConfig{TickTime: 10 * time.Millisecond, MaxSessionTimeout: timeout})
		defer f.Close()
		follower := newFollower(f)
		conn, _, done := connectFake(t, follower.Link, timeout)
		defer done()
		elapse(time.Second)
		follower.Deafen()
		if _, _, err := conn.Exists("/"); err != nil {
			t.Fatal(err)
		}
		follower.CutOff() // hears a ping, and answers in vain
		follower.CutOff() // changes nothing
		elapse(2 * time.Second)
		follower.Deafen() // the answer comes through; nothing that was asked since
		counted := time.Now()
		follower.Freeze()
		elapse(2 * timeout)
		ended, ok := f.SessionExpiredAt(f.Sessions()[0].ID)
		if after := ended.Sub(counted); !ok || after < timeout || after > timeout+20*time.Millisecond {
			t.Errorf("the session ended %v after its list came through, expired %v; want T = %v", after, ok, timeout)
		}
		follower.Unfreeze()
		follower.Rejoin()
	})
}
