package electiontest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/coordd/coordd/election"
)

// runs runs an Elector until stop, which waits for its end.
func (c *contest) runs(t *testing.T, e *election.Elector, lead election.ContenderFunc) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c.running.Go(func() {
		defer cancel()
		ended <- e.Run(ctx, lead)
	})
	return func() {
		t.Helper()
		cancel()
		var err error
		c.await(t, "Run to end", func() { err = <-ended })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
	}
}

func untilEnd(ctx context.Context, _ *election.Term) error {
	<-ctx.Done()
	return nil
}

func leaderTransfersItself(t *testing.T, c *contest) {
	t.Helper()
	a, b, last := c.player(t, "a"), c.player(t, "b"), c.player(t, "last")
	e := c.elector(t, a, 8)
	begun, let := make(chan struct{}), make(chan struct{})
	answer := make(chan error, 1)
	stop := c.runs(t, e, func(ctx context.Context, _ *election.Term) error {
		select {
		case <-begun:
			<-ctx.Done() // a later term
			return nil
		default:
			close(begun)
		}
		select {
		case <-let:
			answer <- e.Transfer(ctx, "last")
		case <-ctx.Done():
			answer <- context.Cause(ctx)
		}
		return context.Cause(ctx)
	})
	c.await(t, "a to lead", func() { <-begun })
	c.waits(t, b, 2)
	target := c.waits(t, last, 3)
	close(let)
	var err error
	c.await(t, "the leader's own transfer", func() { err = <-answer })
	if !errors.Is(err, context.Canceled) && !errors.Is(err, election.ErrResigned) {
		t.Errorf("the leader's own transfer returned %v, want its context's error or cause, since it was told to stop", err)
	}
	h := c.granted(t, target)
	c.AwaitCandidates(t, 3)
	c.order(t, b, "last", "b", "a")
	c.undisturbed(t, h)
	stop()
	c.AwaitCandidates(t, 2)
}

func transfersAtOnce(t *testing.T, c *contest) {
	t.Helper()
	names := []string{"a", "b", "c", "d"}
	players := c.players(t, names...)
	var stops []func()
	for i, p := range players {
		stops = append(stops, c.runs(t, c.elector(t, p, 8), untilEnd))
		c.AwaitCandidates(t, i+1)
	}
	const rounds = 3
	for range rounds {
		// Nobody is asked to lead twice: who has just given way contends again only
		// after a moment.
		asked := []*handover{c.transfer(t, players[0], "b"), c.transfer(t, players[3], "c"), c.transfer(t, players[3], "d")}
		for _, h := range asked {
			c.transferred(t, h)
		}
		c.AwaitCandidates(t, len(players))
		got := ids(c.participants(t, players[0]))
		if got[0] == "a" {
			t.Errorf("after transfers from a to b, c and d the participants are %q, want another one first", got)
		}
		if slices.Sort(got); !slices.Equal(got, names) {
			t.Errorf("after transfers at once %q contend, want each of %q once", got, names)
		}
		c.transferred(t, c.transfer(t, players[0], "a"))
		c.AwaitCandidates(t, len(players))
	}
	for _, stop := range stops {
		stop()
	}
	c.AwaitCandidates(t, 0)
}
