package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// More requests than go-zookeeper's queue holds, so that some are in it and some
// wait before it.
const manyRequests = 40

func TestFinding02NothingOfAnExpiredSessionRunsInAnotherOne(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s := connect(t, link)
		heal := cut(t, link, s)
		results := make(chan error, manyRequests)
		for i := range manyRequests {
			go func() {
				results <- s.Create(t.Context(), fmt.Sprintf("/late-%d", i), nil, zookeeper.Persistent)
			}()
		}
		read := background(func() error { _, _, err := s.Get(t.Context(), "/"); return err })
		synctest.Wait()
		fake.ExpireSession(s.ID())
		heal()
		<-s.Done()
		wantErr(t, "reason", s.Err(), zookeeper.ErrExpired)
		for range manyRequests {
			wantErr(t, "queued create", <-results, zookeeper.ErrExpired)
		}
		err := <-read
		wantErr(t, "queued read", err, zookeeper.ErrExpired)
		if errors.Is(err, zookeeper.ErrUnknownOutcome) {
			t.Errorf("queued read: error %v, want none that wraps %v", err, zookeeper.ErrUnknownOutcome)
		}
		wantErr(t, "later create", s.Create(t.Context(), "/late", nil, zookeeper.Persistent), zookeeper.ErrExpired)
		wantErr(t, "later watch", second(s.Children(t.Context(), "/")), zookeeper.ErrExpired)

		elapse(10 * timeout)
		if n := fake.Count(zookeepertest.OpCreate); n != 0 {
			t.Errorf("%d creates of an expired session ran, want none", n)
		}
		if n := len(fake.Sessions()); n != 1 {
			t.Errorf("%d sessions, want 1: a Conn has one session", n)
		}
		if state, _ := s.State(); state != zookeeper.Ended {
			t.Errorf("state %v, want %v", state, zookeeper.Ended)
		}
	})
}

// second drops the values beside an error.
func second[A, B any](_ A, _ B, err error) error { return err }

func TestRequestsThatWereSentWhenTheSessionEndedAreUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s := connect(t, link)
		link.Freeze(zookeepertest.ToClient)
		sent := background(func() error { return s.Create(t.Context(), "/sent", nil, zookeeper.Persistent) })
		synctest.Wait()
		s.Abandon()
		wantErr(t, "create", <-sent, zookeeper.ErrUnknownOutcome, zookeeper.ErrExpired)
		if _, exists := fake.Node("/sent"); !exists {
			t.Error("the create was not carried out, which the test is about")
		}
	})
}

func TestReadsWaitThroughASuspension(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s := connect(t, link)
		must(t, s.Create(within(t), "/x", []byte("1"), zookeeper.Persistent))
		heal := cut(t, link, s)
		data := background(func() string {
			data, _, err := s.Get(t.Context(), "/x")
			must(t, err)
			return string(data)
		})
		names := background(func() bool {
			names, _, err := s.Children(t.Context(), "/")
			must(t, err)
			return slices.Contains(names, "x")
		})
		elapse(timeout / 2)
		if len(data)+len(names) > 0 {
			t.Error("answered without a connection")
		}
		heal()
		if got := <-data; got != "1" {
			t.Errorf("data %q, want %q", got, "1")
		}
		if !<-names {
			t.Error("the children of / lack x")
		}
	})
}

// A read whose reply is lost is asked again.
func TestReadsAreAskedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		must(t, s.Create(within(t), "/x", []byte("1"), zookeeper.Persistent))
		lost := fake.DropReplyOf(func(r zookeepertest.Request) bool { return r.Op == zookeepertest.OpGetData })
		data, _, err := s.Get(within(t), "/x")
		must(t, err)
		if string(data) != "1" || !closed(lost) {
			t.Errorf("data %q and a lost reply %v, want %q after one", data, closed(lost), "1")
		}
	})
}

func TestFinding08AnOperationWhoseContextEndsWhileSuspendedSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		link := fake.NewLink()
		s := connect(t, link)
		defer cut(t, link, s)()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := s.Get(ctx, "/x")
		wantErr(t, "get", err, zookeeper.ErrSuspended, context.DeadlineExceeded)
		write := s.Create(ctx, "/x", nil, zookeeper.Persistent)
		wantErr(t, "create that was never sent", write, context.DeadlineExceeded)
		if errors.Is(write, zookeeper.ErrUnknownOutcome) {
			t.Errorf("create that was never sent: error %v, want none that wraps %v", write, zookeeper.ErrUnknownOutcome)
		}
	})
}

