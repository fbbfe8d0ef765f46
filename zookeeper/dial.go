package zookeeper

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/go-zookeeper/zk"
)

// Bounds of one attempt to connect, and of the pause between rounds of attempts.
const (
	maxDial    = 5 * time.Second
	minPause   = 50 * time.Millisecond
	maxPause   = 2 * time.Second
	minConnect = 50 * time.Millisecond
)

// servers is go-zookeeper's host provider: it hands out names, not addresses, so
// that each dial resolves anew, and never asks for the fixed second of sleep
// between rounds (dialer.pause replaces it), except once the session has ended:
// then the sleep is where go-zookeeper notices that it was closed.
//
// It is used by go-zookeeper's one connecting goroutine only.
type servers struct {
	list    []string
	next    int
	tries   int       // since a connection that lasted
	since   time.Time // when the newest connection was confirmed, zero once it was judged
	timeout func() time.Duration
	ended   func() bool
}

var _ zk.HostProvider = (*servers)(nil)

// Init keeps the list given to zk.Connect, which has shuffled it.
func (s *servers) Init(list []string) error { s.list = list; return nil }

// Len returns the number of servers.
func (s *servers) Len() int { return len(s.list) }

// Next returns the next server in turn.
func (s *servers) Next() (server string, retryStart bool) {
	server = s.list[s.next%len(s.list)]
	s.next++
	return server, s.ended()
}

// Connected notes that a session was confirmed. Whether that was a success shows
// when the connection ends.
func (s *servers) Connected() { s.since = time.Now() }

// pause returns how long to wait before the next attempt: nothing in the first
// round after a connection that lasted, then exponentially more, with jitter. So
// servers that confirm a session and hang up at once are not asked without end.
func (s *servers) pause() time.Duration {
	if !s.since.IsZero() && time.Since(s.since) >= lasting(s.timeout()) {
		s.tries = 0
	}
	s.since = time.Time{}
	round := s.tries / len(s.list)
	s.tries++
	if round == 0 {
		return 0
	}
	return backOff(round, s.timeout())
}

// lasting is how long a connection or session must have been of use to count as a
// success: one ping at least was due.
func lasting(timeout time.Duration) time.Duration { return min(maxPause, timeout/3) }

// backOff returns a pause that doubles from round to round, less a part that is
// random. It leaves time for several attempts within T.
func backOff(round int, timeout time.Duration) time.Duration {
	d := min(max(minPause, min(maxPause, timeout/6)), minPause<<min(round, 10))
	return d/2 + rand.N(d/2)
}

// dial opens a connection as configured.
func (s *Session) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := s.cfg.Dial(ctx, network, addr)
	if err != nil || s.cfg.Security.TLS == nil {
		return conn, err
	}
	return s.cfg.kept.keys.secure(ctx, conn, addr, *s.cfg.Security.TLS, s.log)
}

// dialer returns go-zookeeper's dialer for a session. It refuses once the session
// has ended: go-zookeeper would open a second session in the same Conn and run
// what was queued for the first one in it.
func (s *Session) dialer(life context.Context, hosts *servers) zk.Dialer {
	return func(network, addr string, _ time.Duration) (net.Conn, error) {
		if pause := hosts.pause(); pause > 0 {
			select {
			case <-time.After(pause):
			case <-life.Done():
			}
		}
		if life.Err() != nil {
			return nil, fmt.Errorf("session has ended: %w", context.Cause(life))
		}
		// A third of T for dial and handshake leaves time for two more servers.
		within := max(minConnect, s.Timeout()/3)
		began := time.Now()
		connectBy := began.Add(within)
		ctx, cancel := context.WithTimeout(life, min(within, maxDial))
		defer cancel()
		raw, err := s.dial(ctx, network, addr)
		if err != nil {
			s.noteFailure(err)
			return nil, err
		}
		conn := &frameConn{
			Conn:      raw,
			connectBy: connectBy,
			connected: s.negotiated,
			heard:     s.heard,
			failed:    func(err error) { s.noteFailure(s.unconfirmed(addr, err)) },
			auth:      s.cfg.Security.Auth,
			farewell:  func() { s.over.Store(true) },
			rewatches: &s.rewatches,
			pulse:     &s.pulse,
			began:     began,
			gone:      make(chan struct{}),
		}
		if !s.adopt(conn) {
			raw.Close()
			return nil, fmt.Errorf("session has ended: %w", context.Cause(life))
		}
		return conn, nil
	}
}
