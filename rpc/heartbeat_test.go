package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hearts runs f in a bubble with an endpoint for heartbeats to live on. Functions that
// are noted with come on it.
type hearts struct {
	t     *testing.T
	loop  *Endpoint
	begun time.Time
	log   []string
}

func beating(t *testing.T, f func(h *hearts)) {
	synctest.Test(t, func(t *testing.T) {
		h := &hearts{t: t, loop: newEndpoint(t, EndpointConfig{Checked: true}), begun: time.Now()}
		stop := started(t, h.loop)
		f(h)
		_ = stop()
	})
}

func (h *hearts) note(format string, args ...any) {
	h.loop.Check()
	h.log = append(h.log, fmt.Sprintf("%v: ", time.Since(h.begun))+fmt.Sprintf(format, args...))
}

func (h *hearts) do(fn func()) {
	h.t.Helper()
	if _, err := Ask(h.t.Context(), h.loop, func() (int, error) { fn(); return 0, nil }); err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
}

func (h *hearts) saw(want ...string) {
	h.t.Helper()
	h.do(func() {
		if !slices.Equal(h.log, want) {
			h.t.Errorf("saw\n%s\nwant\n%s", strings.Join(h.log, "\n"), strings.Join(want, "\n"))
		}
		h.log = nil
	})
}

func (h *hearts) after(d time.Duration) { <-time.After(d); synctest.Wait() }

