package election

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
)

func TestJudge(t *testing.T) {
	boom := errors.New("boom")
	lost := fmt.Errorf("%w: at last", ErrSessionExpired)
	fenced := fmt.Errorf("write: %w", leader.ErrFenced)
	b := Backoff{Min: time.Second, Max: time.Minute}
	for _, c := range []struct {
		name     string
		o        outcome
		failures int
		want     verdict
	}{
		{"fatal", outcome{cause: errReturned, err: Fatal(boom)}, 3, verdict{fatal: boom}},
		{"fatal among others", outcome{cause: errReturned, err: errors.Join(boom, Fatal(boom))}, 3, verdict{fatal: boom}},
		{"failed while leading", outcome{cause: errReturned, err: boom}, 2, verdict{failure: boom, failures: 3, rests: 3}},
		{"failed after ready", outcome{cause: errReturned, err: boom, ready: true}, 2, verdict{failure: boom, failures: 1, rests: 1}},
		{"failed after long", outcome{cause: errReturned, err: boom, lasted: time.Hour}, 2, verdict{failure: boom, failures: 1, rests: 1}},
		{"fenced before the tenure knew", outcome{cause: errReturned, err: fenced}, 0, verdict{failure: fenced, failures: 1, rests: 1}},
		{"lost early", outcome{cause: lost, err: context.Canceled}, 1, verdict{failures: 2, rests: 2}},
		{"lost early, told by the store", outcome{cause: lost, err: fenced}, 1, verdict{failures: 2, rests: 2}},
		{"lost after ready", outcome{cause: lost, err: lost, ready: true}, 4, verdict{}},
		{"lost, and failed to stop cleanly", outcome{cause: lost, err: boom, ready: true}, 4, verdict{failure: boom, failures: 1, rests: 1}},
		{"never led", outcome{cause: lost}, 0, verdict{failures: 1, rests: 1}},
		{"resigned", outcome{cause: ErrResigned}, 2, verdict{failures: 2, yields: true}},
		{"resigned after ready", outcome{cause: ErrResigned, ready: true}, 2, verdict{yields: true}},
		{"returned at once", outcome{cause: errReturned}, 5, verdict{failures: 5, rests: 1}},
		{"returned after ready", outcome{cause: errReturned, ready: true}, 5, verdict{yields: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := judge(c.o, c.failures, b)
			if !errors.Is(got.fatal, c.want.fatal) || !errors.Is(got.failure, c.want.failure) ||
				got.failures != c.want.failures || got.rests != c.want.rests || got.yields != c.want.yields {
				t.Errorf("judge(%+v, %d) = %+v, want %+v", c.o, c.failures, got, c.want)
			}
		})
	}
}

func TestPauseStaysWithinItsBounds(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	for _, c := range []struct {
		failures int
		chance   float64
		want     time.Duration
	}{
		{1, 0, 200 * time.Millisecond}, {1, 0.999999999, 100 * time.Millisecond},
		{2, 0, 400 * time.Millisecond}, {2, 0.5, 300 * time.Millisecond},
		{6, 0, 5 * time.Second}, {1000, 0, 5 * time.Second}, {1000, 0.5, 3750 * time.Millisecond},
	} {
		if got := b.pause(c.failures, c.chance).Round(time.Microsecond); got != c.want {
			t.Errorf("pause(%d, %v) = %s, want %s", c.failures, c.chance, got, c.want)
		}
	}
	if got := (Backoff{Min: time.Second, Max: time.Second}).pause(9, 0.9); got != time.Second {
		t.Errorf("pause with equal bounds = %s, want 1s", got)
	}
}
