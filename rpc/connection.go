package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
)

// farewellTimeout is how long a Farewell may take.
const farewellTimeout = 5 * time.Second

// ConnectionConfig says how a component connects to a leader and what it does then. G
// is the gateway, R what the leader answers to a registration. All functions that begin
// with On are called on the loop and must not block.
type ConnectionConfig[G, R any] struct {
	// Name says in logs whose connection it is.
	Name string
	// Dial connects. Required.
	Dial Dial[G]
	// Register registers at the leader, on a goroutine of the loop. It is called again
	// after a lost answer. An ErrRejected is final for the target; other errors are
	// not. Required.
	Register func(ctx context.Context, gateway G, t Target) (R, error)
	// OnConnected is told of each connection, once it is registered. Required.
	OnConnected func(c Connected[G, R])
	// Serve is what the component does while it is connected, on a goroutine of the loop
	// that begins after OnConnected. ctx ends when the connection is over; an error that
	// it returns before gives the connection up as Reconnect does. It is hung up when Serve
	// has returned. Nil: nothing is done.
	Serve func(ctx context.Context, c Connected[G, R]) error
	// OnLost is told that the connection of which OnConnected was told last is over.
	// Required.
	OnLost func(c Connected[G, R], reason error)
	// OnFailed is told of each error or refusal after which it is tried again. Nil:
	// nobody is.
	OnFailed func(t Target, err error)
	// OnRejected is told that the target will never accept the registration. Nothing
	// more happens until another target is set, or Reconnect. Nil: nobody is.
	OnRejected func(t Target, err error)
	// Farewell is called on a goroutine of the loop when a connection is over, or a
	// registration is given up that the other side may have accepted, before it is hung
	// up, so that the other side need not wait for a heartbeat. Nil: nothing is.
	Farewell func(ctx context.Context, gateway G, reason error)
	// Retry says how it is tried again.
	Retry Retry
	// Logger is told of failures, at FailureLevel; of many in a row at that of debugging.
	// Nil: no logs.
	Logger hclog.Logger
	// FailureLevel is Warn when it is zero.
	FailureLevel hclog.Level
}

// Connected is a connection to a target at which the component is registered.
type Connected[G, R any] struct {
	Target  Target
	Gateway G
	Reply   R
}

// Connection keeps a component connected to a leader and registered there, also when
// that changes. It lives on a loop: its methods are called there only, by its call-backs
// too. Package doc shows its states.
type Connection[G, R any] struct {
	loop Loop
	cfg  ConnectionConfig[G, R]

	target Target // zero: none
	state  connectionState
	// attempt is the registration under way, the only one whose answer counts.
	attempt *work
	current *live[G, R] // while connected
}

// live is a connection that is registered.
type live[G, R any] struct {
	Connected[G, R]
	hangUp  func()
	serving *work // Serve; nil without it
}

type connectionState int

const (
	idle connectionState = iota // no target
	connecting
	connected
	rejected
	closed
)

// ErrSuperseded is the reason of OnLost when another target was set, or none.
var ErrSuperseded = errors.New("another leader is followed")

// NewConnection returns a connection without a target.
func NewConnection[G, R any](l Loop, cfg ConnectionConfig[G, R]) (*Connection[G, R], error) {
	if l == nil || cfg.Dial == nil || cfg.Register == nil || cfg.OnConnected == nil || cfg.OnLost == nil {
		return nil, errors.New("rpc: a connection needs a loop, Dial, Register, OnConnected and OnLost")
	}
	if err := cfg.Retry.validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.FailureLevel == hclog.NoLevel {
		cfg.FailureLevel = hclog.Warn
	}
	if cfg.OnRejected == nil {
		cfg.OnRejected = func(Target, error) {}
	}
	if cfg.OnFailed == nil {
		cfg.OnFailed = func(Target, error) {}
	}
	cfg.Retry = cfg.Retry.withDefaults()
	cfg.Logger = cfg.Logger.With("connection", cfg.Name)
	return &Connection[G, R]{loop: l, cfg: cfg}, nil
}

// SetTarget follows another leader, none when t is zero. The same target, whatever has
// become of it, changes nothing.
func (c *Connection[G, R]) SetTarget(t Target) {
	check(c.loop)
	if c.state == closed || t == c.target {
		return
	}
	_, told := c.leave(ErrSuperseded)
	c.target = t
	c.start(0)
	told()
}

// Reconnect gives the connection up, if there is one, and begins again after
// Retry.Pause. It is for who sees that the other side has forgotten the component, or
// does not answer it.
func (c *Connection[G, R]) Reconnect(reason error) {
	check(c.loop)
	if c.state == closed || c.state == idle {
		return
	}
	_, told := c.leave(reason)
	c.start(c.cfg.Retry.Pause)
	told()
}

