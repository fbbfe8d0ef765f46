package rpc

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/internal/stoptest"
	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newEndpoint returns an endpoint that does not run yet.
func newEndpoint(t *testing.T, cfg EndpointConfig) *Endpoint {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "subject"
	}
	e, err := NewEndpoint(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// started runs the endpoint, and returns how to stop it and get what Run returned.
func started(t *testing.T, e *Endpoint) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() { returned <- e.Run(ctx) }()
	for errors.Is(e.Tell(func() {}), ErrNotStarted) {
		runtime.Gosched()
	}
	stop = sync.OnceValue(func() error { cancel(); return <-returned })
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestAskReturnsWhatTheFunctionReturns(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{Checked: true})
	started(t, e)
	got, err := Ask(t.Context(), e, func() (int, error) { e.Check(); return 7, nil })
	if got != 7 || err != nil {
		t.Errorf("got %d, %v, want 7 and no error", got, err)
	}
	failure := errors.New("no")
	if _, err := Ask(t.Context(), e, func() (int, error) { return 0, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v, want the function's error", err)
	}
}

func TestCallsRunOneAtATimeInTheOrderTheyCame(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	started(t, e)
	var inside atomic.Int32
	seen := make(map[int]int) // by caller; only the endpoint touches it
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() {
			for i := range 100 {
				_, err := Ask(t.Context(), e, func() (bool, error) {
					if inside.Add(1) != 1 {
						return false, errors.New("two at a time")
					}
					defer inside.Add(-1)
					if seen[caller] != i {
						return false, errors.New("out of order")
					}
					seen[caller]++
					return true, nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestAfterCallsComesOnceForCallsThatCameTogether(t *testing.T) {
	var run, settled []int // how many calls had run when AfterCalls came
	e := newEndpoint(t, EndpointConfig{Checked: true, AfterCalls: func() { settled = append(settled, len(run)) }})
	stop := started(t, e)
	begun, release := make(chan struct{}), make(chan struct{})
	_ = e.Tell(func() { settled = nil; close(begun); <-release; run = append(run, 0) })
	<-begun
	for n := range 5 {
		_ = e.Tell(func() { e.Check(); run = append(run, n) })
	}
	close(release)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if want := []int{1, 6}; !slices.Equal(settled, want) {
		t.Errorf("AfterCalls came after %v calls, want %v", settled, want)
	}
}

func TestOnStartComesBeforeAllCalls(t *testing.T) {
	var e *Endpoint
	var seen []string // touched on the endpoint only
	told := make(chan error, 2)
	e = newEndpoint(t, EndpointConfig{Checked: true, OnStart: func() {
		e.Check()
		seen = append(seen, "start")
		told <- e.Go(func(context.Context) { told <- e.Tell(func() { seen = append(seen, "told") }) })
	}})
	stop := started(t, e)
	for range 2 {
		if err := <-told; err != nil {
			t.Errorf("an endpoint that starts got %v", err)
		}
	}
	_ = stop()
	if want := []string{"start", "told"}; !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
}

func TestPanicInOnStartEndsTheEndpoint(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{OnStart: func() { panic("boom") }})
	var p *PanicError
	if err := e.Run(t.Context()); !errors.As(err, &p) || p.Value != "boom" {
		t.Errorf("Run returned %v, want the panic", err)
	}
}

func TestPanicInAfterCallsEndsTheEndpoint(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{AfterCalls: func() { panic("boom") }})
	stop := started(t, e)
	<-e.Done()
	var p *PanicError
	if err := stop(); !errors.As(err, &p) || p.Value != "boom" {
		t.Errorf("Run returned %v, want the panic", err)
	}
	if err := e.Tell(func() {}); !errors.Is(err, ErrStopped) {
		t.Errorf("a call afterwards: %v, want ErrStopped", err)
	}
}

func TestCallBeforeStartAndAfterStopAreTold(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	refused := func(want error) {
		t.Helper()
		_, asked := Ask(t.Context(), e, func() (int, error) { return 0, nil })
		for name, err := range map[string]error{
			"Ask": asked, "Tell": e.Tell(func() {}), "Go": e.Go(func(context.Context) {}), "Admit": e.Admit(leader.TermID{}),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s returned %v, want %v", name, err, want)
			}
		}
	}
	refused(ErrNotStarted)
	if err := started(t, e)(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want its context's error", err)
	}
	refused(ErrStopped)
	if err := e.Run(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("the second Run returned %v, want ErrStopped", err)
	}
	select {
	case <-e.Done():
	default:
		t.Error("Done is open after the end")
	}
}

func TestCallsAreServedUntilOnStopHasReturned(t *testing.T) {
	var e *Endpoint
	stopping, served, order := make(chan struct{}), make(chan struct{}), []string{}
	e = newEndpoint(t, EndpointConfig{OnStop: func(ctx context.Context) {
		close(stopping)
		<-served
		if _, err := Ask(ctx, e, func() (int, error) { order = append(order, "stop"); return 0, nil }); err != nil {
			t.Errorf("OnStop asks: %v", err)
		}
		_ = e.Tell(func() { order = append(order, "told last") })
	}})
	stop := started(t, e)
	ended := make(chan error)
	go func() { ended <- stop() }()
	<-stopping
	if _, err := Ask(t.Context(), e, func() (int, error) { order = append(order, "call"); return 0, nil }); err != nil {
		t.Errorf("asked while stopping: %v", err)
	}
	close(served)
	<-ended
	if got := strings.Join(order, ", "); got != "call, stop, told last" {
		t.Errorf("ran %s, want call, stop, told last", got)
	}
}

func TestPanicEndsTheEndpointAndReachesWhoAsked(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, e *Endpoint) error{
		"asked": func(t *testing.T, e *Endpoint) error {
			_, err := Ask(t.Context(), e, func() (int, error) { panic("ouch") })
			return err
		},
		"told": func(_ *testing.T, e *Endpoint) error { return e.Tell(func() { panic("ouch") }) },
		"in a goroutine of it": func(_ *testing.T, e *Endpoint) error {
			return e.Go(func(context.Context) { panic("ouch") })
		},
		"in code that defers Recover": func(_ *testing.T, e *Endpoint) (err error) {
			defer e.Recover(&err)
			panic("ouch")
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, EndpointConfig{OnStop: func(context.Context) { t.Error("OnStop was called") }})
			ended := make(chan error, 1)
			go func() { ended <- e.Run(t.Context()) }()
			for errors.Is(e.Tell(func() {}), ErrNotStarted) {
				runtime.Gosched()
			}
			var p *PanicError
			if err := act(t, e); err != nil && !errors.As(err, &p) {
				t.Errorf("the call returned %v, want nil or a *PanicError", err)
			}
			if err := <-ended; !errors.As(err, &p) || p.Value != "ouch" || len(p.Stack) == 0 {
				t.Errorf("Run returned %v, want a *PanicError with value and stack", err)
			}
			if err := e.Tell(func() {}); !errors.Is(err, ErrStopped) {
				t.Errorf("told afterwards: %v, want ErrStopped", err)
			}
		})
	}
}

func TestPanicDropsWhatWaitsBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t, EndpointConfig{})
		go func() { _ = e.Run(t.Context()) }()
		synctest.Wait()
		hold := make(chan struct{})
		_ = e.Tell(func() { <-hold })
		_ = e.Tell(func() { panic("ouch") })
		waiting := make(chan error)
		go func() {
			_, err := Ask(t.Context(), e, func() (int, error) { t.Error("ran after a panic"); return 0, nil })
			waiting <- err
		}()
		synctest.Wait()
		close(hold)
		if err := <-waiting; !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want ErrStopped", err)
		}
	})
}

func TestAskThatRanOutOfTimeDoesNotRunLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t, EndpointConfig{})
		stop := started(t, e)
		hold := make(chan struct{})
		_ = e.Tell(func() { <-hold })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := Ask(ctx, e, func() (int, error) { t.Error("ran although nobody waits"); return 0, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("got %v after %v, want the deadline's error after 1s", err, time.Since(begun))
		}
		close(hold)
		_ = stop()
	})
}

func TestScheduledCallRunsInTimeUnlessStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEndpoint(t, EndpointConfig{Checked: true})
		stop := started(t, e)
		begun, ran := time.Now(), make(chan time.Duration, 1)
		e.After(time.Minute, func() { e.Check(); ran <- time.Since(begun) })
		never := e.After(time.Minute, func() { t.Error("a stopped one ran") })
		// Due in the same instant; it is stopped on the endpoint before it can run.
		e.After(time.Minute-1, func() { never(); never() })
		if after := <-ran; after != time.Minute {
			t.Errorf("ran after %v, want 1m", after)
		}
		e.After(time.Hour, func() { t.Error("ran after the end") })
		_ = stop()
		e.After(time.Second, func() { t.Error("ran after the end") })
		<-time.After(2 * time.Hour)
	})
}