func TestASessionWithoutAConnectionEndsAfterTwiceItsTimeout(t *testing.T) {
	for name, silence := range map[string]func(*zookeepertest.Link){
		"refused": func(l *zookeepertest.Link) { l.Refuse(true); l.Drop() },
		"frozen":  func(l *zookeepertest.Link) { l.Drop(); l.Freeze() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
				link := fake.NewLink()
				s := connect(t, link)
				_, _, fired, err := s.Watch(within(t), "/x")
				must(t, err)
				start := time.Now()
				silence(link)
				<-s.Done()
				if took := time.Since(start); took < 2*timeout || took > 2*timeout+time.Second {
					t.Errorf("given up after %v, want %v", took, 2*timeout)
				}
				wantErr(t, "reason", s.Err(), zookeeper.ErrExpired)
				<-fired // so do its watches
			})
		})
	}
}

func TestFinding11CloseEndsTheSessionAtTheServerAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		must(t, s.Create(within(t), "/e", nil, zookeeper.Ephemeral))
		start := time.Now()
		must(t, s.Close())
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("Close took %v, want next to nothing", took)
		}
		if info := fake.Sessions()[0]; info.Ended.IsZero() || info.Expired {
			t.Errorf("session %+v at the server, want it closed", info)
		}
		if _, exists := fake.Node("/e"); exists {
			t.Error("the ephemeral node outlived its session")
		}
		wantErr(t, "reason", s.Err(), zookeeper.ErrClosed)
		must(t, s.Close()) // again is harmless
		s.Abandon()
		wantErr(t, "reason after all", s.Err(), zookeeper.ErrClosed)
	})
}

func TestFinding11CloseNeverTakesLong(t *testing.T) {
	for name, test := range map[string]struct {
		disturb func(t *testing.T, l *zookeepertest.Link, s *zookeeper.Session)
		want    error
	}{
		"frozen": {
			func(_ *testing.T, l *zookeepertest.Link, _ *zookeeper.Session) { l.Freeze() },
			zookeeper.ErrUnknownOutcome,
		},
		"cut": {
			func(t *testing.T, l *zookeepertest.Link, s *zookeeper.Session) { cut(t, l, s) },
			zookeeper.ErrSuspended,
		},
		"frozen handshake": {
			func(t *testing.T, l *zookeepertest.Link, s *zookeeper.Session) {
				cut(t, l, s)
				l.Freeze()
				l.Refuse(false)
				elapse(time.Second)
			},
			zookeeper.ErrSuspended,
		},
	} {
		for _, requests := range []int{0, manyRequests} {
			t.Run(fmt.Sprintf("%s with %d requests", name, requests), func(t *testing.T) {
				inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
					link := fake.NewLink()
					s := connect(t, link)
					test.disturb(t, link, s)
					results := make(chan error, requests)
					for range requests {
						go func() { results <- s.Delete(t.Context(), "/x", -1) }()
					}
					synctest.Wait()
					start := time.Now()
					err := s.Close()
					if took := time.Since(start); took > 3*time.Second {
						t.Errorf("Close took %v, want 3 s at most", took)
					}
					wantErr(t, "close", err, test.want)
					for range requests {
						wantErr(t, "request", <-results, zookeeper.ErrClosed)
					}
				})
			})
		}
	}
}

func TestAbandonLeavesTheSessionToItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		s := connect(t, fake)
		must(t, s.Create(within(t), "/e", nil, zookeeper.Ephemeral))
		s.Abandon() // takes up to a second
		elapse(timeout - 2*tick)
		if _, exists := fake.Node("/e"); !exists {
			t.Error("the server was told")
		}
		elapse(3 * tick)
		if _, expired := fake.SessionExpiredAt(s.ID()); !expired {
			t.Error("the session outlives its time-out")
		}
	})
}

func TestWhileKeepsTheSessionUntilWhatItDoesHasReturned(t *testing.T) {
	inBubble(t, func(t *testing.T, fake *zookeepertest.Fake) {
		client, err := zookeeper.New(config(fake))
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		done := errors.New("done")
		err = client.While(ctx, func(ctx context.Context) error {
			s, err := client.Session(ctx)
			if err != nil {
				return err
			}
			stop()
			<-ctx.Done()
			if err := s.Create(context.WithoutCancel(ctx), "/last", nil, zookeeper.Persistent); err != nil {
				t.Errorf("a write after the end of the context: %v, want none", err)
			}
			return done
		})
		if !errors.Is(err, done) {
			t.Errorf("While returned %v, want what its function did", err)
		}
		sessions := fake.Sessions()
		if len(sessions) != 1 || sessions[0].Ended.IsZero() || sessions[0].Expired {
			t.Errorf("sessions %+v after While, want one, closed", sessions)
		}
	})
}