// Close gives the connection up, for good. gone is closed when the farewell is over;
// who stops a loop waits for it elsewhere, if the other side should know.
func (c *Connection[G, R]) Close(reason error) (gone <-chan struct{}) {
	check(c.loop)
	gone, told := c.leave(reason)
	c.state, c.target = closed, Target{}
	told()
	return gone
}

// Target returns what is followed, zero for none.
func (c *Connection[G, R]) Target() Target { return c.target }

// Current returns the connection, if there is one.
func (c *Connection[G, R]) Current() (Connected[G, R], bool) {
	if c.current == nil {
		return Connected[G, R]{}, false
	}
	return c.current.Connected, true
}

// start begins to register at the target, after a pause.
func (c *Connection[G, R]) start(after time.Duration) {
	if c.target == (Target{}) {
		c.state = idle
		return
	}
	c.state = connecting
	t := c.target
	var own *work
	failed := func(err error) {
		_ = c.loop.Tell(func() { // if it has ended, nobody is to be told
			if own == c.attempt {
				c.cfg.OnFailed(t, err)
			}
		})
	}
	own = begin(c.loop, func(ctx context.Context) {
		if after > 0 && pause(ctx, after) != nil {
			return
		}
		r, taken := registration[G, R]{c.cfg}, make(chan struct{})
		got, err := r.run(ctx, t, failed)
		heard := c.loop.Tell(func() { c.answered(own, t, got, err, taken) })
		switch {
		case err != nil:
		case heard != nil: // the loop has ended: nobody needs what there is
			got.hangUp()
		case !awaited(ctx, taken):
			_ = r.givenUp(ctx, got.gateway)
			got.hangUp()
		}
	})
	c.attempt = own
}

// awaited reports whether what came of a registration is taken, and false when ctx ends
// because it was superseded, or with the loop.
func awaited(ctx context.Context, taken <-chan struct{}) bool {
	select {
	case <-taken:
		return true
	case <-ctx.Done():
	}
	select {
	case <-taken: // before that
		return true
	default:
		return false
	}
}

// answered takes what came of a registration, unless it was superseded.
func (c *Connection[G, R]) answered(from *work, t Target, got registered[G, R], err error, taken chan<- struct{}) {
	switch {
	case from != c.attempt:
	case err == nil:
		close(taken)
		own := &live[G, R]{Connected: Connected[G, R]{t, got.gateway, got.reply}, hangUp: got.hangUp}
		c.attempt, c.state, c.current = nil, connected, own
		c.cfg.OnConnected(own.Connected)
		if own == c.current && c.cfg.Serve != nil {
			c.serve(own)
		}
	case errors.Is(err, ErrRejected):
		c.attempt, c.state = nil, rejected
		c.cfg.OnRejected(t, fmt.Errorf("register %s at %v: %w", c.cfg.Name, t, err))
	}
}

// serve begins Serve, and gives the connection up when that fails.
func (c *Connection[G, R]) serve(own *live[G, R]) {
	own.serving = begin(c.loop, func(ctx context.Context) {
		if err := c.cfg.Serve(ctx, own.Connected); err != nil {
			_ = c.loop.Tell(func() { // if it has ended, so has the connection
				if own == c.current {
					c.Reconnect(err)
				}
			})
		}
	})
}

// leave ends an attempt or a connection. The caller calls told when it is in its next
// state: the component may set another target there.
func (c *Connection[G, R]) leave(reason error) (gone <-chan struct{}, told func()) {
	attempt, was := c.attempt, c.current
	c.attempt, c.current = nil, nil
	if attempt != nil {
		attempt.stop(reason)
		return attempt.ended, func() {}
	}
	done := make(chan struct{})
	if was == nil {
		close(done)
		return done, func() {}
	}
	was.serving.stop(reason)
	end := func(ctx context.Context) {
		defer close(done)
		defer was.hangUp()
		if was.serving != nil {
			<-was.serving.ended
		}
		c.cfg.farewell(ctx, was.Gateway, reason)
	}
	if begin(c.loop, end) == nil {
		was.hangUp()
		close(done)
	}
	return done, func() { c.cfg.OnLost(was.Connected, reason) }
}

func (cfg ConnectionConfig[G, R]) farewell(ctx context.Context, gateway G, reason error) {
	if cfg.Farewell != nil {
		ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
		defer cancel()
		cfg.Farewell(ctx, gateway, reason)
	}
}
