package electiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// elector returns an Elector whose stop grace is the given part of the session
// time-out. A busy machine may take long to let Lead return, and a long grace
// makes the lease short.
func (c *contest) elector(t *testing.T, p *player, part time.Duration) *election.Elector {
	t.Helper()
	e, err := election.New(election.Config{
		ID: p.id, Driver: p.Driver(), Component: "x", StopGrace: c.SessionTimeout() / part,
		Backoff: election.Backoff{Min: time.Millisecond, Max: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func manyElectors(t *testing.T, c *contest) {
	t.Helper()
	const electors, terms = 5, 15
	ctx, stop := context.WithTimeout(t.Context(), c.patience)
	defer stop()
	var leading, led atomic.Int64
	var mu sync.Mutex
	var newest leader.Epoch

	var running sync.WaitGroup
	for i := range electors {
		p := c.player(t, fmt.Sprintf("elector-%d", i))
		e := c.elector(t, p, 4) // a term that is lost early is led again
		lead := func(ctx context.Context, term *election.Term) error {
			if n := leading.Add(1); n != 1 {
				t.Errorf("%d participants lead at a time", n)
			}
			defer leading.Add(-1)
			mu.Lock()
			if term.Epoch() <= newest {
				t.Errorf("epoch %d after epoch %d", term.Epoch(), newest)
			}
			newest = max(newest, term.Epoch())
			mu.Unlock()
			if err := term.Publish(ctx, leader.Info{Address: "http://" + p.id}); err != nil {
				return err
			}
			if err := p.TryWrite(t, term.Guard()); err != nil && ctx.Err() == nil {
				t.Errorf("write of the leader %s: %v", p.id, err)
			}
			if led.Add(1) >= terms {
				stop()
			}
			return nil
		}
		running.Go(func() {
			if err := e.Run(ctx, election.ContenderFunc(lead)); !errors.Is(err, ctx.Err()) {
				t.Errorf("Run of %s returned %v, want %v", p.id, err, ctx.Err())
			}
		})
	}
	c.await(t, "the electors to end", running.Wait)
	if n := led.Load(); n < terms {
		t.Errorf("%d terms in %s, want %d", n, c.patience, terms)
	}
	c.AwaitCandidates(t, 0)
}

func electorEndToEnd(t *testing.T, c *contest) {
	t.Helper()
	p := c.player(t, "a")
	e := c.elector(t, p, 8)
	type event struct {
		epoch leader.Epoch
		cause error // nil: it has published
	}
	events := make(chan event, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	c.running.Go(func() {
		ended <- e.Run(ctx, election.ContenderFunc(func(ctx context.Context, term *election.Term) error {
			if err := term.Publish(ctx, leader.Info{Address: "http://a"}); err != nil {
				return err
			}
			events <- event{epoch: term.Epoch()}
			<-ctx.Done()
			events <- event{term.Epoch(), context.Cause(ctx)}
			return nil
		}))
	})
	next := func() event {
		t.Helper()
		select {
		case ev := <-events:
			return ev
		case err := <-ended:
			ended <- err
			select {
			case ev := <-events: // it came before the end
				return ev
			default:
				t.Fatalf("Run ended early: %v", err)
				return event{}
			}
		case <-time.After(c.patience):
			t.Fatalf("nothing happened for %s", c.patience)
			return event{}
		}
	}

	first := next()
	if got, ok := c.Published(t, "x"); !ok || got.Epoch != first.epoch || got.Address != "http://a" {
		t.Errorf("published %+v, %v; want the elector's info of epoch %d", got, ok, first.epoch)
	}
	p.Expire(t)
	if end := next(); !errors.Is(end.cause, election.ErrSessionExpired) {
		t.Errorf("the term ended with %v, want ErrSessionExpired", end.cause)
	}
	if second := next(); second.cause != nil || second.epoch <= first.epoch {
		t.Errorf("second term: %+v, want an epoch larger than %d", second, first.epoch)
	}
	stop()
	if end := next(); !errors.Is(end.cause, election.ErrResigned) {
		t.Errorf("the term ended with %v, want ErrResigned", end.cause)
	}
	var err error
	c.await(t, "Run to end", func() { err = <-ended })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
	c.AwaitCandidates(t, 0)
	c.showsNone(t, "x")
}
