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

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/leader"
)

// target returns the leader of a term, always at the same address.
func target(epoch leader.Epoch) Target {
	return Target{
		Address: "127.0.0.1:7421", Endpoint: "dispatcher",
		Term: leader.TermID{SessionID: leader.SessionID(fmt.Sprintf("s%d", epoch)), Epoch: epoch},
	}
}

// scene is a connection on an endpoint, with a leader that tests play.
type scene struct {
	t       *testing.T
	loop    *Endpoint
	conn    *Connection[string, int]
	stop    func() error
	log     []string // what happened, touched on the loop only
	begun   time.Time
	hungUp  []string // touched on the loop only
	dial    func(ctx context.Context, t Target) (string, error)
	answer  func(ctx context.Context, gateway string, t Target) (int, error)
	goodbye func(ctx context.Context, gateway string)
	serve   func(ctx context.Context, gateway string) error
	lost    func() // on the loop
	failed  func(err error)
	logged  strings.Builder
}

// play runs f in a bubble with a connection whose leader accepts everything.
func play(t *testing.T, retry Retry, f func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, begun: time.Now()}
		s.dial = func(_ context.Context, t Target) (string, error) { return "to " + string(t.Term.SessionID), nil }
		s.answer = func(context.Context, string, Target) (int, error) { return 1, nil }
		s.loop = newEndpoint(t, EndpointConfig{Checked: true})
		var err error
		s.conn, err = NewConnection(s.loop, ConnectionConfig[string, int]{
			Name: "worker w1", Retry: retry,
			Dial: func(ctx context.Context, to Target) (string, func(), error) {
				gateway, err := s.dial(ctx, to)
				if err != nil {
					return "", nil, err
				}
				return gateway, func() { _ = s.loop.Tell(func() { s.hungUp = append(s.hungUp, gateway) }) }, nil
			},
			Register: func(ctx context.Context, gateway string, to Target) (int, error) { return s.answer(ctx, gateway, to) },
			OnConnected: func(c Connected[string, int]) {
				s.note("connected %s, %d", c.Gateway, c.Reply)
			},
			Serve: func(ctx context.Context, c Connected[string, int]) error {
				if s.serve == nil {
					return nil
				}
				return s.serve(ctx, c.Gateway)
			},
			OnLost: func(c Connected[string, int], reason error) {
				s.note("lost %s: %v", c.Gateway, reason)
				if s.lost != nil {
					s.lost()
				}
			},
			OnFailed: func(_ Target, err error) {
				if s.loop.Check(); s.failed != nil {
					s.failed(err)
				}
			},
			Logger: hclog.New(&hclog.LoggerOptions{Output: &s.logged, Level: hclog.Info}), FailureLevel: hclog.Info,
			OnRejected: func(t Target, _ error) { s.note("rejected by %s", t.Term.SessionID) },
			Farewell: func(ctx context.Context, gateway string, _ error) {
				if s.goodbye != nil {
					s.goodbye(ctx, gateway)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.stop = started(t, s.loop)
		f(s)
		_ = s.stop()
	})
}

// note is called on the loop.
func (s *scene) note(format string, args ...any) {
	s.loop.Check()
	s.log = append(s.log, fmt.Sprintf("%v: ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

// do runs fn on the loop and lets everything come to rest.
func (s *scene) do(fn func()) {
	s.t.Helper()
	if _, err := Ask(s.t.Context(), s.loop, func() (int, error) { fn(); return 0, nil }); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// saw checks what has happened so far, and forgets it.
func (s *scene) saw(want ...string) {
	s.t.Helper()
	s.do(func() {
		if !slices.Equal(s.log, want) {
			s.t.Errorf("saw\n%s\nwant\n%s", strings.Join(s.log, "\n"), strings.Join(want, "\n"))
		}
		s.log = nil
	})
}

// after lets time pass.
func (s *scene) after(d time.Duration) { <-time.After(d); synctest.Wait() }

func TestConnectsAndRegistersAtTheTarget(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.saw("0s: connected to s1, 1")
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.saw() // it is the same
		s.do(func() {
			if c, ok := s.conn.Current(); !ok || c.Gateway != "to s1" || s.conn.Target() != target(1) {
				t.Errorf("current is %+v, %v", c, ok)
			}
		})
	})
}

func TestNewLeaderAtTheSameAddressIsConnectedTo(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.do(func() { s.conn.SetTarget(target(2)) })
		s.saw("0s: connected to s1, 1", "0s: lost to s1: another leader is followed", "0s: connected to s2, 1")
		s.do(func() { s.conn.SetTarget(Target{}) })
		s.saw("0s: lost to s2: another leader is followed")
		s.do(func() {
			if !slices.Equal(s.hungUp, []string{"to s1", "to s2"}) {
				t.Errorf("hung up %v, want both, once", s.hungUp)
			}
		})
	})
}

func TestLateAnswerOfASupersededRegistrationIsIgnored(t *testing.T) {
	for name, heeds := range map[string]bool{"that heeds the cancel": true, "that answers all the same": false} {
		t.Run(name, func(t *testing.T) {
			play(t, Retry{Timeout: time.Hour, MaxTimeout: time.Hour}, func(s *scene) {
				s.answer = func(ctx context.Context, _ string, to Target) (int, error) {
					if to != target(1) {
						return 2, nil
					}
					select {
					case <-time.After(time.Minute):
					case <-map[bool]<-chan struct{}{true: ctx.Done()}[heeds]:
						return 0, ctx.Err()
					}
					return 1, nil
				}
				s.do(func() { s.conn.SetTarget(target(1)) })
				s.after(time.Second)
				s.do(func() { s.conn.SetTarget(target(2)) })
				s.after(time.Hour)
				s.saw("1s: connected to s2, 2")
				s.do(func() {
					if !slices.Equal(s.hungUp, []string{"to s1"}) {
						t.Errorf("hung up %v, want the superseded one", s.hungUp)
					}
				})
			})
		})
	}
}

func TestAnswerThatCameBeforeItWasSupersededIsIgnored(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		var told []string
		s.goodbye = func(_ context.Context, gateway string) { told = append(told, gateway) }
		s.do(func() {
			s.conn.SetTarget(target(1))
			<-time.After(time.Second) // it is registered, and the answer waits for the loop
			s.conn.SetTarget(target(2))
		})
		s.saw("1s: connected to s2, 1")
		s.do(func() {
			if want := []string{"to s1"}; !slices.Equal(s.hungUp, want) || !slices.Equal(told, want) {
				t.Errorf("hung up %v after a farewell to %v, want the superseded one", s.hungUp, told)
			}
		})
	})
}

