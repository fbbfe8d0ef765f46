package electiontest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
)

// soon is the time-out of a call that must end with it. Nothing is asserted on how
// long that takes.
const soon = 100 * time.Millisecond

// again is the pause between two looks at what no channel tells of.
const again = 5 * time.Millisecond

// participants reads who contends, over p's access to the backend.
func (c *contest) participants(t *testing.T, p *player) []election.Participant {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), c.patience)
	defer cancel()
	all, err := p.Driver().Participants(ctx)
	if err != nil {
		t.Fatalf("%s cannot read the participants: %v", p.id, err)
	}
	return all
}

// order checks who contends, and returns the participants.
func (c *contest) order(t *testing.T, p *player, want ...string) []election.Participant {
	t.Helper()
	all := c.participants(t, p)
	if got := ids(all); !slices.Equal(got, want) {
		t.Errorf("%s sees the participants %q, want %q", p.id, got, want)
	}
	return all
}

// becomes waits until the participants are as wanted.
func (c *contest) becomes(t *testing.T, p *player, want ...string) {
	t.Helper()
	late := time.After(c.patience)
	for {
		got := ids(c.participants(t, p))
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-time.After(again):
		case <-late:
			t.Fatalf("%s sees the participants %q after %s, want %q", p.id, got, c.patience, want)
		}
	}
}

func ids(all []election.Participant) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.ID
	}
	return names
}

func participantsInOrder(t *testing.T, c *contest) {
	t.Helper()
	a, b, last, onlooker := c.player(t, "a"), c.player(t, "b"), c.player(t, "last"), c.player(t, "onlooker")
	c.order(t, onlooker)
	before := c.newest
	h := c.leads(t, a)
	next := c.waits(t, b, 2)
	behind := c.waits(t, last, 3)

	var shown []election.Participant
	for _, p := range []*player{onlooker, a, last} {
		shown = c.order(t, p, "a", "b", "last")
	}
	for i, p := range shown {
		if p.Foreign || p.Since.IsZero() || p.Epoch <= before {
			t.Errorf("participant %d is %+v, want one of this implementation, since some time, with an epoch above %d", i, p, before)
		}
		if i > 0 && p.Since.Before(shown[i-1].Since) {
			t.Errorf("%s contends since %s, before %s, who came earlier", p.ID, p.Since, shown[i-1].Since)
		}
		before = p.Epoch
	}
	for i, next := range []*candidacy{nil, next, behind} {
		if next != nil {
			c.release(t, h)
			h = c.granted(t, next)
		}
		if got := h.Guard().Epoch(); got != shown[i].Epoch {
			t.Errorf("%s leads in epoch %d, but was shown with %d", h.by.id, got, shown[i].Epoch)
		}
		now := c.order(t, onlooker, ids(shown[i:])...)
		if len(now) > 0 && (now[0].Epoch != shown[i].Epoch || !now[0].Since.Equal(shown[i].Since)) {
			t.Errorf("the leader is shown as %+v, want it as it was while it waited: %+v", now[0], shown[i])
		}
	}
	c.release(t, h)
	c.order(t, onlooker)
}

func participantsOutOfReach(t *testing.T, c *contest) {
	t.Helper()
	p := c.player(t, "a")
	h := c.leads(t, p)
	c.excuse(h)
	p.Disconnect(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var err error
	c.await(t, "the participants, out of reach", func() { _, err = p.Driver().Participants(ctx) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("reading the participants out of reach: %v, want the context's error", err)
	}
	p.Reconnect(t)
	c.participants(t, p)
}
