package embedded

import (
	"slices"
	"time"
)

// session is what ties a participant's candidacies, and what they published, to
// its life. The backend's lock guards it.
type session struct {
	id          int64
	participant *Participant
	candidacies []*candidacy
	ended       bool
	// abandoned: the participant wanted to take something back and could not reach
	// the backend, so the session must not live on when the connection returns.
	abandoned bool
	// expiry ends the session; it runs while the participant is away.
	expiry *time.Timer
}

// forget drops a candidacy that was taken back. It requires the lock.
func (s *session) forget(c *candidacy) {
	s.candidacies = slices.DeleteFunc(s.candidacies, func(other *candidacy) bool { return other == c })
}

// open gives the participant a new session, when it can have one. It requires
// the lock.
func (b *Backend) open(p *Participant) {
	if !p.running || !p.connected || p.killed || p.session != nil {
		return
	}
	b.sessions++
	p.session = &session{id: b.sessions, participant: p}
	b.broadcast()
}

// end ends a session at the backend: its candidacies leave the latch, and what
// they published goes. The participant learns of it now, with the reason, or when
// it can be reached again. It requires the lock.
func (b *Backend) end(s *session, reason error) {
	if s.ended {
		return
	}
	s.ended = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for _, c := range s.candidacies {
		b.drop(c)
		b.unpublish(c)
	}
	if p := s.participant; p.connected && p.session == s {
		b.learn(p, reason)
	}
	b.broadcast()
}

// learn tells the participant that its session has ended, and gives it a new
// one. It requires the lock.
func (b *Backend) learn(p *Participant, reason error) {
	s := p.session
	p.session = nil
	if s == nil {
		return
	}
	for _, c := range s.candidacies {
		c.tenure.lose(reason)
	}
	b.open(p)
}

// expireIn ends the session after the session time-out, unless the participant
// has come back by then. It requires the lock.
func (b *Backend) expireIn(s *session) {
	outage := s.participant.outage
	s.expiry = time.AfterFunc(b.cfg.SessionTimeout, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		// A timer that has fired cannot be stopped: it may have waited for the lock
		// while the participant came back to this session.
		if p := s.participant; p.outage == outage || p.session != s {
			b.end(s, errExpired)
		}
	})
}
