package coordinator

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/job"
)

// failingCleaner fails for the job "bad" while it is told to, and notes when.
type failingCleaner struct {
	mu    sync.Mutex
	fails bool
	tries []time.Duration
	began time.Time
}

func (c *failingCleaner) Name() string { return "files" }

func (c *failingCleaner) Clean(_ context.Context, id job.ID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id != "bad" {
		return nil
	}
	c.tries = append(c.tries, time.Since(c.began))
	if c.fails {
		return errInjected
	}
	return nil
}

func (c *failingCleaner) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = false
}

func TestFailingCleanUpIsRetriedAndBlocksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		files := &failingCleaner{fails: true, began: time.Now()}
		other := 0
		w.cleaners = []Cleaner{files, fakeCleaner{"network", func(_ context.Context, id job.ID) error {
			if id == "bad" {
				other++
			}
			return nil
		}}}
		failures := 0
		w.hooks.OnCleanupFailed = func(string) { failures++ }
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("bad")
		w.end("bad", job.StatusFinished)
		w.submit("good")
		w.end("good", job.StatusFinished)

		if left := w.backend.has("jobresults/clean", "good"); len(left) != 1 {
			t.Errorf("another job's result: %v, want it clean", left)
		}
		w.wantStatus("bad", job.StatusFinished)
		report, err := w.dispatcherNow().Report(t.Context())
		if err != nil || len(report.Dirty) != 1 || report.Dirty[0].ID != "bad" || !strings.Contains(report.Dirty[0].Failures["files"], "injected") {
			t.Errorf("report %+v, error %v; want bad with its failure", report, err)
		}

		<-time.After(4*time.Hour + time.Minute)
		synctest.Wait()
		if want := backoffs(time.Second, time.Hour, 4*time.Hour+time.Minute); !slices.Equal(files.tries, want) {
			t.Errorf("tries at %v, want %v", files.tries, want)
		}
		if failures != len(files.tries) {
			t.Errorf("%d failures were reported of %d", failures, len(files.tries))
		}
		if left := w.backend.has("jobresults/dirty", "bad"); len(left) != 1 {
			t.Errorf("dirty results: %v, want it kept until it is cleaned", left)
		}
		files.mend()
		<-time.After(time.Hour)
		synctest.Wait()
		if left := w.backend.has("/bad"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if other != 1 {
			t.Errorf("a cleaner that had succeeded ran %d times", other)
		}
		if report, err := w.dispatcherNow().Report(t.Context()); err != nil || len(report.Dirty) != 0 {
			t.Errorf("report %+v, error %v; want nothing dirty", report, err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

// backoffs returns when tries fall that double from first to longest, up to end.
func backoffs(first, longest, end time.Duration) []time.Duration {
	var at []time.Duration
	for next, delay := time.Duration(0), first; next <= end; delay = min(2*delay, longest) {
		at = append(at, next)
		next += delay
	}
	return at
}

func TestCleanUpInBackOffEndsWithTheTermAndGoesOnInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"bad"}, nil)
		files := &failingCleaner{fails: true, began: time.Now()}
		w.cleaners = []Cleaner{files}
		l := w.lead(&fakeTerm{epoch: 2})
		<-time.After(20 * time.Minute)
		before := time.Now()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("the term took %v to end, want no waiting for the back-off", took)
		}
		if left := w.backend.has("jobresults/dirty", "bad"); len(left) != 1 {
			t.Errorf("dirty results: %v, want the one that was not cleaned", left)
		}
		files.mend()
		next := w.lead(&fakeTerm{epoch: 3})
		if left := w.backend.has("/bad"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if err := next.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTransactionToCleanIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"a"}, nil)
		cleaned, failed := 0, 0
		w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error { cleaned++; return nil }}}
		w.backend.set(anyCommitBelow("jobresults/dirty", func(context.Context) error {
			if failed++; failed <= 3 {
				return errInjected
			}
			return nil
		}))
		l := w.lead(&fakeTerm{epoch: 2})
		<-time.After(time.Minute)
		synctest.Wait()
		if left := w.backend.has("/a"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if cleaned != 1 {
			t.Errorf("the cleaner ran %d times, want once", cleaned)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestPanicOfACleanerKeepsTheResultDirty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"a"}, nil)
		w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error { panic("boom") }}}
		l := w.lead(&fakeTerm{epoch: 2})
		var p *PanicError
		if err := <-l.done; !errors.As(err, &p) {
			t.Errorf("Lead returned %v, want the panic", err)
		}
		if left := w.backend.has("jobresults/dirty", "/a"); len(left) != 1 {
			t.Errorf("dirty results: %v, want the one that was not cleaned", left)
		}
	})
}

func TestReportShowsOnlyTheCleanersThatStillFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"bad"}, nil)
		files := &failingCleaner{fails: true, began: time.Now()}
		w.cleaners = []Cleaner{files, fakeCleaner{"network", func(context.Context, job.ID) error { return errInjected }}}
		l := w.lead(&fakeTerm{epoch: 2})
		failing := func() []string {
			r, err := w.dispatcherNow().Report(t.Context())
			if err != nil || len(r.Dirty) != 1 {
				t.Fatalf("report %+v, error %v; want one dirty job", r, err)
			}
			return slices.Sorted(maps.Keys(r.Dirty[0].Failures))
		}
		if got, want := failing(), []string{"files", "network"}; !slices.Equal(got, want) {
			t.Errorf("failing %v, want %v", got, want)
		}
		files.mend()
		<-time.After(time.Minute)
		synctest.Wait()
		if got, want := failing(), []string{"network"}; !slices.Equal(got, want) {
			t.Errorf("failing %v, want %v", got, want)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}
