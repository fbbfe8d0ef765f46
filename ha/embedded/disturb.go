package embedded

import (
	"fmt"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// Disconnect cuts the participant off: its calls block, its leases run out, and
// the backend ends its session after the session time-out unless Reconnect comes
// first. It does nothing when the participant is cut off already.
func (p *Participant) Disconnect() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if !p.connected || p.killed {
		return
	}
	p.connected = false
	p.outage++
	if p.running {
		p.contact = time.Now()
	}
	if s := p.session; s != nil {
		b.expireIn(s)
		for _, c := range s.candidacies {
			c.tenure.runOut(p)
		}
	}
	b.broadcast()
}

// Reconnect undoes Disconnect: the participant goes on with its session when that
// still lives, and otherwise learns that it ended and gets a new one.
func (p *Participant) Reconnect() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.connected || p.killed {
		return
	}
	p.connected = true
	p.outage++
	if s := p.session; s != nil {
		if s.expiry != nil {
			s.expiry.Stop()
		}
		switch {
		case s.ended:
			b.learn(p, errExpired)
		case s.abandoned:
			b.end(s, errClosed)
		case b.robbed(s):
			b.end(s, errDeleted)
		}
	}
	b.open(p)
	b.broadcast()
}

// Expire ends the participant's session at the backend now, as an operator or an
// overloaded server may. The participant learns of it at once when it is
// connected, and gets a new session.
func (p *Participant) Expire() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.session != nil {
		b.end(p.session, fmt.Errorf("%w: the backend ended it", election.ErrSessionExpired))
	}
}

// Kill lets the participant's process die: all its calls fail with ErrKilled at
// once and for ever, Run too, and its terms end. Its session is not closed: it
// expires after the session time-out, and only then can another participant lead.
// (A standalone backend has no sessions to wait for.)
func (p *Participant) Kill() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.killed {
		return
	}
	p.killed = true
	p.contact = time.Now()
	close(p.dead)
	s := p.session
	if s == nil {
		b.broadcast()
		return
	}
	for _, c := range s.candidacies {
		c.tenure.lose(fmt.Errorf("%w: %w", election.ErrSessionExpired, ErrKilled))
	}
	switch {
	case b.cfg.Standalone:
		b.end(s, ErrKilled)
	case p.connected:
		b.expireIn(s)
	}
	b.broadcast()
}

// RemoveCandidacy takes the participant out of the latch, as an operator does who
// deletes its node. The participant closes its session, so that nothing of it
// stays behind, and contends again with a new one; a cut-off participant does so
// when it is back.
func (p *Participant) RemoveCandidacy() {
	b := p.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	s := p.session
	if s == nil || s.ended || len(s.candidacies) == 0 {
		return
	}
	if p.connected && !p.killed {
		b.end(s, errDeleted)
		return
	}
	for _, c := range s.candidacies {
		c.removed = b.drop(c) || c.removed
	}
	b.broadcast()
}

// Forge puts info in the place of what is published for its component, as it is
// and without a term: what a server that is behind might show. A later publication
// replaces it.
func (b *Backend) Forge(info leader.Info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.publishedAt = b.next()
	b.published[info.Component] = publication{info: info, index: b.publishedAt}
	b.broadcast()
}

var errDeleted = fmt.Errorf("%w: it was removed from the latch", election.ErrNodeDeleted)

// robbed reports whether somebody removed a candidacy of the session. It requires
// the lock.
func (b *Backend) robbed(s *session) bool {
	for _, c := range s.candidacies {
		if c.removed {
			return true
		}
	}
	return false
}
