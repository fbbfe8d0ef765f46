package election

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/leader"
)

func TestStatusEndsWithTheTenureEvenBeforeTheElectorNotices(t *testing.T) {
	d := newFakeDriver(t)
	f := d.tenure(1)
	e, err := New(Config{ID: "a", Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	_, g := e.newGrant(t.Context(), f)
	defer g.cancel(nil)
	e.board.show(g, "x")
	f.lose(ErrLeaseExpired)
	if e.Status().Leading {
		t.Error("the status says leading although the tenure was lost")
	}
}

func TestHooksSeeEachTermOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var elected []Status
		var published []leader.Info
		var lost []error
		l := run(t, ContenderFunc(func(ctx context.Context, term *Term) error {
			if err := term.Publish(ctx, leader.Info{Address: "http://x"}); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}), func(c *Config) {
			c.Hooks = Hooks{
				OnElected:   func(s Status) { elected = append(elected, s) },
				OnPublished: func(i leader.Info) { published = append(published, i) },
				OnLost:      func(cause error) { lost = append(lost, cause) },
			}
		})
		f := l.grant(3)
		synctest.Wait()
		f.lose(ErrDisconnected)
		synctest.Wait()
		if len(elected) != 1 || !elected[0].Leading || elected[0].Epoch != 3 {
			t.Errorf("OnElected saw %+v", elected)
		}
		if len(published) != 1 || published[0].Address != "http://x" || published[0].Phase != leader.PhaseReady {
			t.Errorf("OnPublished saw %+v", published)
		}
		if len(lost) != 1 || !errors.Is(lost[0], ErrDisconnected) {
			t.Errorf("OnLost saw %v", lost)
		}
		_ = l.stop()
	})
}

func TestHookThatBlocksDelaysNeitherLossNorGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		led := false
		l := run(t, ContenderFunc(func(ctx context.Context, _ *Term) error { led = true; return ctx.Err() }),
			func(c *Config) { c.Hooks.OnElected = func(Status) { <-let } })
		f := l.grant(1)
		synctest.Wait()
		f.lose(ErrSessionExpired)
		if err := <-l.ended; !errors.Is(err, ErrStopGrace) {
			t.Errorf("Run returned %v, want ErrStopGrace", err)
		}
		close(let)
		synctest.Wait()
		if !led {
			t.Error("Lead was not called after the hook returned")
		}
		l.cancel()
	})
}

func TestChangedTellsOfEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		changed := l.elector.Changed()
		f := l.grant(1)
		<-changed
		synctest.Wait()
		changed = l.elector.Changed()
		u.newest().SetPhase(leader.PhaseRecovering)
		<-changed
		if p := l.elector.Status().Phase; p != leader.PhaseRecovering {
			t.Errorf("phase %q, want recovering", p)
		}
		changed = l.elector.Changed()
		f.lose(ErrSessionExpired)
		<-changed
		if l.elector.Status().Leading {
			t.Error("leading after the loss")
		}
		_ = l.stop()
	})
}
