package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

func TestTakeOverRecoversEverythingAndThenPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		var steps []Step
		var found [3]int
		w.hooks.OnStep = func(s Step, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			steps = append(steps, s)
		}
		w.hooks.OnRecovered = func(jobs, dirty, quarantined int) { found = [3]int{jobs, dirty, quarantined} }
		w.has([]job.ID{"a", "b"}, []job.ID{"dirty"}, []job.ID{"clean"})
		atPublish := -1
		term := &fakeTerm{epoch: 2, publish: func(ctx context.Context) error {
			d, err := w.coordinator().Dispatcher()
			if err != nil {
				return fmt.Errorf("published before the gateway was there: %w", err)
			}
			all, err := d.Jobs(ctx)
			atPublish = len(all)
			return err
		}}
		l := w.lead(term)

		if want := []Step{StepAwait, StepResults, StepGraphs, StepStart, StepPublish}; !slices.Equal(steps, want) {
			t.Errorf("steps %v, want %v", steps, want)
		}
		if want := [3]int{2, 1, 0}; found != want {
			t.Errorf("recovered (jobs, dirty, quarantined) %v, want %v", found, want)
		}
		if atPublish != 4 {
			t.Errorf("the gateway listed %d jobs when the leader was published, want 4", atPublish)
		}
		if p := term.publications(); len(p) != 1 || p[0].Address != "http://127.0.0.1:7420" || p[0].RPCAddress != "127.0.0.1:7421" {
			t.Errorf("published %+v, want the configured addresses once", p)
		}
		if want := []leader.Phase{leader.PhaseRecovering}; !slices.Equal(term.phases, want) {
			t.Errorf("phases %v, want %v", term.phases, want)
		}
		for _, id := range []job.ID{"a", "b"} {
			if r := w.runners.only(t, id); !r.a.Recovered || r.a.Epoch != 2 || r.a.SessionID != "session-2" {
				t.Errorf("assignment of %s is %+v, want a recovered one of epoch 2", id, r.a)
			}
			w.wantStatus(id, job.StatusRunning)
		}
		for _, id := range []job.ID{"dirty", "clean"} {
			if n := len(w.runners.of(id)); n != 0 {
				t.Errorf("job %s has a result and was run %d times", id, n)
			}
			w.wantStatus(id, job.StatusFinished)
		}
		if err := l.stop(); err != nil {
			t.Errorf("Lead returned %v after its term ended, want nil", err)
		}
		if _, err := w.coordinator().Dispatcher(); !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("a dispatcher after the term: error %v, want ErrNotLeader", err)
		}
	})
}

func TestTermLostBeforeLeadDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.coordinator().lead(ctx, &fakeTerm{epoch: 1}); err != nil {
			t.Errorf("Lead returned %v, want nil", err)
		}
		if n := w.backend.count(); n != 0 {
			t.Errorf("the store was called %d times, want never", n)
		}
	})
}

func TestTermLostWhilePublishingIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		term := &fakeTerm{epoch: 1, publish: func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", leader.ErrFenced, context.Cause(ctx))
		}}
		l := w.lead(term)
		if err := l.stop(); err != nil {
			t.Errorf("Lead returned %v, want nil", err)
		}
	})
}

func TestFencedPublicationEndsTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1, publish: func(context.Context) error { return leader.ErrFenced }})
		if err := <-l.done; !errors.Is(err, leader.ErrFenced) {
			t.Errorf("Lead returned %v, want one that wraps ErrFenced", err)
		}
	})
}

