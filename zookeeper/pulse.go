package zookeeper

import (
	"sync"
	"time"
)

// opPing is the operation of go-zookeeper's pings, pingXid what answers to them
// carry.
const (
	opPing  = 11
	pingXid = 0xfffffffe // -2
)

// maxPings is how many pings a pulse remembers. One goes out every T/3, and a lease
// asks for the newest that was answered T/4 before.
const maxPings = 4

// pulse follows the connections of a session and the pings on the newest one.
type pulse struct {
	mu        sync.Mutex
	connected time.Time
	sent      []time.Time // pings not yet answered, oldest first
	answered  []Beat
}

// connect begins anew: what another server knows of the session does not count.
func (p *pulse) connect(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.connected, p.sent, p.answered = began, nil, nil
}

func (p *pulse) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, time.Now())
}

func (p *pulse) pong() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		return // answers to a ping that was never sent
	}
	p.answered = append(p.answered, Beat{Sent: p.sent[0], Answered: time.Now()})
	p.sent = p.sent[1:]
	if len(p.answered) > maxPings {
		p.answered = p.answered[1:]
	}
}

// Pulse returns what the session did on its present connection.
func (s *Session) Pulse() Pulse {
	s.pulse.mu.Lock()
	defer s.pulse.mu.Unlock()
	return Pulse{Connected: s.pulse.connected, Pings: append([]Beat(nil), s.pulse.answered...)}
}
