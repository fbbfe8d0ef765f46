package election

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
)

// campaign starts a Campaign of the lab's Elector, whose former Run or Campaign has
// ended.
func (l *lab) campaign(t *testing.T, c Contender) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	go func() { l.ended <- l.elector.Campaign(ctx, c) }()
	synctest.Wait()
}

// idle is a lab whose Elector has not started.
func idle(t *testing.T) *lab {
	t.Helper()
	d := newFakeDriver(t)
	e, err := New(Config{ID: "a", Driver: d, StopGrace: grace})
	if err != nil {
		t.Fatal(err)
	}
	return &lab{fakeDriver: d, elector: e, cancel: func() {}, ended: make(chan error, 1)}
}

func TestCampaignReturnsWhatLeadReturnedAndContendsNoMore(t *testing.T) {
	boom := errors.New("boom")
	for name, want := range map[string]error{"nil": nil, "an error": boom, "a fatal error": Fatal(boom), "an echo": leader.ErrFenced} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := idle(t)
				l.campaign(t, ContenderFunc(func(context.Context, *Term) error { return want }))
				f := l.grant(1)
				began := time.Now()
				if err := <-l.ended; !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("Campaign returned %v, want %v", err, want)
				}
				if waited := time.Since(began); waited != 0 {
					t.Errorf("Campaign returned %s after Lead, want at once", waited)
				}
				if !f.isReleased() || l.count() != 1 {
					t.Errorf("released %v, %d campaigns; want a release and one campaign", f.isReleased(), l.count())
				}
				l.cancel()
			})
		})
	}
}

func TestCampaignReturnsWhyItsTermEnded(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		end  func(*lab, *fakeTenure)
		lead error
		want []error
	}{
		"expired":                       {func(_ *lab, f *fakeTenure) { f.lose(ErrSessionExpired) }, nil, []error{ErrSessionExpired}},
		"lease, and Lead repeats it":    {func(_ *lab, f *fakeTenure) { f.lose(ErrLeaseExpired) }, context.Canceled, []error{ErrLeaseExpired}},
		"resigned":                      {func(l *lab, _ *fakeTenure) { l.elector.Resign() }, nil, []error{ErrResigned}},
		"deleted, and Lead failed":      {func(_ *lab, f *fakeTenure) { f.lose(ErrNodeDeleted) }, boom, []error{ErrNodeDeleted, boom}},
		"stopped":                       {func(l *lab, _ *fakeTenure) { l.cancel() }, nil, []error{context.Canceled}},
		"stopped, and Lead failed":      {func(l *lab, _ *fakeTenure) { l.cancel() }, boom, []error{context.Canceled, boom}},
		"stopped, and Lead says Fatal":  {func(l *lab, _ *fakeTenure) { l.cancel() }, Fatal(ErrResigned), []error{context.Canceled, ErrResigned}},
		"lost and then told to stop it": {func(l *lab, f *fakeTenure) { f.lose(ErrSessionExpired); synctest.Wait(); l.cancel() }, nil, []error{ErrSessionExpired}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := idle(t)
				l.campaign(t, ContenderFunc(func(ctx context.Context, _ *Term) error { <-ctx.Done(); return c.lead }))
				f := l.grant(3)
				synctest.Wait()
				c.end(l, f)
				err := <-l.ended
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("Campaign returned %v, want one that wraps %v", err, want)
					}
				}
				if err == nil || !strings.Contains(err.Error(), `lead as "a" in epoch 3: `) {
					t.Errorf("Campaign returned %v, want an error that names participant and epoch", err)
				}
				if !f.isReleased() || l.count() != 1 {
					t.Errorf("released %v, %d campaigns; want a release and one campaign", f.isReleased(), l.count())
				}
				l.cancel()
			})
		})
	}
}

