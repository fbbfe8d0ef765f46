package retrieval

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/leader"
)

func TestNewNamesTheFieldItRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Config.Driver":    {Component: "x"},
		"Config.Component": {Driver: newScript()},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: error %v, want one that names %s", err, want)
		}
	}
}

func TestRunKeepsTheNewestLeaderUntilItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		if s := l.r.Current(); s != (State{}) {
			t.Errorf("state before the first answer: %+v, want nothing", s)
		}
		now := time.Now()
		if s := l.say(known(info(7, "s7", "http://a"), 70)); s.Status != StatusKnown || s.Info.Epoch != 7 || !s.ObservedAt.Equal(now) {
			t.Errorf("state %+v, want the leader of epoch 7", s)
		}
		if s := l.say(known(info(6, "s6", "http://b"), 71)); s.Info.Epoch != 7 || s.Index != 70 {
			t.Errorf("state after an older leader: %+v, want epoch 7", s)
		}
		l.close(t)
		if s := l.r.Current(); s.Status != StatusUnknown || s.Info.Epoch != 7 {
			t.Errorf("state after Run: %+v, want unknown with the last leader", s)
		}
	})
}

func TestRunReturnsTheDriversError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		broken := errors.New("no rights on /leader")
		l.ends <- broken
		if err := <-l.ended; !errors.Is(err, broken) || !strings.Contains(err.Error(), leader.Dispatcher) {
			t.Errorf("Run returned %v, want the driver's error with the component", err)
		}
		l.stop()
	})
}

func TestSecondRunIsRefusedWhileTheFirstIsActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		if err := l.r.Run(t.Context()); !errors.Is(err, ErrRunning) {
			t.Errorf("second Run returned %v, want ErrRunning", err)
		}
		l.say(known(info(7, "s7", "http://a"), 70))
		l.close(t)

		// A later Run goes on with what was learned.
		ctx, stop := context.WithCancel(t.Context())
		go func() { l.ended <- l.r.Run(ctx) }()
		if s := l.say(known(info(6, "s6", "http://b"), 60)); s.Status != StatusUnknown || s.Info.Epoch != 7 {
			t.Errorf("state after an older leader in a later Run: %+v", s)
		}
		stop()
		if err := <-l.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the later Run returned %v, want the context's error", err)
		}
	})
}

func TestListenerHearsEachChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		var heard []State
		ended := make(chan error, 1)
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			ended <- l.r.Listen(ctx, ListenerFunc(func(s State) { heard = append(heard, s) }))
		}()
		synctest.Wait()
		same := "http://same"
		l.say(none(1))
		l.say(none(2)) // only the index
		l.say(known(info(1, "s1", same), 3))
		l.say(known(info(1, "s1", same), 3)) // again
		l.say(known(info(2, "s2", same), 5)) // another term at the same address
		l.say(known(info(1, "s1", same), 6)) // from a server that is behind
		l.say(Observation{})
		l.say(known(info(2, "s2", same), 5))
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen returned %v, want the context's error", err)
		}
		var got []string
		for _, s := range heard {
			got = append(got, s.Status.String()+" "+string(s.Info.SessionID))
		}
		want := []string{"unknown ", "none ", "known s1", "known s2", "unknown s2", "known s2"}
		if !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		l.close(t)
	})
}

func TestSlowListenerDelaysNobodyAndFindsTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		ctx, stop := context.WithCancel(t.Context())
		let := make(chan struct{})
		var slow, quick []leader.Epoch
		ended := make(chan error, 2)
		go func() {
			ended <- l.r.Listen(ctx, ListenerFunc(func(s State) { slow = append(slow, s.Info.Epoch); <-let }))
		}()
		go func() {
			ended <- l.r.Listen(ctx, ListenerFunc(func(s State) { quick = append(quick, s.Info.Epoch) }))
		}()
		synctest.Wait()
		for epoch := leader.Epoch(1); epoch <= 5; epoch++ {
			l.say(known(info(epoch, epoch.String(), "http://x"), int64(epoch)))
		}
		close(let)
		synctest.Wait()
		stop()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("Listen returned %v, want the context's error", err)
			}
		}
		if want := []leader.Epoch{0, 1, 2, 3, 4, 5}; !slices.Equal(quick, want) {
			t.Errorf("the quick listener heard %v, want %v", quick, want)
		}
		if want := []leader.Epoch{0, 5}; !slices.Equal(slow, want) {
			t.Errorf("the slow listener heard %v, want %v", slow, want)
		}
		l.close(t)
	})
}

func TestListenWithAnEndedContextCallsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		err := l.r.Listen(ctx, ListenerFunc(func(State) { t.Error("the listener was called") }))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Listen returned %v, want the context's error", err)
		}
		l.close(t)
	})
}

func TestWaitReturnsTheFirstStateThatIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		type answer struct {
			s   State
			err error
		}
		leaders, indexes := make(chan answer, 1), make(chan answer, 1)
		go func() {
			s, err := l.r.WaitKnown(t.Context())
			leaders <- answer{s, err}
		}()
		go func() {
			s, err := l.r.WaitIndex(t.Context(), 3)
			indexes <- answer{s, err}
		}()
		l.say(none(3))
		select {
		case a := <-indexes:
			t.Errorf("WaitIndex(3) returned at %+v", a)
		default:
		}
		l.say(none(4)) // nothing but the index has changed
		if a := <-indexes; a.err != nil || a.s.Index != 4 {
			t.Errorf("WaitIndex(3) returned %+v", a)
		}
		l.say(known(info(1, "s1", "http://a"), 5))
		if a := <-leaders; a.err != nil || a.s.Info.Epoch != 1 {
			t.Errorf("WaitKnown returned %+v", a)
		}
		if s, err := l.r.WaitIndex(t.Context(), 4); err != nil || s.Index != 5 {
			t.Errorf("WaitIndex(4) with index 5 returned %+v, %v; want it at once", s, err)
		}
		l.close(t)
	})
}

func TestWaitEndsWithItsContextAndTheNewestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		l.say(none(3))
		ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
		defer stop()
		s, err := l.r.WaitIndex(ctx, 3)
		if !errors.Is(err, context.DeadlineExceeded) || s.Status != StatusNone || s.Index != 3 {
			t.Errorf("WaitIndex returned %+v, %v; want the state and the context's error", s, err)
		}
		l.close(t)
	})
}

func TestStateTellsOfEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := follow(t)
		s, changed := l.r.State()
		for i, o := range []Observation{
			reached, none(3), none(4), known(info(1, "s1", "x"), 5), known(info(2, "s2", "x"), 6), {},
		} {
			l.say(o)
			select {
			case <-changed:
			default:
				t.Errorf("observation %d changed the state %+v without telling", i+1, s)
			}
			s, changed = l.r.State()
		}
		l.say(Observation{})
		l.say(known(info(1, "s1", "x"), 5)) // refused
		select {
		case <-changed:
			t.Error("told of a change where nothing has changed")
		default:
		}
		l.close(t)
	})
}
