package coordinator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// gateFunc is a Gate.
type gateFunc func(context.Context, leader.Guard) error

// Pass implements Gate.
func (f gateFunc) Pass(ctx context.Context, g leader.Guard) error { return f(ctx, g) }

func TestATermThatCannotPassAGateReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"a"}, nil, nil)
		commits := w.backend.log()
		shut := errors.New("the gate is shut")
		var passed []string
		gate := func(name string, err error) Gate {
			return gateFunc(func(_ context.Context, g leader.Guard) error {
				if g.Epoch() != 2 {
					t.Errorf("gate %s got the guard of epoch %d, want 2", name, g.Epoch())
				}
				passed = append(passed, name)
				return err
			})
		}
		r := w.coordinator()
		r.cfg.Gates = []Gate{gate("first", nil), gate("second", shut), gate("third", nil)}
		reads := 0
		w.backend.set(func(context.Context, string, string) error { reads++; return nil })
		term := &fakeTerm{epoch: 2}
		l := w.lead(term)
		if err := <-l.done; !errors.Is(err, shut) || !strings.Contains(err.Error(), "cannot lead") {
			t.Errorf("Lead returned %v, want that it cannot lead as the gate is shut", err)
		}
		if got := strings.Join(passed, " "); got != "first second" {
			t.Errorf("went through gates %q, want the first two", got)
		}
		if reads != 0 || len(w.backend.log()) != len(commits) || w.dispatchers() != 0 || len(term.publications()) != 0 {
			t.Errorf("%d store calls, %d commits, %d dispatchers, %d publications; want none",
				reads, len(w.backend.log())-len(commits), w.dispatchers(), len(term.publications()))
		}
	})
}
