package electiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coordd/coordd/leader"
)

// info returns what a term publishes.
func info(h *hold, session leader.SessionID, component, address string) leader.Info {
	return leader.Info{
		Component: component, ID: h.by.id, Address: address, RPCAddress: "127.0.0.1:1",
		SessionID: session, Epoch: h.Guard().Epoch(),
		Since: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC), Phase: leader.PhaseReady,
	}
}

// publish publishes, which must succeed.
func (c *contest) publish(t *testing.T, h *hold, infos ...leader.Info) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), c.patience)
	defer cancel()
	if err := h.Publish(ctx, infos...); err != nil {
		t.Fatalf("publish by %s: %v", h.by.id, err)
	}
}

// shows checks what is published for the components of the infos.
func (c *contest) shows(t *testing.T, infos ...leader.Info) {
	t.Helper()
	for _, want := range infos {
		if got, ok := c.Published(t, want.Component); !ok || got != want {
			t.Errorf("published for %s: %+v, %v; want %+v", want.Component, got, ok, want)
		}
	}
}

// showsNone checks that nothing is published for the components.
func (c *contest) showsNone(t *testing.T, components ...string) {
	t.Helper()
	for _, name := range components {
		if got, ok := c.Published(t, name); ok {
			t.Errorf("published for %s: %+v, want nothing", name, got)
		}
	}
}

func publishAndRelease(t *testing.T, c *contest) {
	t.Helper()
	h := c.leads(t, c.player(t, "a"))
	c.showsNone(t, "x", "y", "z")
	session := leader.NewSessionID()
	x, y := info(h, session, "x", "http://x"), info(h, session, "y", "http://y")
	c.publish(t, h, x, y)
	c.shows(t, x, y)

	// More may follow, and the same one again with another address.
	z, moved := info(h, session, "z", "http://z"), info(h, session, "x", "http://moved")
	c.publish(t, h, z)
	c.publish(t, h, moved)
	c.shows(t, moved, y, z)

	c.release(t, h)
	c.showsNone(t, "x", "y", "z")
}

func publishReplaces(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	c.publish(t, first, info(first, leader.NewSessionID(), "x", "http://same"))
	waiting := c.waits(t, b, 2)
	c.expire(t, first)
	second := c.granted(t, waiting)
	x := info(second, leader.NewSessionID(), "x", "http://same")
	c.publish(t, second, x)
	c.shows(t, x)
	// What the former leader does now must not disturb the info.
	_ = c.lost(t, first)
	_ = c.giveUp(t, first)
	c.shows(t, x)
}

func infosEndWithSession(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	c.publish(t, first, info(first, leader.NewSessionID(), "x", "http://a"))
	waiting := c.waits(t, b, 2)
	c.expire(t, first)
	c.granted(t, waiting)
	c.showsNone(t, "x")
}

func publishContext(t *testing.T, c *contest) {
	t.Helper()
	h := c.leads(t, c.player(t, "a"))
	x := info(h, leader.NewSessionID(), "x", "http://x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	c.await(t, "Publish with an ended context", func() { err = h.Publish(ctx, x) })
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Publish with an ended context returned %v, want context.Canceled", err)
	}
	c.publish(t, h, x)
	c.shows(t, x)
}

func publishAfterLoss(t *testing.T, c *contest) {
	t.Helper()
	a, b := c.player(t, "a"), c.player(t, "b")
	first := c.leads(t, a)
	waiting := c.waits(t, b, 2)
	c.expire(t, first)
	_ = c.lost(t, first)
	var err error
	c.await(t, "Publish after the loss", func() {
		err = first.Publish(t.Context(), info(first, leader.NewSessionID(), "x", "http://a"))
	})
	if !errors.Is(err, leader.ErrFenced) {
		t.Errorf("Publish after the loss returned %v, want leader.ErrFenced", err)
	}
	c.granted(t, waiting)
	c.showsNone(t, "x")
}
