package zookeepertest

import (
	"maps"
	"slices"
	"time"
)

// FollowerConfig describes a follower of a Fake.
type FollowerConfig struct {
	// Every is how often it tells the leader which sessions were active: half a tick
	// of real servers. Required.
	Every time.Duration
	// Phase is when it does so first, counted from the fake's start.
	Phase time.Duration
	// Late is by how much every other list is late. It is less than Every.
	Late time.Duration
}

// Follower is a Link that does not lead to the fake itself, as to the leader of an
// ensemble, but to one of its followers. What a session does on it counts against
// expiry only once the follower has told the leader; a connect counts at once.
// A follower can lose its leader, in one direction or both, and goes on answering. What
// it reads then is the newest all the same: only sessions and events are behind.
type Follower struct {
	*Link
	cfg FollowerConfig

	// Guarded by the fake's lock.
	loss   loss
	active map[*fakeSession]struct{} // since the newest list
	onWay  map[*fakeSession]struct{} // on lists that were sent and did not get through
	list   int                       // number of the next list
	armed  bool                      // a timer runs for it
}

// loss is what lies between a follower and its leader.
type loss int

const (
	inTouch loss = iota
	deaf         // nothing comes from the leader
	cutOff       // nothing comes or goes
)

// NewFollower returns a follower that is in touch with the fake.
func (f *Fake) NewFollower(cfg FollowerConfig) *Follower {
	w := &Follower{Link: f.NewLink(), cfg: cfg, active: make(map[*fakeSession]struct{}), onWay: make(map[*fakeSession]struct{})}
	w.follower = w
	return w
}

// CutOff takes the quorum from the follower. Connections stay: pings and reads are
// answered, writes and handshakes wait, watches do not fire, and clients do not hear
// that their sessions expire. The leader is not told which sessions are active. What
// a Deafen held back until then comes through, and the list with which the follower
// answers is on its way: it arrives before anything that the follower sends later.
func (w *Follower) CutOff() { w.lose(cutOff) }

// Deafen holds back what the leader sends to the follower, in its order: its pings, so
// that no list goes out, and its commits, so that writes are carried out and not
// answered, watches do not fire, and clients do not hear that their sessions expire.
// Handshakes wait. What a CutOff held back on the way to the leader comes through.
func (w *Follower) Deafen() { w.lose(deaf) }

// Rejoin brings the follower back. It gets what the leader sent, and so tells at once
// who was active; it carries out what waited, tells what it held back, and hangs up on
// clients whose sessions have expired. (A real one that lost its leader for longer than
// its syncLimit hangs up on all; see Drop.)
func (w *Follower) Rejoin() { w.lose(inTouch) }

func (w *Follower) lose(l loss) {
	f := w.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	was := w.loss
	if l == was {
		return
	}
	w.loss = l
	if was != inTouch && l != deaf {
		w.hear()
	}
	if l != cutOff {
		w.deliver()
	}
	f.wake()
}

// hear brings the follower what the leader sent: pings, which it answers with a list,
// and what clients wait for.
func (w *Follower) hear() {
	maps.Copy(w.onWay, w.active)
	clear(w.active)
	for _, c := range inOrder(w.fake.conns) {
		if c.link != w.Link {
			continue
		}
		for _, frame := range c.held {
			c.send(frame)
		}
		c.held = nil
		if c.session != nil && !c.session.Ended.IsZero() {
			c.close()
		}
	}
}

// deliver has the leader count who is on the lists on the way.
func (w *Follower) deliver() {
	for s := range w.onWay {
		if s.Ended.IsZero() && !w.fake.closed {
			w.fake.touch(s)
		}
	}
	clear(w.onWay)
}

// note counts a session for the next list. The fake's lock is held, here and below.
func (w *Follower) note(s *fakeSession) {
	w.active[s] = struct{}{}
	w.arm()
}

// arm sets a timer for the next list if there is anything to tell.
func (w *Follower) arm() {
	if w.armed || w.loss != inTouch || len(w.active) == 0 || w.fake.closed {
		return
	}
	w.armed = true
	for time.Until(w.next()) < 0 {
		w.list++
	}
	time.AfterFunc(time.Until(w.next()), w.tell)
}

// next is when the next list goes out.
func (w *Follower) next() time.Time {
	at := w.fake.start.Add(w.cfg.Phase + time.Duration(w.list)*w.cfg.Every)
	if w.list%2 == 1 {
		at = at.Add(w.cfg.Late)
	}
	return at
}

// tell sends a list, if the leader has asked for it.
func (w *Follower) tell() {
	w.fake.mu.Lock()
	defer w.fake.mu.Unlock()
	w.armed = false
	w.list++
	if w.loss == inTouch {
		maps.Copy(w.onWay, w.active)
		clear(w.active)
		w.deliver()
	}
}

// lost returns what the link's server has lost.
func (l *Link) lost() loss {
	if l.follower == nil {
		return inTouch
	}
	return l.follower.loss
}

// waitOut blocks while the connection's server has lost just this, and returns false when
// the connection ends meanwhile. The fake's lock is not held.
func (c *fakeConn) waitOut(losses ...loss) bool {
	for {
		c.fake.mu.Lock()
		lost, changed := c.link.lost(), c.fake.changed
		c.fake.mu.Unlock()
		if !slices.Contains(losses, lost) {
			return !c.isGone()
		}
		select {
		case <-changed:
		case <-c.gone:
			return false
		}
	}
}

// heardOf notes a request of the connection's session.
func (f *Fake) heardOf(c *fakeConn) {
	if w := c.link.follower; w != nil {
		w.note(c.session)
		return
	}
	f.touch(c.session)
}

// event sends a watch event, once the connection's server learns of it.
func (c *fakeConn) event(frame []byte) {
	if c.link.lost() > inTouch {
		c.held = append(c.held, frame)
		return
	}
	c.send(frame)
}

// wake wakes those who wait for a change of the faults.
func (f *Fake) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}
