package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
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
		report, err := w.dispatcherNow().Recovery(t.Context())
		if err != nil || len(report.Dirty) != 1 || report.Dirty[0].ID != "bad" || report.Dirty[0].Status != job.StatusFinished {
			t.Fatalf("report %+v, error %v; want bad alone", report, err)
		}
		want := []gateway.Resource{
			{Name: "files", Failures: 1, Error: errInjected.Error(), NextTry: time.Now().UTC().Add(time.Second)},
			{Name: "stores"},
		}
		if got := report.Dirty[0].Resources; !slices.Equal(got, want) {
			t.Errorf("resources %+v, want %+v", got, want)
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
		if report, err := w.dispatcherNow().Recovery(t.Context()); err != nil || len(report.Dirty) != 0 {
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
			r, err := w.dispatcherNow().Recovery(t.Context())
			if err != nil || len(r.Dirty) != 1 {
				t.Fatalf("report %+v, error %v; want one dirty job", r, err)
			}
			var names []string
			for _, res := range r.Dirty[0].Resources {
				if res.Error != "" {
					names = append(names, res.Name)
				}
			}
			return names
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

// TestAThousandCleanUpsInBackOffHoldNoHandOverUp loses leadership while every one
// of them waits for an hour.
func TestAThousandCleanUpsInBackOffHoldNoHandOverUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		w := newWorld(t)
		for i := range n {
			if err := w.results.CreateDirty(t.Context(), leader.NewGuard(1, "test"), result(job.ID(fmt.Sprintf("job-%d", i)))); err != nil {
				t.Fatal(err)
			}
		}
		var tries atomic.Int64
		var mended atomic.Bool
		w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error {
			tries.Add(1)
			if mended.Load() {
				return nil
			}
			return errInjected
		}}}
		l := w.lead(&fakeTerm{epoch: 2})
		<-time.After(6 * time.Hour)
		synctest.Wait()
		report := w.report().Dirty
		if len(report) != n {
			t.Fatalf("%d dirty jobs, want %d", len(report), n)
		}
		for _, r := range report[0].Resources {
			if wait := time.Until(r.NextTry); r.Name == "files" && (wait <= 0 || wait > time.Hour || r.Failures < 12) {
				t.Errorf("resource %+v, next try in %v; want it in an hour-long back-off", r, wait)
			}
		}
		before := time.Now()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("the hand-over took %v, want no waiting for the back-off", took)
		}
		mended.Store(true)
		former := tries.Load()
		next := w.lead(&fakeTerm{epoch: 3})
		if left := w.backend.has("jobresults/dirty/"); len(left) != 0 || tries.Load()-former != n {
			t.Errorf("%d dirty results after %d tries of the next leader, want none after %d", len(left), tries.Load()-former, n)
		}
		if err := next.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestOutputsAreRemovedBeforeTheResultIsClean(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"a"}, nil)
		path, err := layout.Path(layout.Outputs, "a")
		if err != nil {
			t.Fatal(err)
		}
		w.backend.data[path+"/load"], w.backend.data[path+"/extract"] = []byte("x"), []byte("y")
		w.backend.set(anyCommitBelow("outputs", func(context.Context) error { return errInjected }))
		l := w.lead(&fakeTerm{epoch: 2})
		if d := w.report().Dirty; len(d) != 1 || len(d[0].Resources) != 2 || d[0].Resources[0].Name != "outputs" || d[0].Resources[0].Failures != 1 {
			t.Errorf("dirty %+v, want outputs that could not be removed", d)
		}
		w.backend.set(nil)
		<-time.After(time.Minute)
		synctest.Wait()
		if left := w.backend.has("outputs/"); len(left) != 0 {
			t.Errorf("outputs left: %v", left)
		}
		if left := w.backend.has("/a"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}
