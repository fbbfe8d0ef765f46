package zookeeper

import (
	"sync/atomic"
	"time"
)

// opSetWatches is the operation with which go-zookeeper takes its watches along to
// the next connection.
const opSetWatches = 101

// How long replies wait for that, which takes microseconds: where there may be
// watches and where there were none before.
const (
	rewatchWithin = 50 * time.Millisecond
	unwatched     = time.Millisecond
)

// rewatches follows, over the connections of a session, whether go-zookeeper has
// sent its watches again. It sends them once for each handshake, but a request from
// the handshake before may still be in its queue and go first. Whether it has any
// watches cannot be known for sure, so nobody waits for them for long.
type rewatches struct {
	asked atomic.Bool  // a watch was ever asked for
	due   atomic.Int64 // handshakes behind which they are sent
	sent  atomic.Int64
}

// handshake notes a connection, and returns how long to wait for watches on it.
func (r *rewatches) handshake() time.Duration {
	r.due.Add(1)
	if !r.asked.Load() {
		return unwatched
	}
	return rewatchWithin
}

// resent notes that watches were sent, and reports whether these were the last.
func (r *rewatches) resent() bool { return r.sent.Add(1) >= r.due.Load() }

// settle ends the waiting for what did not come.
func (r *rewatches) settle() {
	for {
		sent := r.sent.Load()
		if r.sent.CompareAndSwap(sent, r.due.Load()) {
			return
		}
	}
}
