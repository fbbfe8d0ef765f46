package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/hashicorp/go-hclog"
)

// State is what a session knows of its connection.
type State int

// The states of a session; see the diagram in the package comment.
const (
	// Connecting: no server has confirmed the session yet.
	Connecting State = iota
	// Connected: a server answers.
	Connected
	// Suspended: the connection was lost; the session may still be alive.
	Suspended
	// Ended: the session is over, for good.
	Ended
)

// String returns the state in one lower-case word.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Suspended:
		return "suspended"
	default:
		return "ended"
	}
}

// abandonAfter is how many session time-outs a session may be without a
// connection before it is given up. The ensemble ends it within T and a tick
// unless it is down as a whole; a go-zookeeper Conn that has locked itself up
// would otherwise wait for ever.
const abandonAfter = 2

// stuckAfter is how long go-zookeeper may take to end once its socket is closed.
const stuckAfter = 5 * time.Second

// Session is one ZooKeeper session, from its first connect response to its end.
// It ends once, for good: what was issued in it is never run in another one. All
// methods may be called from any goroutine.
type Session struct {
	cfg     Config
	log     hclog.Logger
	conn    *zk.Conn
	end     context.CancelCauseFunc // ends the session's life
	stopped chan struct{}           // closed when nothing of the session runs any more
	watches watches

	rewatches rewatches
	pulse     pulse

	over    atomic.Bool  // a server said that the session has ended there
	left    error        // what Close returns; set before stopped is closed
	timeout atomic.Int64 // negotiated T; what was asked for until then
	contact atomic.Int64 // Unix nanoseconds of the last frame

	mu       sync.Mutex
	state    State
	changed  chan struct{}
	done     chan struct{}
	err      error    // why the session ended
	polite   bool     // it ends by telling the server
	lastErr  error    // of connecting, for people
	socket   net.Conn // the newest
	id       int64
	inflight sync.WaitGroup // calls, counted while state is not Ended
}

// Open opens a session and blocks until a server has confirmed it. While no
// server can be reached it goes on trying until ctx ends; its error then wraps
// ErrSuspended, ctx's error, and why connecting failed. The session outlives ctx:
// it lives until Close, or until it ends by itself.
func Open(ctx context.Context, cfg Config) (*Session, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	s := &Session{
		cfg: cfg, log: cfg.Logger,
		stopped: make(chan struct{}), changed: make(chan struct{}), done: make(chan struct{}),
		watches: newWatches(),
	}
	s.timeout.Store(int64(cfg.SessionTimeout))
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	s.end = end
	hosts := &servers{timeout: s.Timeout, ended: func() bool { return life.Err() != nil }}
	conn, events, err := zk.Connect(cfg.Servers, cfg.SessionTimeout,
		zk.WithDialer(s.dialer(life, hosts)), zk.WithHostProvider(hosts),
		zk.WithEventCallback(s.onEvent), zk.WithMaxBufferSize(maxFrame),
		zk.WithLogger(printer{s.log}), zk.WithLogInfo(false))
	if err != nil {
		end(err)
		return nil, fmt.Errorf("zookeeper: open session: %w", err)
	}
	s.conn = conn
	go s.supervise(life, events)
	if err := s.await(ctx); err != nil {
		s.finish(ErrClosed)
		<-s.stopped
		return nil, &Error{Op: "connect", Path: cfg.Chroot + "/", Err: err, Cause: s.lastFailure()}
	}
	return s, nil
}

// ID returns the session's id.
func (s *Session) ID() int64 { s.mu.Lock(); defer s.mu.Unlock(); return s.id }

// Timeout returns the negotiated session time-out T.
func (s *Session) Timeout() time.Duration { return time.Duration(s.timeout.Load()) }

// LastContact returns when a server was last heard of.
func (s *Session) LastContact() time.Time { return time.Unix(0, s.contact.Load()) }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session ended, wrapping ErrExpired or ErrClosed; nil while
// it lives.
func (s *Session) Err() error { s.mu.Lock(); defer s.mu.Unlock(); return s.err }

// State returns the state and a channel that is closed when it changes.
func (s *Session) State() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

// Close ends the session and blocks until nothing of it runs any more, for 3
// seconds at most unless Config.Dial ignores its context, and 8 then. It may be
// called again.
//
// It returns nil when a server confirmed the end, then or before: the session's
// ephemeral nodes are gone. Otherwise they stay until the session times out, and
// the error wraps ErrSuspended when no server could be told, or ErrUnknownOutcome
// when one was told and did not confirm it.
func (s *Session) Close() error {
	s.finish(ErrClosed)
	<-s.stopped
	return s.left
}

// Abandon ends the session on this side without telling the server, as a crash
// of the process would.
func (s *Session) Abandon() {
	s.finish(fmt.Errorf("%w: abandoned", ErrExpired))
	<-s.stopped
}

