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

func TestGroupIsReadyWhenItsLastMemberPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &untilEnd{}, &untilEnd{}
		l := run(t, Group{"a": a, "b": b})
		f := l.grant(4)
		synctest.Wait()
		if s := l.elector.Status(); len(s.Phases) != 2 || s.Phase != leader.PhaseElected {
			t.Errorf("status at first %+v, want two elected components", s)
		}
		if a.newest().SessionID() != b.newest().SessionID() || a.newest().Component() != "a" || b.newest().Component() != "b" {
			t.Error("the members do not share one term, each with its component")
		}
		if err := a.newest().Publish(t.Context(), leader.Info{Address: "http://a"}); err != nil {
			t.Fatal(err)
		}
		if s := l.elector.Status(); s.Phase != leader.PhaseElected || s.Phases["a"] != leader.PhaseReady {
			t.Errorf("status with one of two published: %+v, want elected", s)
		}
		if err := b.newest().Publish(t.Context(), leader.Info{Address: "http://b"}); err != nil {
			t.Fatal(err)
		}
		if s := l.elector.Status(); s.Phase != leader.PhaseReady {
			t.Errorf("status with all published: %+v, want ready", s)
		}
		if got := f.published(); len(got) != 2 || got[0].Component != "a" || got[1].Component != "b" {
			t.Errorf("published %+v, want a and b", got)
		}
		_ = l.stop()
	})
}

func TestGroupPublishesOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		announce := ContenderFunc(func(ctx context.Context, term *Term) error {
			if err := term.Publish(ctx, leader.Info{}); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		})
		l := run(t, Group{"a": announce, "b": announce, "c": announce})
		f := l.tenure(1)
		f.onPublish = func(context.Context) error { // the fake checks for overlap
			timer := time.NewTimer(time.Second)
			<-timer.C
			return nil
		}
		l.grants <- grantOrError{tenure: f}
		for l.elector.Status().Phase != leader.PhaseReady {
			<-l.elector.Changed()
		}
		if got := len(f.published()); got != 3 {
			t.Errorf("%d infos published, want 3", got)
		}
		_ = l.stop()
	})
}

func TestGroupMemberThatFailsEndsTheTermForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		other := &untilEnd{}
		var returned error
		g := Group{"bad": ContenderFunc(func(context.Context, *Term) error { return boom }), "good": other}
		l := run(t, ContenderFunc(func(ctx context.Context, term *Term) error {
			returned = g.Lead(ctx, term)
			return returned
		}))
		f := l.grant(1)
		synctest.Wait()
		if !errors.Is(returned, boom) || returned.Error() != `component "bad": boom` {
			t.Errorf("the group returned %v, want only the failed member's error", returned)
		}
		if !errors.Is(other.lastCause(), ErrResigned) || !strings.Contains(other.lastCause().Error(), `"bad"`) {
			t.Errorf("cause of the other member: %v, want one that names the failed member", other.lastCause())
		}
		if !f.isReleased() {
			t.Error("the tenure was not released")
		}
		_ = l.stop()
	})
}

func TestGroupMemberThatReturnsEndsTheTermWithoutFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		other := &untilEnd{}
		l := run(t, Group{"done": ContenderFunc(func(ctx context.Context, _ *Term) error {
			select {
			case <-let:
			case <-ctx.Done():
			}
			return nil
		}), "other": other})
		f := l.grant(1)
		synctest.Wait()
		close(let)
		synctest.Wait()
		if !f.isReleased() || other.lastCause() == nil {
			t.Errorf("released %v, cause of the other member %v", f.isReleased(), other.lastCause())
		}
		_ = l.stop()
	})
}

func TestGroupWhoseMembersReturnAtOnceDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := run(t, Group{"done": ContenderFunc(func(context.Context, *Term) error { return nil })})
		l.grant(1)
		began := time.Now()
		l.grant(2)
		if pause := time.Since(began); pause < DefaultMinBackoff || pause > 2*DefaultMinBackoff {
			t.Errorf("paused %s before contending again, want %s to its double", pause, DefaultMinBackoff)
		}
		_ = l.stop()
	})
}

func TestGroupMemberThatHangsAfterAnotherFailedOverrunsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		l := run(t, Group{
			"bad":  ContenderFunc(func(context.Context, *Term) error { return errors.New("boom") }),
			"hung": ContenderFunc(func(context.Context, *Term) error { <-let; return nil }),
		})
		f := l.grant(1)
		if err := <-l.ended; !errors.Is(err, ErrStopGrace) {
			t.Errorf("Run returned %v, want ErrStopGrace", err)
		}
		if f.isReleased() {
			t.Error("released while a member still runs")
		}
		close(let)
		synctest.Wait()
		l.cancel()
	})
}

func TestGroupThatCannotLeadIsFatal(t *testing.T) {
	for want, g := range map[string]Group{
		"no members":        {},
		"no component name": {"": &untilEnd{}},
		`"a"`:               {"a": nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := run(t, g)
			l.grant(1)
			if err := <-l.ended; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Run returned %v, want an error about %s", err, want)
			}
			l.cancel()
		})
	}
}
