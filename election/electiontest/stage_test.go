package electiontest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/electiontest"
	"github.com/coordd/coordd/leader"
)

// ledger is what a service writes to: a store that asks its backend before it
// stores.
type ledger struct {
	check func(leader.Guard) error

	mu    sync.Mutex
	lines []string
}

func (l *ledger) write(g leader.Guard, line string) error {
	if err := l.check(g); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// biller is the contender under test: it publishes itself and bills every minute.
type biller struct{ ledger *ledger }

func (b *biller) Lead(ctx context.Context, t *election.Term) error {
	if err := t.Publish(ctx, leader.Info{Address: "http://biller"}); err != nil {
		return err
	}
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-minute.C:
			if err := b.ledger.write(t.Guard(), "billed"); err != nil {
				return err
			}
		}
	}
}

func TestBillerBillsOnlyWhileItLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &biller{ledger: &ledger{}}
		stage := electiontest.Rehearse(t, election.Config{StopGrace: time.Second}, b)
		b.ledger.check = stage.Check

		term := stage.Grant()
		<-time.After(10*time.Minute + time.Second) // virtual time
		if n := b.ledger.len(); n != 10 {
			t.Errorf("billed %d times in 10 minutes, want 10", n)
		}
		term.Depose() // somebody else leads, and this process was not told
		if err := term.Wait(); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Lead returned %v, want an error that says it is fenced", err)
		}
		if n := b.ledger.len(); n != 10 {
			t.Errorf("billed %d times, want none after the term's end", n-10)
		}
	})
}

func TestStageGrantsTermAfterTerm(t *testing.T) {
	b := &biller{ledger: &ledger{}}
	published := make(chan leader.Info, 2)
	hooks := election.Hooks{OnPublished: func(i leader.Info) { published <- i }}
	stage := electiontest.Rehearse(t, election.Config{Component: "biller", Hooks: hooks}, b)
	first := stage.Grant()
	want := <-published
	if info, _ := stage.Published("biller"); info != want || info.Epoch != first.Epoch() {
		t.Errorf("%+v is published, want %+v of epoch %d", info, want, first.Epoch())
	}
	if err := first.End(election.ErrSessionExpired); err != nil {
		t.Errorf("Lead returned %v, want nil", err)
	}
	if info, ok := stage.Published("biller"); ok {
		t.Errorf("%+v is published after the term, want nothing", info)
	}
	if second := stage.Grant(); second.Epoch() <= first.Epoch() {
		t.Errorf("epoch %d follows epoch %d, want a larger one", second.Epoch(), first.Epoch())
	}
	if err := stage.Stop(); err != nil {
		t.Errorf("Stop: %v, want nil", err)
	}
}

func TestStageFencesAsTheCauseSays(t *testing.T) {
	for cause, leads := range map[error]bool{ // until Lead has returned
		election.ErrLeaseExpired:   true,
		election.ErrDisconnected:   true,
		election.ErrSessionExpired: false,
		election.ErrNodeDeleted:    false,
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			var stage *electiontest.Stage
			var guard leader.Guard
			var before, after, got error
			written := make(chan struct{}) // Grant returns before Lead has begun
			stage = electiontest.Rehearse(t, election.Config{}, election.ContenderFunc(
				func(ctx context.Context, term *election.Term) error {
					guard = term.Guard()
					before = stage.Check(guard)
					close(written)
					<-ctx.Done()
					after, got = stage.Check(guard), context.Cause(ctx)
					return nil
				}))
			term := stage.Grant()
			<-written
			if err := term.End(cause); err != nil {
				t.Errorf("Lead returned %v, want nil", err)
			}
			if before != nil {
				t.Errorf("a write of the leader: %v, want nil", before)
			}
			if leads != (after == nil) || after != nil && !errors.Is(after, leader.ErrFenced) {
				t.Errorf("a write after the end of the context: %v, want it accepted: %v", after, leads)
			}
			if !errors.Is(got, cause) {
				t.Errorf("the context ended with %v, want %v", got, cause)
			}
			if err := stage.Stop(); err != nil {
				t.Errorf("Stop: %v, want nil", err)
			}
			if err := stage.Check(guard); !errors.Is(err, leader.ErrFenced) {
				t.Errorf("a write after the term: %v, want ErrFenced", err)
			}
		})
	}
}

func TestStageShowsALeadThatDoesNotReturn(t *testing.T) {
	free := make(chan struct{})
	stage := electiontest.Rehearse(t, election.Config{StopGrace: time.Millisecond}, election.ContenderFunc(
		func(context.Context, *election.Term) error { <-free; return nil }))
	term := stage.Grant()
	if err := stage.Stop(); !errors.Is(err, election.ErrStopGrace) {
		t.Errorf("Stop: %v, want ErrStopGrace", err)
	}
	close(free)
	if err := term.Wait(); err != nil {
		t.Errorf("Lead returned %v, want nil", err)
	}
}

func TestStageShowsAFatalError(t *testing.T) {
	broken := errors.New("no such table")
	stage := electiontest.Rehearse(t, election.Config{}, election.ContenderFunc(
		func(context.Context, *election.Term) error { return election.Fatal(broken) }))
	if err := stage.Grant().Wait(); !errors.Is(err, broken) {
		t.Errorf("Lead returned %v, want %v", err, broken)
	}
	if err := stage.Stop(); !errors.Is(err, broken) {
		t.Errorf("Stop: %v, want %v", err, broken)
	}
}

func TestStageRefusesForeignGuards(t *testing.T) {
	stage := electiontest.Rehearse(t, election.Config{}, &biller{ledger: &ledger{}})
	for name, g := range map[string]leader.Guard{"zero": {}, "foreign": leader.NewGuard(1, "x")} {
		if err := stage.Check(g); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("the %s guard: %v, want ErrFenced", name, err)
		}
	}
}