func TestNextProcessStartsOnlyAfterTheFormerEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"slow"}, nil, nil)
		w.runners.dress = func(r *fakeRunner) {
			r.lingers = func() (job.Snapshot, error) {
				<-time.After(3 * time.Second)
				return job.Snapshot{}, context.Canceled
			}
		}
		first := w.lead(&fakeTerm{epoch: 1})
		first.cancel(errInjected)
		before := w.backend.count()

		second := w.lead(&fakeTerm{epoch: 2})
		lost := w.lead(&fakeTerm{epoch: 2}) // a term that ends while it waits
		if err := lost.stop(); err != nil {
			t.Errorf("Lead returned %v for a term that ended while it waited, want nil", err)
		}
		if n := w.backend.count(); n != before {
			t.Errorf("the next process read the store %d times while the former was closing", n-before)
		}
		began := time.Now()
		if err := <-first.done; err != nil {
			t.Errorf("former Lead returned %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("former process ended after %v, want 3s", took)
		}
		synctest.Wait()
		if n := len(second.term.publications()); n != 1 {
			t.Errorf("next process published %d times, want once", n)
		}
		if n := len(w.runners.of("slow")); n != 2 {
			t.Errorf("job has had %d runners, want one in each term", n)
		}
		if err := second.stop(); err != nil {
			t.Error(err)
		}
	})
}

// endingService is a dispatcher that ends by itself with err after a signal.
type endingService struct {
	Service
	end chan error
}

func (s endingService) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = s.Service.Run(ctx)
	}()
	select {
	case err := <-s.end:
		cancel()
		<-ran
		return err
	case <-ran:
		return errInjected // what a dispatcher says while it stops does not matter
	}
}

func TestDispatcherThatEndsWhileRunningEndsTheTerm(t *testing.T) {
	for name, end := range map[string]error{"with an error": errInjected, "without one": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ends := make(chan error, 1)
				w.dispatcher = func(s Service) Service { return endingService{s, ends} }
				l := w.lead(&fakeTerm{epoch: 1})
				d := w.gateway()
				ends <- end
				err := <-l.done
				if !errors.Is(err, ErrDispatcherEnded) || (end != nil && !errors.Is(err, end)) {
					t.Errorf("Lead returned %v, want ErrDispatcherEnded with %v", err, end)
				}
				if _, err := d.Jobs(t.Context()); !errors.Is(err, gateway.ErrNotLeader) {
					t.Errorf("Jobs after the end: %v, want ErrNotLeader", err)
				}
			})
		})
	}
}

func TestDispatcherThatEndsWithItsTermIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dispatcher = func(s Service) Service { return endingService{s, make(chan error)} }
		if err := w.lead(&fakeTerm{epoch: 1}).stop(); err != nil {
			t.Errorf("Lead returned %v, want nil", err)
		}
	})
}

func TestDispatcherThatEndsBeforeItStartedIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.dispatcher = func(s Service) Service { return brokenService{s} }
		l := w.lead(&fakeTerm{epoch: 1})
		if err := <-l.done; !errors.Is(err, ErrDispatcherEnded) {
			t.Errorf("Lead returned %v, want ErrDispatcherEnded", err)
		}
		if p := l.term.publications(); len(p) != 0 {
			t.Errorf("published %v, want nothing", p)
		}
	})
}

type brokenService struct{ Service }

func (brokenService) Run(context.Context) error { return errInjected }

// startingService ends while it says that it has started.
type startingService struct{ brokenService }

func (startingService) Started() <-chan struct{} {
	<-time.After(time.Second) // Run has returned by now
	started := make(chan struct{})
	close(started)
	return started
}

func TestDispatcherThatEndsWhileItIsPublishedEndsTheTerm(t *testing.T) {
	for range 20 { // two channels are ready at once, and either may be chosen
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.dispatcher = func(s Service) Service { return startingService{brokenService{s}} }
			l := w.lead(&fakeTerm{epoch: 1})
			if err := <-l.done; !errors.Is(err, ErrDispatcherEnded) {
				t.Errorf("Lead returned %v, want ErrDispatcherEnded", err)
			}
			if p := l.term.publications(); len(p) != 0 {
				t.Errorf("published %v, want nothing", p)
			}
		})
	}
}

func TestProcessStatesChangeInOneDirection(t *testing.T) {
	type change struct{ from, to processState }
	allowed := map[change]bool{
		{processCreated, processRunning}: true,
		{processCreated, processStopped}: true,
		{processRunning, processStopped}: true,
	}
	for from := processCreated; from <= processStopped; from++ {
		for to := processCreated; to <= processStopped; to++ {
			if got := from.mayBecome(to); got != allowed[change{from, to}] {
				t.Errorf("%d may become %d: %v", from, to, got)
			}
		}
	}
}