func TestGoroutinesOfAnEndpointEndWithIt(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	stop := started(t, e)
	var over atomic.Bool
	if err := e.Go(func(ctx context.Context) { <-ctx.Done(); over.Store(true) }); err != nil {
		t.Fatal(err)
	}
	_ = stop()
	if !over.Load() {
		t.Error("Run returned before a goroutine of the endpoint had ended")
	}
}

func TestCheckPanicsElsewhere(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{Checked: true})
	panics := func(fn func()) (value any) {
		defer func() { value = recover() }()
		fn()
		return nil
	}
	if v := panics(e.Check); v != nil {
		t.Errorf("before the start: %v", v)
	}
	stop := started(t, e)
	if v := panics(e.Check); v == nil {
		t.Error("Check on the test's goroutine did not panic")
	}
	_, err := Ask(t.Context(), e, func() (any, error) {
		return panics(func() { _, _ = Ask(t.Context(), e, func() (int, error) { return 0, nil }) }), nil
	})
	if err != nil {
		t.Error(err)
	}
	_ = stop()
	if v := panics(e.Check); v != nil {
		t.Errorf("after the end: %v", v)
	}
}

func TestOnlyTheTermsOwnTokenIsAdmitted(t *testing.T) {
	own, older := leader.TermID{SessionID: "b", Epoch: 2}, leader.TermID{SessionID: "a", Epoch: 1}
	for _, c := range []struct {
		name     string
		own, got leader.TermID
		admitted bool
	}{
		{"its own", own, own, true},
		{"older", own, older, false},
		{"newer", older, own, false},
		{"same epoch, other session", own, leader.TermID{SessionID: "x", Epoch: 2}, false},
		{"none", own, leader.TermID{}, false},
		{"none, and it is not fenced", leader.TermID{}, leader.TermID{}, true},
		{"one, and it is not fenced", leader.TermID{}, own, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t, EndpointConfig{Term: c.own})
			started(t, e)
			if err := e.Admit(c.got); c.admitted != (err == nil) || err != nil && !errors.Is(err, ErrFencingToken) {
				t.Errorf("got %v, admitted should be %v", err, c.admitted)
			}
		})
	}
}

func TestEndpointCanBeStoppedAtAnyTime(t *testing.T) {
	e := newEndpoint(t, EndpointConfig{})
	if err := (stoptest.Subject{
		Run:      func(ctx context.Context) error { return e.Run(ctx) },
		Refusals: []error{ErrStopped},
	}).Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := (stoptest.Subject{
		Run: func(ctx context.Context) error { return newEndpoint(t, EndpointConfig{}).Run(ctx) },
	}).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndpointNeedsAName(t *testing.T) {
	if _, err := NewEndpoint(EndpointConfig{}); err == nil {
		t.Error("got no error")
	}
}
