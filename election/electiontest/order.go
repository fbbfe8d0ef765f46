package electiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/coordd/coordd/leader"
)

func singleContender(t *testing.T, c *contest) {
	t.Helper()
	a := c.player(t, "a")
	h := c.leads(t, a)
	if isLost(h) || h.Err() != nil {
		t.Errorf("lost right after the grant: %v", h.Err())
	}
	for range 3 {
		if err := a.TryWrite(t, h.Guard()); err != nil {
			t.Errorf("write of the leader: %v", err)
		}
	}
	if err := a.TryWrite(t, leader.Guard{}); err == nil {
		t.Error("a write with the zero guard was stored")
	}
	c.AwaitCandidates(t, 1)
	c.release(t, h)
	c.AwaitCandidates(t, 0)
	if err := a.TryWrite(t, h.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write after the release: %v, want leader.ErrFenced", err)
	}
}

func successorAfterRelease(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	if err := a.TryWrite(t, first.Guard()); err != nil {
		t.Errorf("write of the leader while another waits: %v", err)
	}
	c.release(t, first)
	second := c.granted(t, waiting)
	if err := b.TryWrite(t, second.Guard()); err != nil {
		t.Errorf("write of the successor: %v", err)
	}
	if err := a.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write of the former leader: %v, want leader.ErrFenced", err)
	}
	if err := b.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write with the former leader's guard by the successor: %v, want leader.ErrFenced", err)
	}
}

func firstComeFirstServed(t *testing.T, c *contest) {
	t.Helper()
	h := c.leads(t, c.player(t, "first"))
	const waiting = 5
	outcomes := make(chan result, waiting)
	var each *candidacy
	for i := range waiting {
		each = c.campaignInto(t, c.player(t, fmt.Sprintf("waiting-%d", i)), outcomes)
		c.AwaitCandidates(t, i+2)
	}
	for i := range waiting {
		c.release(t, h)
		h = c.granted(t, each)
		if want := fmt.Sprintf("waiting-%d", i); h.by.id != want {
			t.Errorf("%s was granted leadership, want %s, who came before", h.by.id, want)
		}
	}
}

func epochsGrow(t *testing.T, c *contest) {
	t.Helper()
	const terms = 10
	players := c.players(t, "a", "b")
	h := c.leads(t, players[0])
	for i := range terms {
		// Each waits while the other leads; every grant checks the epochs.
		waiting := c.waits(t, players[(i+1)%2], 2)
		c.release(t, h)
		h = c.granted(t, waiting)
	}
	c.release(t, h)
	// The epoch grows as well when nobody was left in between.
	c.AwaitCandidates(t, 0)
	c.leads(t, players[0])
}

func cancelledCampaign(t *testing.T, c *contest) {
	t.Helper()
	players := c.players(t, "a", "cancelled", "c")
	h := c.leads(t, players[0])
	cancelled := c.waits(t, players[1], 2)
	last := c.waits(t, players[2], 3)
	cancelled.cancel()
	if r := c.ended(t, cancelled); !errors.Is(r.err, context.Canceled) {
		t.Errorf("the cancelled campaign returned %v, want context.Canceled", r.err)
	}
	c.AwaitCandidates(t, 2)
	c.release(t, h)
	h = c.granted(t, last)
	// The participant whose campaign was cancelled may contend again.
	again := c.waits(t, players[1], 2)
	c.release(t, h)
	c.granted(t, again)
}

func endedContext(t *testing.T, c *contest) {
	t.Helper()
	a := c.player(t, "a")
	ca := c.campaign(t, a)
	ca.cancel()
	switch r := c.ended(t, ca); {
	case r.hold != nil: // it was granted before
		c.release(t, r.hold)
	case !errors.Is(r.err, context.Canceled):
		t.Errorf("the cancelled campaign returned %v, want context.Canceled", r.err)
	}
	c.AwaitCandidates(t, 0)
	c.leads(t, a)
}
