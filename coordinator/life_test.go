package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
	"github.com/coordd/coordd/txn"
)

func TestJobEndsDirtyThenCleanedThenClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var mu sync.Mutex
		var order []string
		note := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, s)
		}
		w.backend.set(func(_ context.Context, op, path string) error {
			if op == "commit" {
				note("commit " + folder(path))
			}
			return nil
		})
		w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error { note("clean"); return nil }}}
		w.hooks.OnJobEnded = func(s job.Status) { note("ended " + string(s)) }
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		w.end("a", job.StatusFinished)

		if want := []string{"commit jobgraphs", "commit jobresults/dirty", "ended FINISHED", "clean", "commit jobresults/dirty"}; !slices.Equal(order, want) {
			t.Errorf("order %q, want %q", order, want)
		}
		want := []string{
			"create jobgraphs, create progress",
			"create jobresults/dirty",
			"delete jobresults/dirty, create jobresults/clean, remove jobgraphs, remove progress, remove quarantine, remove outputs",
		}
		if log := w.backend.log(); !slices.Equal(log, want) {
			t.Errorf("transactions\n%s\nwant\n%s", strings.Join(log, "\n"), strings.Join(want, "\n"))
		}
		w.wantStatus("a", job.StatusFinished)
		if err := l.stop(); err != nil {
			t.Error(err)
		}

		next := w.lead(&fakeTerm{epoch: 2})
		w.wantStatus("a", job.StatusFinished) // still in the overview of the next leader
		if err := next.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestEndIsShownOnlyWhenItIsRecorded(t *testing.T) {
	for end, meanwhile := range map[job.Status]job.Status{
		job.StatusFinished: job.StatusRunning,
		job.StatusFailed:   job.StatusFailing,
		job.StatusCanceled: job.StatusCancelling,
	} {
		t.Run(string(end), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				l := w.lead(&fakeTerm{epoch: 1})
				w.submit("a")
				recorded := make(chan struct{})
				w.backend.set(anyCommitBelow("jobresults/dirty", func(context.Context) error { <-recorded; return nil }))
				runner := w.runners.only(t, "a")
				runner.set(end) // the runner knows before Run returns
				w.wantStatus("a", meanwhile)
				runner.end(end)
				synctest.Wait()
				w.wantStatus("a", meanwhile)
				close(recorded)
				synctest.Wait()
				w.wantStatus("a", end)
				if err := l.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestResultsAfterTheTermAreIgnored(t *testing.T) {
	for _, fenced := range []bool{false, true} {
		t.Run(fmt.Sprintf("fenced=%v", fenced), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.runners.dress = func(r *fakeRunner) {
					r.lingers = func() (job.Snapshot, error) { return r.set(job.StatusFinished), nil }
				}
				l := w.lead(&fakeTerm{epoch: 1})
				w.submit("a")
				before := w.backend.log()
				if fenced {
					w.backend.elect(2)
				}
				if err := l.stop(); err != nil {
					t.Error(err)
				}
				if log := w.backend.log(); !slices.Equal(log, before) {
					t.Errorf("written after the term: %v", log[len(before):])
				}
			})
		})
	}
}

func TestFencedResultStopsTheJobQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		w.backend.elect(2) // deposed, and not told yet
		calls := w.backend.count()
		w.end("a", job.StatusFinished)
		w.wantStatus("a", job.StatusRunning)
		<-time.After(time.Hour)
		if n := w.backend.count() - calls; n > 2 {
			t.Errorf("a fenced leader called the store %d times, want it to give up at once", n)
		}
		if left := w.backend.has("jobresults"); len(left) != 0 {
			t.Errorf("a deposed leader recorded %v", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestResultIsTriedAgainWhileTheTermLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		began := time.Now()
		var tries []time.Duration
		w.backend.set(anyCommitBelow("jobresults/dirty", func(context.Context) error {
			tries = append(tries, time.Since(began))
			return errInjected
		}))
		w.end("a", job.StatusFinished)
		<-time.After(time.Second)
		synctest.Wait()
		w.backend.set(nil)
		ms := time.Millisecond
		if want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms}; !slices.Equal(tries, want) {
			t.Errorf("tries at %v, want %v", tries, want)
		}
		w.wantStatus("a", job.StatusRunning)
		<-time.After(time.Second)
		synctest.Wait()
		w.wantStatus("a", job.StatusFinished)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestResultThatIsThereAlreadyIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		// The first try is stored and its reply lost.
		first := result("a")
		if err := w.results.CreateDirty(t.Context(), l.term.Guard(), first); err != nil {
			t.Fatal(err)
		}
		w.end("a", job.StatusFailed)
		w.wantStatus("a", job.StatusFinished)
		res, clean, err := w.results.Get(t.Context(), l.term.Guard(), "a")
		if err != nil || !clean || res.Snapshot.Status != job.StatusFinished {
			t.Errorf("stored result %s, clean %v, error %v; want the first one, clean", res.Snapshot.Status, clean, err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestResultThatIsTooLargeLosesDetailsAndNotTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		limit := 2
		w.backend.set(anyCommitBelow("jobresults/dirty", func(context.Context) error {
			if limit--; limit >= 0 {
				return txn.ErrTooLarge
			}
			return nil
		}))
		w.end("a", job.StatusFinished)
		<-time.After(time.Minute)
		w.wantStatus("a", job.StatusFinished)
		if s, err := w.gateway().Job(t.Context(), "a"); err != nil || len(s.Tasks) != 1 || len(s.Tasks[0].Subtasks) != 0 {
			t.Errorf("snapshot %+v, error %v; want the task without its subtasks", s, err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestLesseningLeavesTheOriginalAlone(t *testing.T) {
	res := result("a")
	res.Snapshot.Tasks[0].Subtasks[0].Output = "long"
	res.Snapshot.Error = strings.Repeat("x", 2*maxError)
	lessen := lessening()
	less := lessen(res)
	if less.Snapshot.Tasks[0].Subtasks[0].Output != "" || len(less.Snapshot.Error) != maxError {
		t.Errorf("first step kept %+v", less)
	}
	if least := lessen(less); len(least.Snapshot.Tasks[0].Subtasks) != 0 || least.Snapshot.Status != job.StatusFinished {
		t.Errorf("second step kept %+v", least)
	}
	if res.Snapshot.Tasks[0].Subtasks[0].Output != "long" {
		t.Error("the original was changed")
	}
}

func TestJobThatFailsToInitialise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"old", "other"}, nil, nil)
		w.runners.fails["old"], w.runners.fails["new"] = errInjected, errInjected
		l := w.lead(&fakeTerm{epoch: 2})
		w.submit("new")

		w.wantStatus("other", job.StatusRunning)
		w.wantStatus("new", job.StatusFailed)
		if left := w.backend.has("jobresults/clean", "/new"); len(left) != 1 {
			t.Errorf("results of the submitted job: %v, want one clean", left)
		}
		w.wantStatus("old", job.StatusSuspended)
		if left := w.backend.has("/old"); len(left) != 3 {
			t.Errorf("left of the recovered job: %v, want graph and progress untouched, and a quarantine record", left)
		}
		if s, created, err := w.gateway().Submit(t.Context(), submission("old", "true")); err != nil || created || s.Status != job.StatusSuspended {
			t.Errorf("submitting it again: %s, created %v, error %v; want the suspended job", s.Status, created, err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}

		delete(w.runners.fails, "old")
		next := w.lead(&fakeTerm{epoch: 3})
		w.wantStatus("old", job.StatusRunning) // the next leader tries it again
		if err := next.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRunnerThatCannotGoOnIsPutAside(t *testing.T) {
	for name, c := range map[string]struct {
		status job.Status
		err    error
		want   job.Status
	}{
		"error":            {job.StatusRunning, errInjected, job.StatusSuspended},
		"status not final": {job.StatusRestarting, nil, job.StatusSuspended},
		"fenced":           {job.StatusRunning, leader.ErrFenced, job.StatusRunning},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				l := w.lead(&fakeTerm{epoch: 1})
				w.submit("a")
				r := w.runners.only(t, "a")
				r.ends <- func() (job.Snapshot, error) { return r.set(c.status), c.err }
				synctest.Wait()
				w.wantStatus("a", c.want)
				if left := w.backend.has("jobresults"); len(left) != 0 {
					t.Errorf("recorded %v for a job that has not ended", left)
				}
				if err := l.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestPanicOfARunnerIsFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		told := make(chan error, 1)
		w.fatal = func(err error) { told <- err }
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("other")
		w.submit("a")
		w.runners.only(t, "a").ends <- func() (job.Snapshot, error) { panic("boom") }
		err := <-l.done
		var p *PanicError
		if !errors.As(err, &p) || p.Job != "a" || !errors.Is(err, ErrDispatcherEnded) || len(p.Stack) == 0 {
			t.Errorf("Lead returned %v, want ErrDispatcherEnded by a panic of job a", err)
		}
		if got := <-told; !errors.Is(got, p) {
			t.Errorf("Fatal was told %v, want the panic", got)
		}
		if left := w.backend.has("jobresults"); len(left) != 0 {
			t.Errorf("a panic recorded %v", left)
		}
	})
}

func TestPanicThatARunnerPassesOnIsToldFromWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("a")
		passed := &rpc.PanicError{Endpoint: "job_master", Value: "boom", Stack: []byte("at its line")}
		w.runners.only(t, "a").ends <- func() (job.Snapshot, error) { panic(passed) }
		var p *PanicError
		if err := <-l.done; !errors.As(err, &p) || p.Value != "boom" || string(p.Stack) != "at its line" {
			t.Errorf("Lead returned %v (%+v), want the panic that the endpoint had", err, p)
		}
	})
}

func TestEntryStatesChangeAsDrawn(t *testing.T) {
	type change struct{ from, to entryState }
	allowed := map[change]bool{
		{accepting, running}:   true,
		{running, ending}:      true,
		{running, quarantined}: true,
		{ending, dirty}:        true,
		{dirty, clean}:         true,
		{quarantined, running}: true,
		{quarantined, ending}:  true,
		{quarantined, dirty}:   true,
	}
	for from := accepting; from <= quarantined; from++ {
		for to := accepting; to <= quarantined; to++ {
			if got := from.mayBecome(to); got != allowed[change{from, to}] {
				t.Errorf("%d may become %d: %v", from, to, got)
			}
		}
	}
}
