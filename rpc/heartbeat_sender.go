package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The defaults of heartbeats.
const (
	// DefaultHeartbeatTimeout is after how long a peer is given up.
	DefaultHeartbeatTimeout = 10 * time.Second
	// DefaultHeartbeatFailures is how many calls in a row may fail before that.
	DefaultHeartbeatFailures = 2
	// heartbeatsPerTimeout is how many are sent in one time-out.
	heartbeatsPerTimeout = 5
)

// ErrHeartbeatTimeout: nothing was heard for the heartbeat time-out.
var ErrHeartbeatTimeout = errors.New("heartbeat timed out")

// HeartbeatSenderConfig says how peers are asked and what about. K tells them apart, R
// is what they answer. The On functions are called on the loop and must not block.
type HeartbeatSenderConfig[K comparable, R any] struct {
	// Timeout is after how long without an answer a peer is lost. It counts no pause of
	// this process: the newest question has at least an interval to be answered, and
	// another one when the process was paused meanwhile. Zero: DefaultHeartbeatTimeout.
	Timeout time.Duration
	// Interval is the time between two questions. Zero: a fifth of Timeout.
	Interval time.Duration
	// Delay is the time before the first question, for peers that were just heard. Zero:
	// they are asked at once.
	Delay time.Duration
	// Failures is after how many failed calls in a row a peer is lost. Zero:
	// DefaultHeartbeatFailures.
	Failures int
	// Final says of an error that it is an answer: the peer is lost at once. Nil: none
	// is.
	Final func(err error) bool
	// OnReport is told each answer. Nil: nobody is.
	OnReport func(key K, report R)
	// OnLost is told once that a peer is lost; it is not monitored any more. The error
	// is ErrHeartbeatTimeout, or wraps that of the call. Required.
	OnLost func(key K, err error)
}

// HeartbeatSender asks peers in an interval whether they are there. It lives on a loop:
// its methods are called there only.
type HeartbeatSender[K comparable, R any] struct {
	loop  Loop
	cfg   HeartbeatSenderConfig[K, R]
	peers map[K]*peer[R]
}

// peer is a monitored one.
type peer[R any] struct {
	ask      func(ctx context.Context) (R, error)
	failures int
	asked    time.Time // when the newest call began
	call     *work     // under way; one at a time
	next     func()
	timeout  func()
}

// NewHeartbeatSender returns a sender without peers.
func NewHeartbeatSender[K comparable, R any](l Loop, cfg HeartbeatSenderConfig[K, R]) (*HeartbeatSender[K, R], error) {
	if l == nil || cfg.OnLost == nil {
		return nil, errors.New("rpc: a heartbeat sender needs a loop and OnLost")
	}
	if cfg.Timeout < 0 || cfg.Interval < 0 || cfg.Delay < 0 || cfg.Failures < 0 {
		return nil, errors.New("rpc: a number of HeartbeatSenderConfig is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultHeartbeatTimeout
	}
	if cfg.Interval == 0 {
		cfg.Interval = cfg.Timeout / heartbeatsPerTimeout
	}
	if cfg.Interval >= cfg.Timeout {
		return nil, fmt.Errorf("rpc: heartbeat interval %v is not below the time-out %v", cfg.Interval, cfg.Timeout)
	}
	if cfg.Failures == 0 {
		cfg.Failures = DefaultHeartbeatFailures
	}
	if cfg.Final == nil {
		cfg.Final = func(error) bool { return false }
	}
	if cfg.OnReport == nil {
		cfg.OnReport = func(K, R) {}
	}
	return &HeartbeatSender[K, R]{loop: l, cfg: cfg, peers: make(map[K]*peer[R])}, nil
}

// Monitor begins to ask a peer, whose time-out counts from now; ask is called on
// goroutines of the loop, one call at a time. A monitor of the same key ends without a
// signal.
func (s *HeartbeatSender[K, R]) Monitor(key K, ask func(ctx context.Context) (R, error)) {
	s.Unmonitor(key)
	p := &peer[R]{ask: ask, next: func() {}}
	s.peers[key] = p
	s.await(key, p, s.cfg.Timeout)
	if s.cfg.Delay > 0 {
		p.next = s.loop.After(s.cfg.Delay, func() { s.beat(key, p) })
		return
	}
	s.beat(key, p)
}

// Unmonitor ends a monitor without a signal. Nothing is called of it any more.
func (s *HeartbeatSender[K, R]) Unmonitor(key K) {
	check(s.loop)
	p := s.peers[key]
	if p == nil {
		return
	}
	delete(s.peers, key)
	p.call.stop(nil)
	p.next()
	p.timeout()
}

// Close ends all monitors without a signal.
func (s *HeartbeatSender[K, R]) Close() {
	for key := range s.peers {
		s.Unmonitor(key)
	}
}

// await has the peer lost when d passes from now without an answer, unless it had no
// chance to give one.
func (s *HeartbeatSender[K, R]) await(key K, p *peer[R], d time.Duration) {
	due := time.Now().Add(d)
	p.timeout = s.loop.After(d, func() {
		chance := s.cfg.Interval - time.Since(p.asked)
		if time.Since(due) >= s.cfg.Interval { // this process was paused
			chance = s.cfg.Interval
		}
		if chance > 0 {
			s.await(key, p, chance)
			return
		}
		s.lose(key, p, fmt.Errorf("%w: no answer for %v", ErrHeartbeatTimeout, s.cfg.Timeout))
	})
}

// beat asks once, and has it asked again an interval from now, or when it has answered
// if that takes longer.
func (s *HeartbeatSender[K, R]) beat(key K, p *peer[R]) {
	due, answered := false, false
	again := func() {
		if due && answered {
			s.beat(key, p)
		}
	}
	p.next = s.loop.After(s.cfg.Interval, func() { due = true; again() })
	p.asked = time.Now()
	p.call = begin(s.loop, func(ctx context.Context) {
		report, err := p.ask(ctx)
		_ = s.loop.Tell(func() { // if the loop has ended, so has the monitor
			if s.peers[key] == p {
				answered = true
				s.answered(key, p, report, err)
			}
			if s.peers[key] == p {
				again()
			}
		})
	})
}

func (s *HeartbeatSender[K, R]) answered(key K, p *peer[R], report R, err error) {
	if err == nil {
		p.failures = 0
		p.timeout()
		s.await(key, p, s.cfg.Timeout)
		s.cfg.OnReport(key, report)
		return
	}
	p.failures++
	if p.failures >= s.cfg.Failures || s.cfg.Final(err) {
		s.lose(key, p, fmt.Errorf("heartbeat failed, %d in a row: %w", p.failures, err))
	}
}

// lose gives the signal of a monitor that is not over.
func (s *HeartbeatSender[K, R]) lose(key K, p *peer[R], err error) {
	if s.peers[key] != p {
		return
	}
	s.Unmonitor(key)
	s.cfg.OnLost(key, err)
}