// leaves returns what Close returns, once nothing of the session runs any more.
func (s *Session) leaves() error {
	e := &Error{Op: "close", Path: s.cfg.Chroot + "/", Err: ErrSuspended}
	switch {
	case s.over.Load():
		return nil
	case s.polite:
		e.Err = ErrUnknownOutcome
	}
	e.Cause = fmt.Errorf("session %#x and its ephemeral nodes may stay for up to %v and a tick", s.ID(), s.Timeout())
	return e
}

// await blocks until the session is connected, has ended, or ctx ends.
func (s *Session) await(ctx context.Context) error {
	for {
		state, changed := s.State()
		switch state {
		case Connected:
			return nil
		case Ended:
			return s.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrSuspended, context.Cause(ctx))
		}
	}
}

// onEvent is called by go-zookeeper from its own goroutines; it must not block.
func (s *Session) onEvent(ev zk.Event) {
	if ev.Type != zk.EventSession {
		if ev.Type != zk.EventNotWatching { // our own end says that to all
			s.watches.fire(ev)
		}
		return
	}
	switch ev.State {
	case zk.StateHasSession:
		s.become(Connected)
	case zk.StateDisconnected:
		s.become(Suspended)
	case zk.StateExpired:
		s.expired()
	}
}

// become notes a change between the states of a living session.
func (s *Session) become(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Ended || s.state == state || s.state == Connecting && state == Suspended {
		return
	}
	if state == Connected {
		s.lastErr = nil
	}
	s.set(state)
}

// set is called with mu held.
func (s *Session) set(state State) {
	s.state = state
	close(s.changed)
	s.changed = make(chan struct{})
}

// finish ends the session, the first reason stands.
func (s *Session) finish(reason error) {
	s.mu.Lock()
	first := s.state != Ended
	if first {
		s.polite = s.state == Connected && errors.Is(reason, ErrClosed)
		s.err = reason
		s.set(Ended)
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		s.end(reason)
		s.watches.closeAll()
	}
}

// expired notes that a server said so.
func (s *Session) expired() {
	s.over.Store(true)
	s.finish(ErrExpired)
}

// supervise gives up a session that is without a connection for too long, and
// takes everything down at the end.
func (s *Session) supervise(life context.Context, events <-chan zk.Event) {
	defer close(s.stopped)
	for life.Err() == nil {
		state, changed := s.State()
		var abandon <-chan time.Time
		if state == Suspended {
			abandon = time.After(abandonAfter * s.Timeout())
		}
		select {
		case <-changed:
		case <-life.Done():
		case <-abandon:
			s.finish(fmt.Errorf("%w: no connection for %v", ErrExpired, abandonAfter*s.Timeout()))
		}
	}
	if !s.polite {
		s.hangUp() // nobody there to tell
	}
	s.conn.Close() // about a second when no server answers
	s.hangUp()
	s.drain(events)
	s.inflight.Wait()
	s.left = s.leaves()
}

// drain waits until go-zookeeper's goroutines have ended, of which the end of its
// events tells. One that is caught in a lock of its own, or in a dialer that
// ignores its context, is left behind: it can open no session any more.
func (s *Session) drain(events <-chan zk.Event) {
	limit := time.NewTimer(stuckAfter)
	defer limit.Stop()
	for {
		select {
		case _, more := <-events:
			if !more {
				return
			}
		case <-limit.C:
			s.log.Warn("go-zookeeper does not end, one of its goroutines is left behind", "session", s.ID())
			return
		}
	}
}

// adopt notes the newest socket. It reports false when the session has ended.
func (s *Session) adopt(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = conn
	return s.state != Ended
}

// hangUp closes the socket under go-zookeeper, which does not do so itself after
// an expiry, nor while it waits for a handshake.
func (s *Session) hangUp() {
	s.mu.Lock()
	socket := s.socket
	s.mu.Unlock()
	if socket != nil {
		socket.Close()
	}
}

// negotiated notes what the connect response says. A server never answers a
// reconnect with another session; if it did, the queue would run in that one.
func (s *Session) negotiated(timeout time.Duration, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != 0 && s.id != id {
		return fmt.Errorf("server answered session %#x with session %#x", s.id, id)
	}
	s.id = id
	s.timeout.Store(int64(timeout))
	return nil
}

func (s *Session) heard() { s.contact.Store(time.Now().UnixNano()) }

// noteFailure keeps why connecting failed, unless it is the session's own end.
func (s *Session) noteFailure(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Ended {
		s.lastErr = err
	}
}

func (s *Session) lastFailure() error { s.mu.Lock(); defer s.mu.Unlock(); return s.lastErr }

// printer turns go-zookeeper's log lines into debug messages: what matters is
// reported by the session's states and errors.
type printer struct{ log hclog.Logger }

// Printf logs a line.
func (p printer) Printf(format string, args ...any) {
	if p.log.IsDebug() {
		p.log.Debug("go-zookeeper", "message", fmt.Sprintf(format, args...))
	}
}