func TestCampaignWhoseTenureWasLostBeforeLeadSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := idle(t)
		u := &untilEnd{}
		l.campaign(t, u)
		f := l.tenure(1)
		f.lose(ErrSessionExpired)
		l.grants <- grantOrError{tenure: f}
		if err := <-l.ended; !errors.Is(err, ErrSessionExpired) {
			t.Errorf("Campaign returned %v, want ErrSessionExpired", err)
		}
		if !f.isReleased() || u.count() != 0 {
			t.Errorf("released %v, Lead called %d times; want a release and no call", f.isReleased(), u.count())
		}
		l.cancel()
	})
}

func TestCampaignStoppedWhileContendingReturnsItsContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := idle(t)
		l.campaign(t, &untilEnd{})
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Campaign returned %v, want context.Canceled", err)
		}
	})
}

func TestCampaignAndRunExcludeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := idle(t)
		l.campaign(t, u)
		if err := l.elector.Run(t.Context(), u); !errors.Is(err, ErrRunning) {
			t.Errorf("Run beside a Campaign returned %v, want ErrRunning", err)
		}
		_ = l.stop()
		l = run(t, u)
		if err := l.elector.Campaign(t.Context(), u); !errors.Is(err, ErrRunning) {
			t.Errorf("Campaign beside a Run returned %v, want ErrRunning", err)
		}
		_ = l.stop()
	})
}

func TestCampaignThatOverranItsGraceIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		l := idle(t)
		l.campaign(t, ContenderFunc(func(context.Context, *Term) error { <-let; return nil }))
		f := l.grant(1)
		synctest.Wait()
		f.lose(ErrLeaseExpired)
		if err := <-l.ended; !errors.Is(err, ErrStopGrace) || !errors.Is(err, ErrLeaseExpired) {
			t.Errorf("Campaign returned %v, want ErrStopGrace with the cause", err)
		}
		if f.isReleased() {
			t.Error("the tenure was released although Lead still runs")
		}
		if err := l.elector.Campaign(t.Context(), &untilEnd{}); !errors.Is(err, ErrStopGrace) {
			t.Errorf("the next Campaign returned %v, want ErrStopGrace", err)
		}
		close(let)
		synctest.Wait()
		l.cancel()
	})
}

func TestEpochsAreComparedAcrossCampaignsAndRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		l.grant(7)
		synctest.Wait()
		_ = l.stop()

		l.campaign(t, u)
		f := l.grant(6)
		if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "granted epoch 6 after epoch 7") {
			t.Errorf("Campaign returned %v, want an error that names both epochs", err)
		}
		if !f.isReleased() || u.count() != 1 {
			t.Errorf("released %v, terms %d; want a release and only the first term", f.isReleased(), u.count())
		}
		l.cancel()

		l.campaign(t, u)
		l.grant(8)
		synctest.Wait()
		_ = l.stop()
		l.campaign(t, u)
		l.grant(8)
		if err := <-l.ended; err == nil || !strings.Contains(err.Error(), "granted epoch 8 after epoch 8") {
			t.Errorf("Campaign returned %v, want an error that names both epochs", err)
		}
		l.cancel()
	})
}

// A transfer ends a term like a resignation: the participant has done nothing wrong.
func TestTransferredLeaderContendsAgainWithoutTheBackoffOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &untilEnd{}
		l := run(t, u)
		for epoch := leader.Epoch(1); epoch < 20; epoch++ {
			began := time.Now()
			f := l.grant(epoch)
			if waited := time.Since(began); waited >= DefaultMinBackoff {
				t.Fatalf("contended again %s after transfer %d, want less than the shortest back-off %s", waited, epoch-1, DefaultMinBackoff)
			}
			synctest.Wait()
			f.lose(fmt.Errorf("%w: a transfer was asked for", ErrResigned))
			synctest.Wait()
			if !errors.Is(u.lastCause(), ErrResigned) || !f.isReleased() {
				t.Fatalf("cause %v, released %v; want ErrResigned and a release", u.lastCause(), f.isReleased())
			}
		}
		if err := l.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}