func TestTimeoutsDoubleAndErrorsWait(t *testing.T) {
	play(t, Retry{MaxTimeout: time.Second}, func(s *scene) {
		var calls []string
		call := func(what string) { calls = append(calls, fmt.Sprintf("%v %s", time.Since(s.begun), what)) }
		s.dial = func(context.Context, Target) (string, error) {
			call("dial")
			if len(calls) == 1 {
				return "", ErrRefused
			}
			return "gw", nil
		}
		silent := true
		s.answer = func(ctx context.Context, _ string, _ Target) (int, error) {
			call("register")
			if len(calls) == 8 {
				silent = false
				return 0, errors.New("refused")
			}
			if silent {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 3, nil
		}
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.after(time.Minute)
		want := []string{
			"0s dial", "1s dial", "1s register", "1.1s register", "1.3s register", "1.7s register", "2.5s register", "3.5s register",
			"4.5s dial", "4.5s register",
		}
		if !slices.Equal(calls, want) {
			t.Errorf("called\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
		}
		s.saw("4.5s: connected gw, 3")
	})
}

func TestRejectionIsFinalForItsTarget(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.answer = func(_ context.Context, _ string, to Target) (int, error) {
			if to == target(1) {
				return 0, fmt.Errorf("other cluster: %w", ErrRejected)
			}
			return 2, nil
		}
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.after(time.Hour)
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.saw("0s: rejected by s1")
		s.do(func() { s.conn.Reconnect(errors.New("try again")) })
		s.saw("1h0m0s: rejected by s1")
		s.do(func() { s.conn.SetTarget(target(2)) })
		s.saw("1h0m0s: connected to s2, 2")
	})
}

