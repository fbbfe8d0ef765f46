package electiontest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
)

// handover is a transfer under way.
type handover struct {
	to      string
	cancel  context.CancelFunc
	outcome chan error
}

// transfer asks for a transfer over p's access to the backend.
func (c *contest) transfer(t *testing.T, p *player, to string) *handover {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &handover{to: to, cancel: cancel, outcome: make(chan error, 1)}
	c.running.Go(func() {
		defer cancel()
		h.outcome <- p.Driver().Transfer(ctx, to)
	})
	return h
}

// answered waits for a transfer to end and returns its error.
func (c *contest) answered(t *testing.T, h *handover) error {
	t.Helper()
	var err error
	c.await(t, "the transfer to "+h.to, func() { err = <-h.outcome })
	return err
}

// transferred waits for a transfer to succeed.
func (c *contest) transferred(t *testing.T, h *handover) {
	t.Helper()
	if err := c.answered(t, h); err != nil {
		t.Errorf("the transfer to %q: %v", h.to, err)
	}
}

// givesWay waits until a leader is asked to give way, and does.
func (c *contest) givesWay(t *testing.T, h *hold, asked *handover) {
	t.Helper()
	c.isAsked(t, h, asked)
	c.release(t, h)
}

// isAsked waits until a leader is asked to give way.
func (c *contest) isAsked(t *testing.T, h *hold, asked *handover) {
	t.Helper()
	select {
	case <-h.Lost():
	case err := <-asked.outcome:
		if !isLost(h) {
			t.Fatalf("the transfer to %q returned %v while %s leads on", asked.to, err, h.by.id)
		}
		asked.outcome <- err
	case <-time.After(c.patience):
		t.Fatalf("%s has not been asked to give way after %s", h.by.id, c.patience)
	}
	if err := h.Err(); !errors.Is(err, election.ErrResigned) {
		t.Errorf("%s lost with %v when a transfer was asked for, want ErrResigned", h.by.id, err)
	}
}

// undisturbed checks that a leader still leads.
func (c *contest) undisturbed(t *testing.T, h *hold) {
	t.Helper()
	if isLost(h) {
		t.Fatalf("%s has lost its tenure, with %v; nobody should have asked it to give way", h.by.id, h.Err())
	}
	if err := h.by.TryWrite(t, h.Guard()); err != nil {
		t.Errorf("write of %s, who leads: %v", h.by.id, err)
	}
}

func transferToNext(t *testing.T, c *contest) {
	t.Helper()
	a, b, last, onlooker := c.player(t, "a"), c.player(t, "b"), c.player(t, "last"), c.player(t, "onlooker")
	first := c.leads(t, a)
	next := c.waits(t, b, 2)
	c.waits(t, last, 3)
	shown := c.order(t, onlooker, "a", "b", "last")

	asked := c.transfer(t, onlooker, "b")
	c.givesWay(t, first, asked)
	second := c.granted(t, next)
	c.transferred(t, asked)
	now := c.order(t, onlooker, "b", "last")
	if !slices.Equal(now, shown[1:]) {
		t.Errorf("after a transfer to the next the participants are %+v, want the same without the leader: %+v", now, shown[1:])
	}
	c.undisturbed(t, second)
}

func transferOverOthers(t *testing.T, c *contest) {
	t.Helper()
	onlooker := c.player(t, "onlooker")
	a := c.player(t, "a")
	h := c.leads(t, a)
	outcomes := make(chan result, 8) // of all, since the order of b and c is open
	var each *candidacy
	for i, id := range []string{"b", "c", "d", "e"} {
		each = c.campaignInto(t, c.player(t, id), outcomes)
		c.AwaitCandidates(t, i+2)
	}
	asked := c.transfer(t, onlooker, "d")
	c.givesWay(t, h, asked)
	h = c.granted(t, each)
	c.transferred(t, asked)
	c.campaignInto(t, a, outcomes)
	c.AwaitCandidates(t, 5)

	shown := c.participants(t, onlooker)
	if got := ids(shown); !slices.Equal(got, []string{"d", "e", "b", "c", "a"}) && !slices.Equal(got, []string{"d", "e", "c", "b", "a"}) {
		t.Fatalf("after the transfer from a over b and c to d the participants are %q; want d, then e behind it, then b and c in any order, then a", got)
	}
	for i, p := range shown {
		if i > 0 {
			c.release(t, h)
			h = c.granted(t, each)
		}
		if h.by.id != p.ID || h.Guard().Epoch() != p.Epoch {
			t.Errorf("%s leads in epoch %d, want %s in %d as shown", h.by.id, h.Guard().Epoch(), p.ID, p.Epoch)
		}
	}
}

