package zookeeper

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Client keeps one live session: when one has ended it opens the next. What is
// pinned to a session ends with it; what should go on asks the Client for the
// next one. All methods may be called from any goroutine.
type Client struct {
	cfg Config
	log hclog.Logger

	mu      sync.Mutex
	current *Session
	changed chan struct{}
	lastErr error // why there is no session
	contact time.Time
	stopped bool // Run has returned
}

// New returns a client. It checks the configuration and does no I/O.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, log: cfg.Logger, changed: make(chan struct{})}, nil
}

// Run keeps a session until ctx ends; then it closes it and returns ctx's error.
// An ensemble that cannot be reached is not an error: Run goes on trying.
func (c *Client) Run(ctx context.Context) error {
	defer c.finish()
	var advising sync.WaitGroup
	defer advising.Wait()
	short := 0 // sessions in a row that were of no use
	for ctx.Err() == nil {
		began := time.Now()
		s, err := c.open(ctx)
		if err != nil {
			short = again(short, began, c.cfg.SessionTimeout)
			c.rest(ctx, short)
			continue
		}
		c.log.Info("session established", "session", s.ID(), "timeout", s.Timeout())
		c.set(s, nil)
		began = time.Now()
		advising.Go(func() { c.advise(ctx, s) })
		select {
		case <-s.Done():
			c.log.Warn("session ended", "session", s.ID(), "reason", s.Err())
			c.set(nil, s.Err())
		case <-ctx.Done():
		}
		if err := s.Close(); err != nil {
			c.log.Warn("session was not closed, ZooKeeper will wait for its time-out", "session", s.ID(), "error", err)
		}
		if short = again(short, began, s.Timeout()); short > 1 {
			c.rest(ctx, short-1) // servers that end each session at once are not asked without end
		}
	}
	return ctx.Err()
}

// While runs the client for as long as do runs: the session begins before do needs it
// and is closed after do has returned, also when ctx ended that. So what do gives up
// at its end, a leadership for example, is given up in the session that held it. It
// blocks until the session is closed, and returns do's error. While takes the place
// of Run.
func (c *Client) While(ctx context.Context, do func(ctx context.Context) error) error {
	session, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	running.Go(func() { _ = c.Run(session) }) // its error is that of session
	return do(ctx)
}

// again counts a session that began then, or was asked for then, as another short
// one, or returns zero.
func again(short int, began time.Time, timeout time.Duration) int {
	if time.Since(began) >= lasting(timeout) {
		return 0
	}
	return short + 1
}

// rest waits before the next session.
func (c *Client) rest(ctx context.Context, round int) {
	select {
	case <-time.After(backOff(round, c.cfg.SessionTimeout)):
	case <-ctx.Done():
	}
}

// open tries for one session for a while, so that each failure is reported.
func (c *Client) open(ctx context.Context) (*Session, error) {
	tryCtx, cancel := context.WithTimeout(ctx, max(c.cfg.SessionTimeout, minPause))
	defer cancel()
	s, err := Open(tryCtx, c.cfg)
	if err == nil {
		return s, nil
	}
	if ctx.Err() == nil {
		c.log.Warn("no ZooKeeper server can be reached, still trying", "servers", c.cfg.Servers, "error", err)
		c.set(nil, err)
	}
	return nil, err
}

// Session returns the live session, or blocks until there is one. Its error is
// ctx's, or ErrClosed after Run has returned.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	for {
		c.mu.Lock()
		s, changed, stopped := c.current, c.changed, c.stopped
		c.mu.Unlock()
		if s != nil && s.Err() == nil {
			return s, nil
		}
		if stopped {
			return nil, &Error{Op: "session", Path: c.cfg.Chroot + "/", Err: ErrClosed}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Tick returns the servers' tickTime as configured, zero when unknown.
func (c *Client) Tick() time.Duration { return c.cfg.Tick }

// Status is what a Client knows of its connection.
type Status struct {
	// State is Connecting while there is no session.
	State State
	// SessionID is zero while there is no session.
	SessionID int64
	// LastContact is when a server was last heard of, zero for never.
	LastContact time.Time
	// Err is why there is no connection, nil while there is one.
	Err error
}

// Status returns the state of the connection now.
func (c *Client) Status() Status {
	c.mu.Lock()
	s, last, contact := c.current, c.lastErr, c.contact
	c.mu.Unlock()
	if s == nil {
		return Status{State: Connecting, LastContact: contact, Err: last}
	}
	state, _ := s.State()
	st := Status{State: state, SessionID: s.ID(), LastContact: s.LastContact()}
	if state != Connected {
		st.Err = s.lastFailure()
	}
	return st
}

func (c *Client) finish() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.set(nil, ErrClosed) // wakes those who wait
}

func (c *Client) set(s *Session, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.contact = c.current.LastContact()
	}
	c.current, c.lastErr = s, err
	close(c.changed)
	c.changed = make(chan struct{})
}
