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
	list  []string
	next  int
	tries int // since the last success
	ended func() bool
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

// Connected notes that a session was confirmed.
func (s *servers) Connected() { s.tries = 0 }

// pause returns how long to wait before the next attempt: nothing in the first
// round, then exponentially more, with jitter.
func (s *servers) pause() time.Duration {
	round := s.tries / len(s.list)
	s.tries++
	if round == 0 {
		return 0
	}
	d := min(maxPause, minPause<<min(round, 10))
	return d/2 + rand.N(d/2)
}

// dialer returns go-zookeeper's dialer for a session. It refuses once the session
// has ended: go-zookeeper would open a second session in the same Conn and run
// what was queued for the first one in it.
func (s *Session) dialer(life context.Context, hosts *servers) zk.Dialer {
	return func(network, addr string, _ time.Duration) (net.Conn, error) {
		select {
		case <-time.After(hosts.pause()):
		case <-life.Done():
			return nil, fmt.Errorf("session has ended: %w", context.Cause(life))
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
		raw, err := s.cfg.Dial(ctx, network, addr)
		if err != nil {
			s.noteFailure(err)
			return nil, err
		}
		conn := &frameConn{
			Conn:      raw,
			connectBy: connectBy,
			connected: s.negotiated,
			heard:     s.heard,
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