func transferToLeader(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	h := c.leads(t, a)
	c.waits(t, b, 2)
	for _, p := range []*player{a, b} {
		c.transferred(t, c.transfer(t, p, "a"))
	}
	c.undisturbed(t, h)
	c.order(t, a, "a", "b")
}

func transferToUnknown(t *testing.T, c *contest) {
	t.Helper()
	onlooker := c.player(t, "onlooker")
	refused := func(to, when string) {
		t.Helper()
		if err := c.answered(t, c.transfer(t, onlooker, to)); !errors.Is(err, election.ErrNotContending) {
			t.Errorf("the transfer to %q while %s: %v, want ErrNotContending", to, when, err)
		}
	}
	refused("a", "nobody contends")
	refused("", "nobody contends")
	h := c.leads(t, c.player(t, "a"))
	refused("onlooker", "a leads")
	c.waits(t, c.player(t, "b"), 2)
	refused("onlooker", "a leads and b waits")
	c.undisturbed(t, h)
	c.order(t, onlooker, "a", "b")
}

func transferToWhoeverIsNext(t *testing.T, c *contest) {
	t.Helper()
	a, b, onlooker := c.player(t, "a"), c.player(t, "b"), c.player(t, "onlooker")
	h := c.leads(t, a)
	next := c.waits(t, b, 2)
	asked := c.transfer(t, onlooker, "")
	c.givesWay(t, h, asked)
	h = c.granted(t, next)
	c.transferred(t, asked)

	// The last one gives way to nobody.
	asked = c.transfer(t, b, "")
	c.givesWay(t, h, asked)
	c.transferred(t, asked)
	c.AwaitCandidates(t, 0)
	c.leads(t, a)
}

// heldUp asks for a transfer from a over two others to the target, which cannot come
// about while the second of them is out of reach. It returns once the first of them
// has queued again.
func (c *contest) heldUp(t *testing.T) (h *hold, blocking, target *candidacy, asked *handover) {
	t.Helper()
	onlooker := c.player(t, "onlooker")
	h = c.leads(t, c.player(t, "a"))
	c.waits(t, c.player(t, "b"), 2)
	blocking = c.waits(t, c.player(t, "cut off"), 3)
	target = c.waits(t, c.player(t, "target"), 4)
	blocking.by.Disconnect(t)
	asked = c.transfer(t, onlooker, "target")
	c.becomes(t, onlooker, "a", "cut off", "target", "b")
	return h, blocking, target, asked
}

func cancelledTransfer(t *testing.T, c *contest) {
	t.Helper()
	h, blocking, target, asked := c.heldUp(t)
	asked.cancel()
	if err := c.answered(t, asked); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled transfer returned %v, want context.Canceled", err)
	}
	blocking.by.Reconnect(t)
	c.undisturbed(t, h)

	// It left nothing behind that would be in the way of the next one.
	asked = c.transfer(t, target.by, "cut off")
	c.givesWay(t, h, asked)
	h = c.granted(t, blocking)
	c.transferred(t, asked)
	c.order(t, target.by, "cut off", "target", "b")
	c.undisturbed(t, h)

	// A leader that has been told gives way even so.
	asked = c.transfer(t, target.by, "b")
	c.isAsked(t, h, asked)
	asked.cancel()
	if err := c.answered(t, asked); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled transfer returned %v, want context.Canceled", err)
	}
	c.release(t, h)
}

func targetExpires(t *testing.T, c *contest) {
	t.Helper()
	h, blocking, target, asked := c.heldUp(t)
	target.by.Expire(t)
	blocking.by.Reconnect(t)
	// It contends again at once. Whether the transfer finds it gone, or follows it to
	// its new place, is open.
	select {
	case err := <-asked.outcome:
		if !errors.Is(err, election.ErrNotContending) {
			t.Errorf("the transfer to a participant whose session expired: %v, want ErrNotContending", err)
		}
		c.undisturbed(t, h)
	case <-h.Lost():
		c.givesWay(t, h, asked)
		c.granted(t, target)
		c.transferred(t, asked)
	case <-time.After(c.patience):
		t.Fatalf("the transfer to a participant whose session expired has neither ended nor come about after %s", c.patience)
	}
}
