package stoptest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckAcceptsWhatStops(t *testing.T) {
	errBusy := errors.New("busy")
	var running atomic.Bool
	s := Subject{Refusals: []error{errBusy}, Run: func(ctx context.Context) error {
		if !running.CompareAndSwap(false, true) {
			return errBusy
		}
		defer running.Store(false)
		<-ctx.Done()
		return ctx.Err()
	}}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check of what stops as it should: %v", err)
	}
}

func TestCheckFindsWhatDoesNotStopWell(t *testing.T) {
	var calls atomic.Int32
	for name, c := range map[string]struct {
		run  func(ctx context.Context) error
		want string
	}{
		"returns nil": {func(ctx context.Context) error { <-ctx.Done(); return nil }, "stopped before the start, round 0: run returned <nil>"},
		"ends early": {func(ctx context.Context) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return errors.New("no")
		}, "run returned no"},
		"cannot be started again": {func(ctx context.Context) error {
			if calls.Add(1) > rounds+3 {
				return errors.New("used up")
			}
			<-ctx.Done()
			return ctx.Err()
		}, "stopped at once or in its course, round 3: run returned used up"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := (Subject{Run: c.run}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check: %v, want an error that says %q", err, c.want)
			}
		})
	}
}

func TestCheckFindsWhatDoesNotEnd(t *testing.T) {
	let := make(chan struct{})
	ended := make(chan struct{})
	s := Subject{Patience: time.Millisecond, Run: func(context.Context) error { <-let; close(ended); return nil }}
	if err := s.Check(t.Context()); !errors.Is(err, ErrStuck) {
		t.Errorf("Check: %v, want ErrStuck", err)
	}
	close(let)
	<-ended
}
