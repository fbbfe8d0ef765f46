package rpc

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFarewellIsSaidBeforeHangingUpAndHoldsUpNothing(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		var said atomic.Int32
		s.goodbye = func(ctx context.Context, _ string) { <-ctx.Done(); said.Add(1) }
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.do(func() { s.conn.SetTarget(target(2)) })
		s.saw("0s: connected to s1, 1", "0s: lost to s1: another leader is followed", "0s: connected to s2, 1")
		var gone <-chan struct{}
		s.do(func() { gone = s.conn.Close(errors.New("end")) })
		<-gone
		synctest.Wait() // the other one ends in the same instant
		if said.Load() != 2 || time.Since(s.begun) != farewellTimeout {
			t.Errorf("said %d farewells within %v, want 2 within %v", said.Load(), time.Since(s.begun), farewellTimeout)
		}
		s.saw("0s: lost to s2: end")
		s.do(func() {
			if slices.Sort(s.hungUp); !slices.Equal(s.hungUp, []string{"to s1", "to s2"}) {
				t.Errorf("hung up %v", s.hungUp)
			}
			s.conn.SetTarget(target(3))
			s.conn.Reconnect(nil)
			<-s.conn.Close(nil)
		})
		s.after(time.Hour)
		s.saw() // it is closed
	})
}

func TestFarewellIsSaidToWhoMayHaveAcceptedARegistrationThatIsGivenUp(t *testing.T) {
	for name, accepts := range map[string]error{"an answer that is lost": context.Canceled, "a late answer": nil} {
		t.Run(name, func(t *testing.T) {
			play(t, Retry{Timeout: time.Minute, MaxTimeout: time.Minute}, func(s *scene) {
				var said atomic.Int32
				s.answer = func(ctx context.Context, _ string, _ Target) (int, error) { <-ctx.Done(); return 1, accepts }
				s.goodbye = func(context.Context, string) { <-time.After(time.Second); said.Add(1) }
				s.do(func() { s.conn.SetTarget(target(1)) })
				var gone <-chan struct{}
				s.do(func() { gone = s.conn.Close(errors.New("end")) })
				<-gone
				if said.Load() != 1 || time.Since(s.begun) != time.Second {
					t.Errorf("said %d farewells after %v, want one after 1 s", said.Load(), time.Since(s.begun))
				}
				s.saw() // it was not connected
				s.do(func() {
					if !slices.Equal(s.hungUp, []string{"to s1"}) {
						t.Errorf("hung up %v, want the one that was given up", s.hungUp)
					}
				})
			})
		})
	}
}

func TestClosedConnectionIsGoneWhenFarewellWasSaidToWhoHadJustAccepted(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		accepts, busy, closed := make(chan struct{}), make(chan struct{}), make(chan (<-chan struct{}), 1)
		s.answer = func(context.Context, string, Target) (int, error) { <-accepts; return 1, nil }
		var said atomic.Bool
		s.goodbye = func(context.Context, string) { <-time.After(time.Second); said.Store(true) }
		s.do(func() { s.conn.SetTarget(target(1)) })
		_ = s.loop.Tell(func() { <-busy })
		_ = s.loop.Tell(func() { closed <- s.conn.Close(errors.New("end")) })
		close(accepts)
		synctest.Wait() // the answer is there, and not heard yet
		close(busy)
		<-<-closed
		if !said.Load() {
			t.Error("the connection is gone before farewell was said")
		}
		synctest.Wait()
		s.saw()
		s.do(func() {
			if len(s.hungUp) != 1 {
				t.Errorf("hung up %v, want once", s.hungUp)
			}
		})
	})
}
