package election_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/internal/stoptest"
	"github.com/coordd/coordd/leader"
)

// hasty grants at once, and every third term is lost at once.
type hasty struct {
	epoch leader.Epoch // belongs to the campaign that is under way
	open  atomic.Int32
	t     *testing.T
}

func (h *hasty) Campaign(ctx context.Context, _ election.Candidate) (election.Tenure, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n := h.open.Add(1); n != 1 {
		h.t.Errorf("%d campaigns and tenures at a time", n)
	}
	h.epoch++
	held := &fleeting{tenure: tenure{guard: leader.NewGuard(h.epoch, h)}, h: h, lost: make(chan struct{})}
	if h.epoch%3 == 0 {
		close(held.lost)
	}
	return held, nil
}

func (*hasty) Participants(context.Context) ([]election.Participant, error) { return nil, nil }
func (*hasty) Transfer(context.Context, string) error                       { return nil }

type fleeting struct {
	tenure
	h    *hasty
	lost chan struct{}
}

func (f *fleeting) Lost() <-chan struct{} { return f.lost }
func (f *fleeting) Err() error            { return election.ErrSessionExpired }

func (f *fleeting) Release(context.Context) error {
	f.h.open.Add(-1)
	return nil
}

func TestElectorCanBeStoppedAtAnyTime(t *testing.T) {
	e, err := election.New(election.Config{ID: "a", Driver: &hasty{t: t}, Backoff: election.Backoff{Min: 1, Max: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var leading atomic.Int32
	lead := election.ContenderFunc(func(ctx context.Context, term *election.Term) error {
		if n := leading.Add(1); n != 1 {
			t.Errorf("%d calls of Lead at a time", n)
		}
		defer leading.Add(-1)
		term.SetPhase(leader.PhaseReady)
		<-ctx.Done()
		return ctx.Err()
	})

	// Others look all the while, and resign: not each term, or nothing else would go on.
	const every = 5
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for changed := e.Changed(); ; changed = e.Changed() {
				if s := e.Status(); s.Leading && s.Epoch%every == 0 {
					e.Resign()
				}
				select {
				case <-changed:
				case <-done:
					return
				}
			}
		})
	}
	for name, run := range map[string]func(context.Context) error{
		"Run": func(ctx context.Context) error { return e.Run(ctx, lead) },
		"Campaign": func(ctx context.Context) error {
			// One that ends by itself is followed by the next, as Run would.
			for {
				err := e.Campaign(ctx, lead)
				if !errors.Is(err, election.ErrSessionExpired) && !errors.Is(err, election.ErrResigned) {
					return err
				}
			}
		},
	} {
		if err := (stoptest.Subject{Run: run, Refusals: []error{election.ErrRunning}}).Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	close(done)
	others.Wait()
	if n := leading.Load(); n != 0 || e.Status().Leading {
		t.Errorf("after the last end %d Leads are running, the status is %+v", n, e.Status())
	}
}