func TestReconnectsWhenTold(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.do(func() { s.conn.Reconnect(errors.New("nothing is followed")) })
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.do(func() { s.conn.Reconnect(ErrHeartbeatTimeout) })
		s.saw("0s: connected to s1, 1", "0s: lost to s1: heartbeat timed out", "0s: connected to s1, 1")
	})
}

func TestFailuresInARowAreToldAndWaitLongerAndAreLoggedLessAndLess(t *testing.T) {
	play(t, Retry{Delay: 100 * time.Millisecond, MaxDelay: time.Second}, func(s *scene) {
		var at []time.Duration
		s.dial = func(context.Context, Target) (string, error) { return "", ErrRefused }
		s.failed = func(err error) {
			if at = append(at, time.Since(s.begun)); !errors.Is(err, ErrRefused) {
				t.Errorf("OnFailed was told %v", err)
			}
		}
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.after(4 * time.Second)
		const ms = time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 2500 * ms, 3500 * ms}
		if !slices.Equal(at, want) {
			t.Errorf("failed at %v, want %v", at, want)
		}
		var told []string
		for _, n := range []string{"1", "2", "3", "4", "5", "6", "7"} {
			if strings.Contains(s.logged.String(), "failures="+n+" ") {
				told = append(told, n)
			}
		}
		if want := []string{"1", "2", "4"}; !slices.Equal(told, want) {
			t.Errorf("of 7 failures in a row %v were logged, want %v:\n%s", told, want, s.logged.String())
		}
		s.do(func() { s.conn.SetTarget(Target{}) })
		s.after(time.Minute)
		if len(at) != len(want) {
			t.Errorf("%d failures were told, want none of a target that was left", len(at))
		}
	})
}

func TestLostConnectionIsMadeAgainAfterAPause(t *testing.T) {
	play(t, Retry{Pause: 100 * time.Millisecond}, func(s *scene) {
		turns := 0
		s.serve = func(ctx context.Context, _ string) error {
			if turns++; turns > 3 {
				<-ctx.Done()
				return nil
			}
			return ErrStopped
		}
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.after(time.Minute)
		s.saw("0s: connected to s1, 1", "0s: lost to s1: component has stopped",
			"100ms: connected to s1, 1", "100ms: lost to s1: component has stopped",
			"200ms: connected to s1, 1", "200ms: lost to s1: component has stopped", "300ms: connected to s1, 1")
		s.do(func() { s.conn.Reconnect(errors.New("once more")) })
		s.do(func() { s.conn.SetTarget(target(2)) }) // another leader is not waited for
		s.saw("1m0s: lost to s1: once more", "1m0s: connected to s2, 1")
		s.after(time.Minute)
		s.saw()
	})
}

func TestServingEndsWithTheConnectionAndBeforeItIsHungUp(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		var served []string
		s.serve = func(ctx context.Context, gateway string) error {
			<-ctx.Done()
			<-time.After(time.Second) // something is still under way
			_ = s.loop.Tell(func() { served = append(served, fmt.Sprintf("%v %s", s.hungUp, gateway)) })
			return errors.New("too late to count")
		}
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.do(func() { s.conn.SetTarget(target(2)) })
		s.saw("0s: connected to s1, 1", "0s: lost to s1: another leader is followed", "0s: connected to s2, 1")
		s.after(2 * time.Second)
		s.do(func() {
			if !slices.Equal(served, []string{"[] to s1"}) || !slices.Equal(s.hungUp, []string{"to s1"}) {
				t.Errorf("served %q and hung up %q, want the first of both, in that order", served, s.hungUp)
			}
		})
		s.saw()
	})
}

