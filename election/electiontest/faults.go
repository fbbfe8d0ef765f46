package electiontest

import (
	"errors"
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

func expiredLeader(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	c.expire(t, first)
	if err := c.lost(t, first); !errors.Is(err, election.ErrSessionExpired) {
		t.Errorf("the expired leader lost with %v, want ErrSessionExpired", err)
	}
	second := c.granted(t, waiting)
	if err := b.TryWrite(t, second.Guard()); err != nil {
		t.Errorf("write of the successor: %v", err)
	}
	for _, p := range []*player{a, b} {
		if err := p.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("write with the expired leader's guard by %s: %v, want leader.ErrFenced", p.id, err)
		}
	}
	_ = c.giveUp(t, first)
	again := c.waits(t, a, 2)
	c.release(t, second)
	c.granted(t, again)
}

func disconnectedLeader(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	a.Disconnect(t)
	second := c.granted(t, waiting) // which checks that the first was lost by then
	checkDisconnected(t, c.lost(t, first))
	if err := b.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write with the disconnected leader's guard: %v, want leader.ErrFenced", err)
	}
	a.Reconnect(t)
	if err := a.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write of the former leader after it reconnected: %v, want leader.ErrFenced", err)
	}
	_ = c.giveUp(t, first)
	again := c.waits(t, a, 2)
	c.release(t, second)
	c.granted(t, again)
}

func releaseWhileDisconnected(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	a.Disconnect(t)
	checkDisconnected(t, c.lost(t, first))
	_ = c.giveUp(t, first) // may say that it could not remove the candidacy
	a.Reconnect(t)
	c.granted(t, waiting)
}

func checkDisconnected(t *testing.T, err error) {
	t.Helper()
	for _, want := range []error{election.ErrLeaseExpired, election.ErrDisconnected, election.ErrSessionExpired} {
		if errors.Is(err, want) {
			return
		}
	}
	t.Errorf("the disconnected leader lost with %v, want ErrLeaseExpired, ErrDisconnected or ErrSessionExpired", err)
}

func removedLeader(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	c.remove(t, first)
	if err := c.lost(t, first); !errors.Is(err, election.ErrNodeDeleted) {
		t.Errorf("the leader whose candidacy was removed lost with %v, want ErrNodeDeleted", err)
	}
	if err := a.TryWrite(t, first.Guard()); !errors.Is(err, leader.ErrFenced) {
		t.Errorf("write of the leader whose candidacy was removed: %v, want leader.ErrFenced", err)
	}
	_ = c.giveUp(t, first)
	second := c.granted(t, waiting)
	again := c.waits(t, a, 2)
	c.release(t, second)
	c.granted(t, again)
}

func removedWaiting(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	b.RemoveCandidacy(t)
	c.release(t, first)
	second := c.granted(t, waiting)
	if err := b.TryWrite(t, second.Guard()); err != nil {
		t.Errorf("write of the successor: %v", err)
	}
}

func disconnectedWaiting(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	b.Disconnect(t)
	b.Reconnect(t)
	c.release(t, first)
	c.granted(t, waiting)
}

func expiredWaiting(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	b.Expire(t)
	c.release(t, first)
	second := c.granted(t, waiting)
	if err := b.TryWrite(t, second.Guard()); err != nil {
		t.Errorf("write of the successor: %v", err)
	}
}
