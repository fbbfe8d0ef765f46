package election

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
)

func TestNewNamesTheFieldItRefuses(t *testing.T) {
	d := newFakeDriver(t)
	for want, cfg := range map[string]Config{
		"Config.ID":          {Driver: d},
		"Config.Driver":      {ID: "a"},
		"Config.StopGrace":   {ID: "a", Driver: d, StopGrace: -1},
		"Config.Backoff.Min": {ID: "a", Driver: d, Backoff: Backoff{Min: 2, Max: 1}},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: error %v, want one that names %s", err, want)
		}
	}
}

func TestLossEndsTheTermWithItsCauseAndContendsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		first := l.grant(1)
		synctest.Wait()
		if s := l.elector.Status(); !s.Leading || s.Epoch != 1 || s.SessionID != u.newest().SessionID() || s.Phase != leader.PhaseElected {
			t.Errorf("status while leading: %+v", s)
		}
		first.lose(ErrSessionExpired)
		synctest.Wait()
		if !errors.Is(u.lastCause(), ErrSessionExpired) || !first.isReleased() {
			t.Errorf("cause %v, released %v; want ErrSessionExpired and a release", u.lastCause(), first.isReleased())
		}
		if s := l.elector.Status(); s.Leading || s.Epoch != 0 || s.Phases != nil {
			t.Errorf("status after the loss: %+v", s)
		}
		old := u.newest()
		l.grant(2)
		synctest.Wait()
		if u.newest().Epoch() != 2 || u.newest().SessionID() == old.SessionID() {
			t.Errorf("second term: epoch %d, session ID reused: %v", u.newest().Epoch(), u.newest().SessionID() == old.SessionID())
		}
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
		if !errors.Is(u.lastCause(), ErrResigned) {
			t.Errorf("cause at the end of Run's context: %v, want ErrResigned", u.lastCause())
		}
	})
}

func TestLeadThatIgnoresItsContextEndsRunWithoutRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		returned := make(chan struct{})
		l := run(t, ContenderFunc(func(context.Context, *Term) error {
			defer close(returned)
			<-let
			return nil
		}))
		f := l.grant(1)
		synctest.Wait()
		began := time.Now()
		f.lose(ErrLeaseExpired)
		err := <-l.ended
		if !errors.Is(err, ErrStopGrace) || !errors.Is(err, ErrLeaseExpired) {
			t.Errorf("Run returned %v, want ErrStopGrace with the cause", err)
		}
		if waited := time.Since(began); waited != grace {
			t.Errorf("Run waited %s for Lead, want %s", waited, grace)
		}
		if f.isReleased() {
			t.Error("the tenure was released although Lead still runs")
		}
		if err := l.elector.Run(t.Context(), &untilEnd{}); !errors.Is(err, ErrStopGrace) {
			t.Errorf("a later Run returned %v, want ErrStopGrace: Lead still runs", err)
		}
		close(let)
		<-returned
		l.cancel()
		if err := l.elector.Run(t.Context(), &untilEnd{}); !errors.Is(err, ErrStopGrace) {
			t.Errorf("a later Run returned %v, want ErrStopGrace: the tenure was never released", err)
		}
	})
}

func TestNoTermBeginsBeforeTheFormerLeadReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		slow := ContenderFunc(func(ctx context.Context, term *Term) error {
			_ = u.Lead(ctx, term)
			timer := time.NewTimer(grace - 1)
			<-timer.C
			return nil
		})
		l := run(t, slow)
		f := l.grant(1)
		synctest.Wait()
		f.lose(ErrSessionExpired)
		synctest.Wait()
		if f.isReleased() || l.count() != 1 {
			t.Errorf("while Lead stops: released %v, campaigns %d; want no release and one campaign", f.isReleased(), l.count())
		}
		l.grant(2) // blocks until the next campaign
		if !f.isReleased() {
			t.Error("the second campaign began before the first tenure was released")
		}
		synctest.Wait()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if u.count() != 2 {
			t.Errorf("%d terms, want 2", u.count())
		}
	})
}

func TestTenureLostBeforeLeadIsReleasedAndNotLed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		f := l.tenure(1)
		f.lose(ErrSessionExpired)
		began := time.Now()
		l.grants <- grantOrError{tenure: f}
		l.grant(2)
		if pause := time.Since(began); pause < DefaultMinBackoff || pause > 2*DefaultMinBackoff {
			t.Errorf("paused %s before contending again, want %s to its double", pause, DefaultMinBackoff)
		}
		synctest.Wait()
		if !f.isReleased() || u.count() != 1 || u.newest().Epoch() != 2 {
			t.Errorf("released %v, terms %d; want the lost tenure released and only the second led", f.isReleased(), u.count())
		}
		_ = l.stop()
	})
}

func TestStopWhileContending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, &untilEnd{})
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
	})
}

