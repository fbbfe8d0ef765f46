package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/rpc"
)

// until is a part that runs until it is stopped and notes that in order.
func until(order chan<- string, name string, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		order <- name
		if err != nil {
			return err
		}
		return ctx.Err()
	}
}

func drain(order chan string) []string {
	close(order)
	var names []string
	for name := range order {
		names = append(names, name)
	}
	return names
}

func TestStackStopsInReverseOrder(t *testing.T) {
	order := make(chan string, maxParts)
	s := newStack(hclog.NewNullLogger())
	for _, name := range []string{"backend", "web", "election"} {
		s.start(t.Context(), name, until(order, name, nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.wait(ctx, nil); err != nil {
		t.Errorf("wait: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got, want := drain(order), []string{"election", "web", "backend"}; !slices.Equal(got, want) {
		t.Errorf("parts ended as %v, want %v", got, want)
	}
}

func TestStackEndsWhenAPartDoes(t *testing.T) {
	broken := errors.New("broken")
	order := make(chan string, maxParts)
	s := newStack(hclog.NewNullLogger())
	s.start(t.Context(), "backend", until(order, "backend", nil))
	s.start(t.Context(), "web", func(context.Context) error { return broken })
	if err := s.wait(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("wait is %v, want the part's error", err)
	}
	if err := s.stop(); !errors.Is(err, broken) {
		t.Errorf("stop is %v, want the part's error", err)
	}
}

func TestStackReportsAPartThatEndsWithoutReason(t *testing.T) {
	s := newStack(hclog.NewNullLogger())
	s.start(t.Context(), "web", func(context.Context) error { return nil })
	if err := s.wait(t.Context(), nil); err == nil {
		t.Error("wait returned nil though a part is gone")
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStackEndsWithWhatIsFatal(t *testing.T) {
	fatal := make(chan error, 1)
	fatal <- errors.New("a job runner panicked")
	s := newStack(hclog.NewNullLogger())
	if err := s.wait(t.Context(), fatal); err == nil || err.Error() != "a job runner panicked" {
		t.Errorf("wait is %v, want the fatal error", err)
	}
}

func TestStackLogsWhereAPanicWas(t *testing.T) {
	for name, panicked := range map[string]error{
		"endpoint": &rpc.PanicError{Endpoint: "worker/a", Value: "boom", Stack: []byte("at its line")},
		"job":      &coordinator.PanicError{Job: "etl", Value: "boom", Stack: []byte("at its line")},
	} {
		var lines strings.Builder
		s := newStack(hclog.New(&hclog.LoggerOptions{Output: &lines}))
		s.start(t.Context(), name, func(context.Context) error { return fmt.Errorf("run: %w", panicked) })
		if err := s.wait(t.Context(), nil); !errors.Is(err, panicked) {
			t.Errorf("%s: wait is %v, want the panic", name, err)
		}
		if !strings.Contains(lines.String(), "at its line") {
			t.Errorf("%s: logged\n%s\nwant the stack", name, lines.String())
		}
	}
}

func TestStackWaitsForNothingWhenATermCannotBeStopped(t *testing.T) {
	overrun := fmt.Errorf("%w of 1s", election.ErrStopGrace)
	order := make(chan string, maxParts)
	held := make(chan struct{})
	told := make(chan struct{})
	s := newStack(hclog.NewNullLogger())
	// A part that does not end, as those that wait for the lost term do not.
	s.start(t.Context(), "worker", func(ctx context.Context) error {
		<-ctx.Done()
		close(told)
		<-held
		return nil
	})
	s.start(t.Context(), "election", until(order, "election", overrun))
	if err := s.stop(); !errors.Is(err, election.ErrStopGrace) {
		t.Errorf("stop is %v, want ErrStopGrace", err)
	}
	<-told
	close(held)
	<-s.parts[0].done
}
