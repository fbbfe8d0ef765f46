package rpc

import (
	"errors"
	"time"
)

// HeartbeatReceiver watches peers that are expected to call in an interval. It lives on
// a loop: its methods are called there only.
type HeartbeatReceiver[K comparable] struct {
	loop  Loop
	lost  func(key K)
	peers map[K]*expected
}

// expected is a monitored peer.
type expected struct {
	timeout time.Duration
	heard   time.Time
	stop    func()
}

// NewHeartbeatReceiver returns a receiver without peers. onLost is called on the loop,
// once for each monitor whose peer was not heard of for its time-out; it is not
// monitored any more then. It must not block.
func NewHeartbeatReceiver[K comparable](l Loop, onLost func(key K)) (*HeartbeatReceiver[K], error) {
	if l == nil || onLost == nil {
		return nil, errors.New("rpc: a heartbeat receiver needs a loop and what is called when a peer is lost")
	}
	return &HeartbeatReceiver[K]{loop: l, lost: onLost, peers: make(map[K]*expected)}, nil
}

// Monitor begins to watch a peer as if it had just been heard. Zero means
// DefaultHeartbeatTimeout. A monitor of the same key ends without a signal.
func (r *HeartbeatReceiver[K]) Monitor(key K, timeout time.Duration) {
	r.Unmonitor(key)
	if timeout <= 0 {
		timeout = DefaultHeartbeatTimeout
	}
	p := &expected{timeout: timeout, heard: time.Now()}
	r.peers[key] = p
	r.await(key, p, timeout)
}

// Heard says that a peer has called. It reports whether it is monitored.
func (r *HeartbeatReceiver[K]) Heard(key K) bool {
	check(r.loop)
	p := r.peers[key]
	if p != nil {
		p.heard = time.Now()
	}
	return p != nil
}

// Unmonitor ends a monitor without a signal.
func (r *HeartbeatReceiver[K]) Unmonitor(key K) {
	check(r.loop)
	if p := r.peers[key]; p != nil {
		delete(r.peers, key)
		p.stop()
	}
}

// Close ends all monitors without a signal.
func (r *HeartbeatReceiver[K]) Close() {
	for key := range r.peers {
		r.Unmonitor(key)
	}
}

// await looks again when the peer would be lost. What was heard until then only moves
// that on, so that a call costs no timer.
func (r *HeartbeatReceiver[K]) await(key K, p *expected, d time.Duration) {
	p.stop = r.loop.After(d, func() {
		if r.peers[key] != p {
			return
		}
		if left := p.timeout - time.Since(p.heard); left > 0 {
			r.await(key, p, left)
			return
		}
		delete(r.peers, key)
		r.lost(key)
	})
}