func TestStopBeforeStart(t *testing.T) {
	d := newFakeDriver(t)
	e, err := New(Config{ID: "a", Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	e.Resign()
	e.Resign()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if err := e.Run(ctx, &untilEnd{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
	}
	if d.count() != 0 {
		t.Errorf("%d campaigns with an ended context, want none", d.count())
	}
}

func TestStopWhileLeadingReleasesAfterRunsContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, &untilEnd{})
		f := l.tenure(1)
		var usable error
		f.onRelease = func(ctx context.Context) error { usable = ctx.Err(); return nil }
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
		if !f.isReleased() || usable != nil {
			t.Errorf("released %v with a context that had ended: %v", f.isReleased(), usable)
		}
	})
}

func TestReleaseIsBoundedAndItsFailureEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		f := l.tenure(1)
		f.onRelease = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		l.grants <- grantOrError{tenure: f}
		synctest.Wait()
		began := time.Now()
		f.lose(ErrSessionExpired)
		f = l.tenure(2)
		f.onRelease = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		l.grants <- grantOrError{tenure: f}
		if waited := time.Since(began); waited < DefaultReleaseTimeout || waited > DefaultReleaseTimeout+2*DefaultMinBackoff {
			t.Errorf("contended again after %s, want the release timeout %s and a pause", waited, DefaultReleaseTimeout)
		}
		synctest.Wait()
		began = time.Now()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
		if waited := time.Since(began); waited != DefaultReleaseTimeout {
			t.Errorf("stopping took %s, want %s", waited, DefaultReleaseTimeout)
		}
	})
}

func TestStopWhileResting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, ContenderFunc(func(context.Context, *Term) error { return errors.New("no") }))
		l.grant(1)
		synctest.Wait()
		began := time.Now()
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("stopping took %s of the pause", waited)
		}
	})
}

func TestSecondRunIsRefusedWhileTheFirstIsActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		if err := l.elector.Run(t.Context(), u); !errors.Is(err, ErrRunning) {
			t.Errorf("second Run returned %v, want ErrRunning", err)
		}
		_ = l.stop()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.elector.Run(ctx, u); !errors.Is(err, context.Canceled) {
			t.Errorf("Run after the first ended returned %v, want the context's error", err)
		}
	})
}

func TestResignEndsTheTermAndContendsBehindTheSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		l.elector.Resign() // no term
		f := l.grant(1)
		synctest.Wait()
		began := time.Now()
		l.elector.Resign()
		l.elector.Resign()
		l.grant(2)
		if waited := time.Since(began); waited != standBack {
			t.Errorf("contended again after %s, want %s, in which the successor has the backend for itself", waited, standBack)
		}
		if !f.isReleased() || !errors.Is(u.lastCause(), ErrResigned) {
			t.Errorf("released %v, cause %v; want a release and ErrResigned", f.isReleased(), u.lastCause())
		}
		_ = l.stop()
	})
}

func TestFatalErrorReleasesAndEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("newer format")
		l := run(t, ContenderFunc(func(context.Context, *Term) error { return Fatal(broken) }))
		f := l.grant(1)
		err := <-l.ended
		if !errors.Is(err, broken) || err.Error() != broken.Error() {
			t.Errorf("Run returned %v, want %v", err, broken)
		}
		if !f.isReleased() {
			t.Error("the tenure was not released")
		}
		l.cancel()
	})
	if Fatal(nil) != nil {
		t.Error("Fatal(nil) is an error")
	}
}

func TestCampaignThatCannotSucceedEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, &untilEnd{})
		l.grants <- grantOrError{err: errors.New("no rights on /latch")}
		err := <-l.ended
		if err == nil || !strings.Contains(err.Error(), `contend as "a": no rights on /latch`) {
			t.Errorf("Run returned %v, want the driver's error with the participant", err)
		}
		l.cancel()
	})
}

func TestEpochThatWentBackIsNotLed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		l.grant(7)
		synctest.Wait()
		l.elector.Resign()
		f := l.grant(7)
		err := <-l.ended
		if err == nil || !strings.Contains(err.Error(), "went back in time") {
			t.Errorf("Run returned %v, want an error about the epoch", err)
		}
		if !f.isReleased() || u.count() != 1 {
			t.Errorf("released %v, terms %d; want a release and no second term", f.isReleased(), u.count())
		}
		l.cancel()
	})
}

func TestFailingTermsPauseLongerUntilOneIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		publish := false
		l := run(t, ContenderFunc(func(ctx context.Context, term *Term) error {
			if publish {
				if err := term.Publish(ctx, leader.Info{}); err != nil {
					return err
				}
			}
			return errors.New("no")
		}))
		var pauses []time.Duration
		l.grant(1)
		for epoch := leader.Epoch(2); epoch < 12; epoch++ {
			began := time.Now()
			l.grant(epoch)
			pauses = append(pauses, time.Since(began))
		}
		for i, p := range pauses {
			whole := min(longest, DefaultMinBackoff<<(i+1))
			if p < max(DefaultMinBackoff, whole/2) || p > whole {
				t.Errorf("pause %d was %s, want between half and all of %s (%v)", i, p, whole, pauses)
			}
		}
		synctest.Wait()
		publish = true
		l.grant(12)
		synctest.Wait()
		began := time.Now()
		l.grant(13)
		if p := time.Since(began); p > 2*DefaultMinBackoff {
			t.Errorf("pause after a ready term %s, want at most %s", p, 2*DefaultMinBackoff)
		}
		_ = l.stop()
	})
}
