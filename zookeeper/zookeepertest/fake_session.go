package zookeepertest

import (
	"sort"
	"time"
)

// SessionInfo is a fake's view of a session, also of one that has ended.
type SessionInfo struct {
	// ID is the session's.
	ID int64
	// Timeout is what was negotiated last.
	Timeout time.Duration
	// Connected tells whether a connection holds it.
	Connected bool
	// Began is when it was created.
	Began time.Time
	// Ended is when its ephemerals were removed; zero while it lives.
	Ended time.Time
	// Expired tells whether it ended by silence (or ExpireSession) rather than by
	// the client's own close.
	Expired bool
}

// fakeSession is a session that lives or has lived.
type fakeSession struct {
	SessionInfo
	deadline time.Time // it expires then unless it is heard of before
	timer    *time.Timer
	conn     *fakeConn // nil while disconnected
}

// negotiate clamps a client's wish as servers do.
func (f *Fake) negotiate(ms int32) time.Duration {
	wish := time.Duration(ms) * time.Millisecond
	return min(max(wish, f.cfg.MinSessionTimeout), f.cfg.MaxSessionTimeout)
}

// connect begins or continues the session that a client asks for, and returns
// nil when that session is gone or the password is wrong. The fake's lock is
// held.
func (f *Fake) connect(c *fakeConn, r connectRequest) *fakeSession {
	if r.session == 0 {
		s := f.begin(f.negotiate(r.timeoutMs))
		s.conn = c
		return s
	}
	s := f.sessions[r.session]
	if s == nil || !s.Ended.IsZero() || r.password != passwordOf(s.ID) {
		return nil
	}
	if s.conn != nil {
		// The session moves: what its former connection still holds is dropped.
		s.conn.close()
	}
	s.Timeout, s.conn = f.negotiate(r.timeoutMs), c
	f.touch(s)
	return s
}

// begin creates a session.
func (f *Fake) begin(timeout time.Duration) *fakeSession {
	f.tree.zxid++
	f.lastSession++
	s := &fakeSession{SessionInfo: SessionInfo{ID: f.lastSession, Timeout: timeout, Began: time.Now()}}
	f.sessions[s.ID] = s
	f.counts[OpCreateSession]++
	f.txns = append(f.txns, Txn{Session: s.ID, Zxid: f.tree.zxid, Time: s.Began, Op: OpCreateSession})
	f.touch(s)
	s.timer = time.AfterFunc(time.Until(s.deadline), func() { f.expireIfSilent(s) })
	return s
}

// touch notes a sign of life. Servers look once a tick, so the session ends
// between its time-out and a tick later. The ticks are a few nanoseconds off the
// round times, so that an expiry never coincides with a client's timer: the
// order of two things at one instant is not defined.
func (f *Fake) touch(s *fakeSession) {
	const offset = 7 * time.Nanosecond
	due := time.Since(f.start) - offset + s.Timeout
	s.deadline = f.start.Add(due.Truncate(f.cfg.TickTime) + f.cfg.TickTime + offset)
}

// expireIfSilent runs at what was the deadline when the timer was set.
func (f *Fake) expireIfSilent(s *fakeSession) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || !s.Ended.IsZero() {
		return
	}
	if left := time.Until(s.deadline); left > 0 {
		s.timer.Reset(left)
		return
	}
	f.tree.zxid++
	f.end(s, 0, true)
}

// end ends a session: its ephemerals go in one transaction, whose zxid the
// caller has taken. An expired session loses its connection; a client that
// closes gets its reply first.
func (f *Fake) end(s *fakeSession, cxid int32, expired bool) {
	if s == nil || !s.Ended.IsZero() {
		return
	}
	s.Ended, s.Expired = time.Now(), expired
	s.timer.Stop()
	paths := f.tree.ephemerals(s.ID)
	for _, path := range paths {
		f.tree.remove(path, -1)
	}
	f.txns = append(f.txns, Txn{
		Session: s.ID, Cxid: cxid, Zxid: f.tree.zxid, Time: s.Ended, Op: OpCloseSession, Paths: paths,
	})
	f.notify(f.tree.commit())
	if expired && s.conn != nil && s.conn.link.lost() == inTouch {
		s.conn.close()
	}
}

// ExpireSession ends a session now, as if it had been silent for too long. It
// reports whether the session lived.
func (f *Fake) ExpireSession(id int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[id]
	if s == nil || !s.Ended.IsZero() {
		return false
	}
	f.tree.zxid++
	f.end(s, 0, true)
	return true
}

// Sessions returns all sessions that ever were, oldest first.
func (f *Fake) Sessions() []SessionInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]SessionInfo, 0, len(f.sessions))
	for _, s := range f.sessions {
		info := s.SessionInfo
		info.Connected = s.conn != nil
		all = append(all, info)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all
}

// SessionExpiredAt returns when a session expired, by the server's own view, and
// false while it lives or when its client closed it.
func (f *Fake) SessionExpiredAt(id int64) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[id]
	if s == nil || !s.Expired {
		return time.Time{}, false
	}
	return s.Ended, true
}
