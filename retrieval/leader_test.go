package retrieval

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/leader"
)

// announcements are what one ListenLeader was called with.
type announcements struct {
	heard []string
	stop  context.CancelFunc
	ended chan error
}

// announce starts a ListenLeader of the retriever. Each call waits for gate, nil for
// none.
func (l *lab) announce(t *testing.T, gate <-chan struct{}) *announcements {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	a := &announcements{stop: stop, ended: make(chan error, 1)}
	go func() {
		a.ended <- l.r.ListenLeader(ctx, func(i leader.Info, leads bool) {
			if !leads {
				i.Address = "nobody"
			}
			a.heard = append(a.heard, string(i.SessionID)+" "+i.Address)
			if gate != nil {
				<-gate
			}
		})
	}()
	synctest.Wait()
	return a
}

func (a *announcements) close(t *testing.T, want ...string) {
	t.Helper()
	a.stop()
	if err := <-a.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ListenLeader returned %v, want the context's error", err)
	}
	if !slices.Equal(a.heard, want) {
		t.Errorf("heard of %q, want %q", a.heard, want)
	}
}

func TestListenLeaderAnnouncesOtherLeadersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		a := l.announce(t, nil)
		one, two := info(1, "s1", "x"), info(2, "s2", "x")
		moved := two
		moved.Address = "y"
		l.say(reached)
		l.say(none(1))
		l.say(none(2)) // only the index
		l.say(known(one, 3))
		l.say(known(one, 3)) // again
		l.say(known(two, 5)) // another term at the same address
		l.say(known(one, 6)) // from a server that is behind
		for range 2 {        // the backend is lost and found
			l.say(Observation{})
			l.say(reached)
			l.say(known(two, 5))
		}
		l.say(known(moved, 7))
		l.say(known(two, 5)) // where it was before
		l.say(none(9))
		l.say(Observation{})
		l.say(none(9))
		l.say(known(moved, 7)) // from a server that is behind
		a.close(t, " nobody", "s1 x", "s2 x", "s2 y", " nobody")
		l.close(t)
	})
}

func TestListenLeaderHearsWhatChangedWhileTheBackendWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		a := l.announce(t, nil)
		l.say(known(info(1, "s1", "x"), 3))
		l.say(Observation{})
		l.say(reached)
		l.say(known(info(2, "s2", "x"), 5))
		l.say(Observation{})
		l.say(reached)
		l.say(none(2)) // from a server that is behind
		l.say(known(info(2, "s2", "x"), 5))
		l.say(none(8))
		a.close(t, "s1 x", "s2 x", " nobody")
		l.close(t)
	})
}

func TestListenLeaderBeginsWithWhatWasConfirmedLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		first := l.announce(t, nil)
		l.say(reached)
		l.say(Observation{})
		first.close(t) // nothing, without an answer

		l.say(known(info(1, "s1", "x"), 3))
		l.say(Observation{})
		away := l.announce(t, nil)
		l.say(known(info(1, "s1", "x"), 3))
		away.close(t, "s1 x")

		l.say(none(4))
		l.say(Observation{})
		l.announce(t, nil).close(t, " nobody")
		l.close(t)
	})
}

// What an earlier Run has learned still counts: each Run may have another session.
func TestListenLeaderAnnouncesNothingOldInALaterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		a := l.announce(t, nil)
		l.say(known(info(2, "s2", "x"), 5))
		l.close(t)
		ctx, stop := context.WithCancel(t.Context())
		go func() { l.ended <- l.r.Run(ctx) }()
		l.say(reached)
		l.say(known(info(1, "s1", "x"), 3))
		l.say(known(info(2, "s2", "x"), 5))
		a.close(t, "s2 x")
		stop()
		if err := <-l.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the later Run returned %v, want the context's error", err)
		}
	})
}

func TestSlowListenLeaderDelaysNobodyAndFindsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		let := make(chan struct{})
		l.say(known(info(1, "s1", "x"), 1))
		slow, quick := l.announce(t, let), l.announce(t, nil)
		l.say(known(info(2, "s2", "x"), 2))
		l.say(known(info(3, "s3", "x"), 3))
		l.say(Observation{}) // what was confirmed last is still told
		close(let)
		synctest.Wait()
		slow.close(t, "s1 x", "s3 x")
		quick.close(t, "s1 x", "s2 x", "s3 x")
		l.close(t)
	})
}

func TestListenLeaderWithAnEndedContextCallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		l.say(none(1))
		ctx, stop := context.WithCancel(t.Context())
		stop()
		err := l.r.ListenLeader(ctx, func(leader.Info, bool) { t.Error("the listener was called") })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ListenLeader returned %v, want the context's error", err)
		}
		l.close(t)
	})
}

// Each of 10,000 listeners of either kind comes to the newest leader, and all that
// the backend sees is the one Follow of the Retriever.
func TestTenThousandListenersComeToTheNewestLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const listeners, terms = 10_000, 5
		l := follow(t)
		ctx, stop := context.WithCancel(t.Context())
		newest := make([]leader.Epoch, listeners) // each is its listener's own
		ended := make(chan error, listeners)
		hear := func(i int, epoch leader.Epoch) {
			if epoch < newest[i] {
				t.Errorf("listener %d heard of epoch %d after %d", i, epoch, newest[i])
			}
			newest[i] = epoch
		}
		for i := range listeners {
			go func() {
				if i%2 == 0 {
					ended <- l.r.ListenLeader(ctx, func(now leader.Info, _ bool) { hear(i, now.Epoch) })
					return
				}
				ended <- l.r.Listen(ctx, ListenerFunc(func(s State) { hear(i, s.Info.Epoch) }))
			}()
		}
		synctest.Wait()
		for epoch := leader.Epoch(1); epoch <= terms; epoch++ {
			l.says <- known(info(epoch, epoch.String(), "http://x"), int64(epoch))
		}
		synctest.Wait()
		for i, epoch := range newest {
			if epoch != terms {
				t.Fatalf("listener %d knows epoch %d, want %d", i, epoch, terms)
			}
		}
		stop()
		for range listeners {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatalf("a listener ended with %v, want the context's error", err)
			}
		}
		l.close(t)
	})
}