func TestComponentMaySetAnotherTargetWhenAConnectionIsLost(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.do(func() { s.conn.SetTarget(target(1)) })
		s.lost = func() { s.lost = nil; s.conn.SetTarget(target(3)) }
		s.do(func() { s.conn.SetTarget(target(2)) })
		s.saw("0s: connected to s1, 1", "0s: lost to s1: another leader is followed", "0s: connected to s3, 1")
		s.lost = func() { s.conn.SetTarget(Target{}) }
		s.do(func() { s.conn.Reconnect(ErrStopped) })
		s.after(time.Minute)
		s.saw("0s: lost to s3: component has stopped")
		s.do(func() {
			if got := s.conn.Target(); got != (Target{}) {
				t.Errorf("%v is followed, want none", got)
			}
		})
	})
}

func TestRegistrationsAreNotRepeatedSoonerThanTheyAreAnswered(t *testing.T) {
	var pace Pace
	tries := func(t *testing.T, takes time.Duration) (at []time.Duration) {
		play(t, Retry{Pace: &pace}, func(s *scene) {
			s.answer = func(ctx context.Context, _ string, _ Target) (int, error) {
				at = append(at, time.Since(s.begun))
				select {
				case <-time.After(takes):
					return 1, nil
				case <-ctx.Done():
					return 0, ctx.Err()
				}
			}
			s.do(func() { s.conn.SetTarget(target(1)) })
			s.after(time.Minute)
		})
		return at
	}
	const takes = 300 * time.Millisecond
	if got, want := tries(t, takes), []time.Duration{0, 100e6, 300e6}; !slices.Equal(got, want) {
		t.Errorf("the first registered at %v, want %v", got, want)
	}
	if got := tries(t, takes); len(got) != 1 {
		t.Errorf("the next one registered %d times, want once: it is known how long it takes", len(got))
	}
	pace.took(time.Hour)
	if got := pace.first(takes); got != maxPace {
		t.Errorf("a registration may take %v at first, want at most %v", got, maxPace)
	}
}

func TestConnectionEndsWithItsLoop(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		s.answer = func(ctx context.Context, _ string, _ Target) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		s.do(func() { s.conn.SetTarget(target(1)) })
		_ = s.stop()
		if took := time.Since(s.begun); took != 0 {
			t.Errorf("the loop ended after %v", took)
		}
	})
}

func TestConnectionIsUsedOnItsLoopOnly(t *testing.T) {
	play(t, Retry{}, func(s *scene) {
		defer func() {
			if recover() == nil {
				t.Error("SetTarget elsewhere did not panic")
			}
		}()
		s.conn.SetTarget(target(1))
	})
}

func TestConnectionConfigIsChecked(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	full := ConnectionConfig[string, int]{
		Dial:        func(context.Context, Target) (string, func(), error) { return "", nil, nil },
		Register:    func(context.Context, string, Target) (int, error) { return 0, nil },
		OnConnected: func(Connected[string, int]) {}, OnLost: func(Connected[string, int], error) {},
	}
	if _, err := NewConnection(e, full); err != nil {
		t.Error(err)
	}
	negative, reversed, shrinking := full, full, full
	negative.Retry.Delay = -1
	reversed.Retry.Timeout = time.Hour
	shrinking.Retry.MaxDelay = time.Millisecond
	for name, cfg := range map[string]ConnectionConfig[string, int]{
		"nothing": {}, "negative": negative, "time-outs": reversed, "delays": shrinking,
	} {
		if _, err := NewConnection(e, cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