// sender returns one with the defaults that notes what it is told.
func (h *hearts) sender(final func(error) bool) *HeartbeatSender[string, int] {
	h.t.Helper()
	s, err := NewHeartbeatSender(h.loop, HeartbeatSenderConfig[string, int]{
		Final:    final,
		OnReport: func(key string, report int) { h.note("%s has %d", key, report) },
		OnLost:   func(key string, err error) { h.note("lost %s: %v", key, err) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestAsksInAnInterval(t *testing.T) {
	beating(t, func(h *hearts) {
		s, n := h.sender(nil), 0
		h.do(func() { s.Monitor("w1", func(context.Context) (int, error) { n++; return n, nil }) })
		h.after(5 * time.Second)
		h.saw("0s: w1 has 1", "2s: w1 has 2", "4s: w1 has 3")
		h.do(func() { s.Unmonitor("w1"); s.Unmonitor("w1") })
		h.after(time.Hour)
		h.saw()
	})
}

func TestPeerThatDoesNotAnswerIsLostOnce(t *testing.T) {
	beating(t, func(h *hearts) {
		s, calls, ended := h.sender(nil), 0, false
		h.do(func() {
			s.Monitor("w1", func(ctx context.Context) (int, error) {
				if calls++; calls <= 2 {
					return calls, nil
				}
				<-ctx.Done()
				ended = true
				return 0, ctx.Err()
			})
		})
		h.after(time.Hour)
		h.saw("0s: w1 has 1", "2s: w1 has 2", "12s: lost w1: heartbeat timed out: no answer for 10s")
		if calls != 3 || !ended {
			t.Errorf("called %d times, the last one cancelled: %v; want 3, one at a time", calls, ended)
		}
	})
}

func TestPeerIsLostAfterFailuresInARow(t *testing.T) {
	beating(t, func(h *hearts) {
		s, n := h.sender(nil), 0
		works := []bool{false, true, false, true, true, false, false}
		h.do(func() {
			s.Monitor("w1", func(context.Context) (int, error) {
				n++
				if works[n-1] {
					return n, nil
				}
				return 0, ErrRefused
			})
		})
		h.after(time.Hour)
		h.saw("2s: w1 has 2", "6s: w1 has 4", "8s: w1 has 5", "12s: lost w1: heartbeat failed, 2 in a row: connection was refused")
	})
}

func TestPeerThatWasJustHeardIsAskedLater(t *testing.T) {
	beating(t, func(h *hearts) {
		n := 0
		s, err := NewHeartbeatSender(h.loop, HeartbeatSenderConfig[string, int]{
			Delay:    time.Second,
			OnReport: func(key string, report int) { h.note("%s has %d", key, report) },
			OnLost:   func(key string, err error) { h.note("lost %s: %v", key, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
		h.do(func() {
			s.Monitor("w1", func(context.Context) (int, error) { n++; return n, nil })
			s.Monitor("silent", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
			s.Monitor("gone", func(context.Context) (int, error) { return 0, nil })
			s.Unmonitor("gone")
		})
		h.after(4 * time.Second)
		h.saw("1s: w1 has 1", "3s: w1 has 2")
		h.do(func() { s.Unmonitor("w1") })
		h.after(time.Hour)
		h.saw("10s: lost silent: heartbeat timed out: no answer for 10s")
	})
}

func TestPeerIsNotLostByAPauseOfThisProcess(t *testing.T) {
	for name, c := range map[string]struct {
		answers int // it gives no more
		saw     []string
	}{
		"it is there": {answers: 100, saw: []string{"0s: w1 has 1", "1m0s: w1 has 2", "1m2s: w1 has 3"}},
		"it has gone": {answers: 1, saw: []string{"0s: w1 has 1", "1m2s: lost w1: heartbeat timed out: no answer for 10s"}},
	} {
		t.Run(name, func(t *testing.T) {
			beating(t, func(h *hearts) {
				s, n := h.sender(nil), 0
				h.do(func() {
					s.Monitor("w1", func(ctx context.Context) (int, error) {
						if n++; n > c.answers {
							<-ctx.Done()
						}
						return n, ctx.Err()
					})
				})
				h.do(func() { <-time.After(time.Minute) })
				h.after(3 * time.Second)
				h.saw(c.saw...)
				h.do(func() { s.Close() })
			})
		})
	}
}

func TestQuestionAfterAPauseHasAnInterval(t *testing.T) {
	beating(t, func(h *hearts) {
		s, n := h.sender(nil), 0
		h.do(func() {
			s.Monitor("w1", func(context.Context) (int, error) {
				if n++; n == 2 {
					<-time.After(time.Second)
				}
				return n, nil
			})
		})
		h.do(func() { <-time.After(DefaultHeartbeatTimeout - time.Second/2) })
		h.after(2 * time.Second)
		h.saw("0s: w1 has 1", "10.5s: w1 has 2", "11.5s: w1 has 3")
		h.do(func() { s.Close() })
	})
}

func TestFinalAnswerLosesThePeerAtOnce(t *testing.T) {
	forgotten := errors.New("not registered here")
	beating(t, func(h *hearts) {
		s := h.sender(func(err error) bool { return errors.Is(err, forgotten) })
		h.do(func() { s.Monitor("w1", func(context.Context) (int, error) { return 0, forgotten }) })
		h.saw("0s: lost w1: heartbeat failed, 1 in a row: not registered here")
	})
}

func TestMonitorThatWasReplacedGivesNoSignal(t *testing.T) {
	beating(t, func(h *hearts) {
		s := h.sender(nil)
		h.do(func() {
			s.Monitor("w1", func(context.Context) (int, error) {
				<-time.After(time.Second) // it answers after it was replaced
				return 0, errors.New("old")
			})
		})
		h.do(func() { s.Monitor("w1", func(context.Context) (int, error) { return 2, nil }) })
		h.after(3 * time.Second)
		h.saw("0s: w1 has 2", "2s: w1 has 2")
		h.do(func() { s.Close() })
		h.after(time.Hour)
		h.saw()
	})
}

func TestSlowAnswerIsNotAskedForTwice(t *testing.T) {
	beating(t, func(h *hearts) {
		s, under := h.sender(nil), 0
		h.do(func() {
			s.Monitor("w1", func(context.Context) (int, error) {
				under++
				defer func() { under-- }()
				<-time.After(5 * time.Second)
				return under, nil
			})
		})
		h.after(16 * time.Second)
		h.saw("5s: w1 has 1", "10s: w1 has 1", "15s: w1 has 1")
		h.do(func() { s.Close() })
		h.after(time.Minute)
	})
}

func TestSilentCallerIsLostOnce(t *testing.T) {
	beating(t, func(h *hearts) {
		r, err := NewHeartbeatReceiver(h.loop, func(key string) { h.note("lost %s", key) })
		if err != nil {
			t.Fatal(err)
		}
		h.do(func() { r.Monitor("rm", 0); r.Monitor("jm", time.Second); r.Monitor("other", 0) })
		for range 5 {
			h.after(4 * time.Second)
			h.do(func() { r.Heard("rm") })
		}
		h.do(func() { r.Unmonitor("other") })
		h.after(time.Hour)
		h.saw("1s: lost jm", "10s: lost other", "30s: lost rm")
		h.do(func() {
			if r.Heard("rm") {
				t.Error("a lost one is still monitored")
			}
			r.Monitor("rm", 0)
			r.Monitor("rm", time.Minute)
			r.Close()
		})
		h.after(time.Hour)
		h.saw()
	})
}

func TestHeartbeatConfigIsChecked(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	onLost := func(string, error) {}
	for name, cfg := range map[string]HeartbeatSenderConfig[string, int]{
		"no OnLost": {},
		"delay":     {OnLost: onLost, Delay: -1},
		"negative":  {OnLost: onLost, Failures: -1},
		"interval":  {OnLost: onLost, Timeout: time.Second, Interval: time.Second},
	} {
		if _, err := NewHeartbeatSender(e, cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if _, err := NewHeartbeatReceiver[string](e, nil); err == nil {
		t.Error("receiver without a call-back: got no error")
	}
}
