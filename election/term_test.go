package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
)

func TestPublishFillsInTheTermAndMakesReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u, func(c *Config) { c.Component = leader.Dispatcher })
		f := l.grant(9)
		synctest.Wait()
		term := u.newest()
		err := term.Publish(t.Context(), leader.Info{
			Address: "http://a", RPCAddress: "a:1",
			Component: "forged", ID: "forged", SessionID: "forged", Epoch: 1, Phase: leader.PhaseElected,
		})
		if err != nil {
			t.Fatal(err)
		}
		want := leader.Info{
			Component: leader.Dispatcher, ID: "a", Address: "http://a", RPCAddress: "a:1",
			SessionID: term.SessionID(), Epoch: 9, Since: term.Since(), Phase: leader.PhaseReady,
		}
		if got := f.published(); len(got) != 1 || got[0] != want {
			t.Errorf("published %+v, want %+v", got, want)
		}
		if p := l.elector.Status().Phase; p != leader.PhaseReady {
			t.Errorf("phase %q after Publish, want ready", p)
		}
		_ = l.stop()
	})
}

func TestPublishWhileTheTermIsLostIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		f := l.tenure(1)
		f.onPublish = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		published := make(chan error, 1)
		// Not Lead's context: the loss alone must end it, before the release.
		go func() { published <- u.newest().Publish(context.WithoutCancel(t.Context()), leader.Info{}) }()
		synctest.Wait()
		f.lose(ErrSessionExpired)
		err := <-published
		if !errors.Is(err, leader.ErrFenced) || !errors.Is(err, ErrSessionExpired) {
			t.Errorf("Publish returned %v, want ErrFenced with the cause", err)
		}
		_ = l.stop()
		if err := u.newest().Publish(t.Context(), leader.Info{}); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Publish after the term returned %v, want ErrFenced", err)
		}
	})
}

func TestPublishConfirmedAfterTheLossDoesNotMakeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		f := l.tenure(1)
		f.onPublish = func(context.Context) error { f.lose(ErrLeaseExpired); return nil }
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		if err := u.newest().Publish(t.Context(), leader.Info{}); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Publish returned %v, want ErrFenced", err)
		}
		if s := l.elector.Status(); s.Leading {
			t.Errorf("status %+v, want none", s)
		}
		_ = l.stop()
	})
}

func TestPublishMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		f := l.tenure(1)
		slow := true
		f.onPublish = func(ctx context.Context) error {
			if slow {
				<-ctx.Done()
			}
			return ctx.Err()
		}
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := u.newest().Publish(ctx, leader.Info{})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, leader.ErrFenced) {
			t.Errorf("Publish returned %v, want only the context's error", err)
		}
		if p := l.elector.Status().Phase; p != leader.PhaseElected {
			t.Errorf("phase %q after a failed Publish, want elected", p)
		}
		slow = false
		if err := u.newest().Publish(t.Context(), leader.Info{}); err != nil {
			t.Errorf("second Publish: %v", err)
		}
		_ = l.stop()
	})
}

func TestPublishFromAForgottenGoroutineDelaysTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		published := make(chan error, 1)
		l := run(t, ContenderFunc(func(ctx context.Context, term *Term) error {
			go func() { published <- term.Publish(context.WithoutCancel(ctx), leader.Info{}) }()
			<-ctx.Done()
			return nil
		}))
		f := l.tenure(1)
		f.onPublish = func(ctx context.Context) error {
			<-ctx.Done()
			timer := time.NewTimer(grace / 2)
			<-timer.C
			return ctx.Err()
		}
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		l.cancel()
		synctest.Wait()
		if f.isReleased() {
			t.Error("released while a Publish was under way")
		}
		if err := <-published; !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Publish returned %v, want ErrFenced", err)
		}
		if err := <-l.ended; !errors.Is(err, context.Canceled) || !f.isReleased() {
			t.Errorf("Run returned %v, released %v", err, f.isReleased())
		}
	})
}

func TestSetPhaseAfterTheTermDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		l.grant(1)
		synctest.Wait()
		old := u.newest()
		l.elector.Resign()
		l.grant(2)
		synctest.Wait()
		old.SetPhase(leader.PhaseReady)
		if s := l.elector.Status(); s.Phase != leader.PhaseElected || len(s.Phases) != 1 {
			t.Errorf("an old term changed the phase of the new one: %+v", s)
		}
		_ = l.stop()
	})
}
