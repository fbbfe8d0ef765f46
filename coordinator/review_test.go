package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestRetryRunsAJobThatCanBeReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad"}, nil, nil)
		repair := w.spoil("bad")
		l := w.lead(&fakeTerm{epoch: 2})
		d := w.dispatcherNow()
		if err := d.RetryQuarantined(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("retry of what is still damaged: %v, want the reason", err)
		}
		synctest.Wait()
		w.inQuarantine(l, "bad")
		repair()
		if err := d.RetryQuarantined(t.Context(), "bad"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.inQuarantine(l)
		w.wantStatus("bad", job.StatusRunning)
		if r := w.runners.only(t, "bad"); !r.a.Recovered {
			t.Error("the job was run as a new one, want it as recovered")
		}
		if err := d.RetryQuarantined(t.Context(), "bad"); !errors.Is(err, gateway.ErrNotQuarantined) {
			t.Errorf("retry of a running job: %v, want ErrNotQuarantined", err)
		}
		if err := d.DropQuarantined(t.Context(), "nobody"); !errors.Is(err, gateway.ErrNoJob) {
			t.Errorf("drop of an unknown job: %v, want ErrNoJob", err)
		}
		w.end("bad", job.StatusFinished)
		w.wantStatus("bad", job.StatusFinished)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetryOfAnEndedJobRunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"d"}, []job.ID{"c"})
		repairs := make(map[job.ID][]byte)
		for id, folder := range map[job.ID]string{"d": "dirty/", "c": "clean/"} {
			path := w.backend.has(folder, "/"+string(id))[0]
			repairs[id] = w.backend.data[path]
			w.backend.damage(t, path)
		}
		l := w.lead(&fakeTerm{epoch: 2})
		w.inQuarantine(l, "c", "d")
		w.backend.replace(t, repairs["d"], "dirty/", "/d")
		w.backend.replace(t, repairs["c"], "clean/", "/c")
		for _, id := range []job.ID{"d", "c"} {
			if err := w.dispatcherNow().RetryQuarantined(t.Context(), id); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			w.wantStatus(id, job.StatusFinished)
			left := slices.DeleteFunc(w.backend.has("/"), func(p string) bool { return !strings.HasSuffix(p, "/"+string(id)) })
			if len(left) != 1 || !strings.Contains(left[0], "jobresults/clean/") {
				t.Errorf("left of %s: %v, want a clean result alone", id, left)
			}
			if n := len(w.runners.of(id)); n != 0 {
				t.Errorf("job %s has a result and was run %d times", id, n)
			}
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDropEndsAJobAsFailedAndCleansUp(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"graph":        func(w *world) { w.has([]job.ID{"bad"}, nil, nil); w.spoil("bad") },
		"dirty result": func(w *world) { w.has(nil, []job.ID{"bad"}, nil); w.backend.damage(w.t, "dirty/", "/bad") },
		"clean result": func(w *world) { w.has(nil, nil, []job.ID{"bad"}); w.backend.damage(w.t, "clean/", "/bad") },
		"its start":    func(w *world) { w.has([]job.ID{"bad"}, nil, nil); w.runners.fails["bad"] = errInjected },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				spoil(w)
				cleaned := 0
				w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error { cleaned++; return nil }}}
				l := w.lead(&fakeTerm{epoch: 2})
				w.inQuarantine(l, "bad")
				if err := w.dispatcherNow().DropQuarantined(t.Context(), "bad"); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				w.inQuarantine(l)
				res, clean, err := w.results.Get(t.Context(), l.term.Guard(), "bad")
				if err != nil || !clean || res.Snapshot.Status != job.StatusFailed || len(res.Snapshot.Tasks) != 0 ||
					!strings.HasPrefix(res.Snapshot.Error, "dropped from quarantine by an operator") {
					t.Errorf("result %+v, clean %v, error %v; want FAILED without tasks, clean", res, clean, err)
				}
				if left := w.backend.has("/bad"); len(left) != 1 {
					t.Errorf("left of the job: %v, want its result alone", left)
				}
				if cleaned != 1 {
					t.Errorf("cleaned up %d times, want once", cleaned)
				}
				if _, _, err := w.gateway().Submit(t.Context(), submission("bad", "other")); !errors.Is(err, gateway.ErrConflict) {
					t.Errorf("submitting its ID again: %v, want ErrConflict", err)
				}
				if err := l.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestDropOfARepairedResultKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(nil, []job.ID{"a"}, nil)
		path := w.backend.has("dirty/", "/a")[0]
		whole := w.backend.data[path]
		w.backend.damage(t, path)
		l := w.lead(&fakeTerm{epoch: 2})
		w.backend.replace(t, whole, path)
		if err := w.dispatcherNow().DropQuarantined(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		w.wantStatus("a", job.StatusFinished)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestOrdersForAQuarantinedJobTakeTurns lets a drop and a retry meet while the
// retry hangs in the store, and while a record is being written.
func TestOrdersForAQuarantinedJobTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad"}, nil, nil)
		repair := w.spoil("bad")
		recorded := make(chan struct{})
		w.backend.set(anyCommitBelow("quarantine", func(context.Context) error { <-recorded; return nil }))
		l := w.lead(&fakeTerm{epoch: 2})
		d := w.dispatcherNow()
		repair()
		dropped, retried := make(chan error, 1), make(chan error, 1)
		go func() { dropped <- d.DropQuarantined(t.Context(), "bad") }()
		synctest.Wait()
		go func() { retried <- d.RetryQuarantined(t.Context(), "bad") }()
		synctest.Wait()
		if err := <-dropped; err != nil {
			t.Errorf("drop: %v", err)
		}
		if err := <-retried; !errors.Is(err, gateway.ErrNotQuarantined) {
			t.Errorf("retry after the drop: %v, want ErrNotQuarantined", err)
		}
		if left := w.backend.has("dirty/", "/bad"); len(left) != 1 {
			t.Errorf("dirty results %v, want the job to wait for its record, which would outlive it", left)
		}
		close(recorded)
		synctest.Wait()
		if left := w.backend.has("/bad"); len(left) != 1 || !strings.Contains(left[0], "clean") {
			t.Errorf("left of the job: %v, want its clean result alone", left)
		}
		if n := len(w.runners.of("bad")); n != 0 {
			t.Errorf("a dropped job was run %d times", n)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestOrderThatHangsEndsWithItsCallerOrItsTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad"}, nil, nil)
		w.spoil("bad")
		l := w.lead(&fakeTerm{epoch: 2})
		d := w.dispatcherNow()
		w.backend.set(func(ctx context.Context, op, _ string) error {
			if op == "get" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.RetryQuarantined(ctx, "bad"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("retry beyond its time: %v, want the context's error", err)
		}
		answers := make(chan error, 2)
		for range 2 {
			go func() { answers <- d.DropQuarantined(t.Context(), "bad") }()
		}
		synctest.Wait()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-answers; !errors.Is(err, gateway.ErrNotLeader) {
				t.Errorf("order at the end of the term: %v, want ErrNotLeader", err)
			}
		}
	})
}

func TestDropWaitsForARetryThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"bad"}, nil, nil)
		repair := w.spoil("bad")
		l := w.lead(&fakeTerm{epoch: 2})
		repair()
		read := make(chan struct{})
		w.backend.set(func(_ context.Context, op, path string) error {
			if op == "get" && strings.HasPrefix(path, "jobgraphs/") {
				<-read
			}
			return nil
		})
		d := w.dispatcherNow()
		retried, dropped := make(chan error, 1), make(chan error, 1)
		go func() { retried <- d.RetryQuarantined(t.Context(), "bad") }()
		synctest.Wait()
		go func() { dropped <- d.DropQuarantined(t.Context(), "bad") }()
		synctest.Wait()
		close(read)
		if err := <-retried; err != nil {
			t.Errorf("retry: %v", err)
		}
		if err := <-dropped; !errors.Is(err, gateway.ErrNotQuarantined) {
			t.Errorf("drop after the retry: %v, want ErrNotQuarantined", err)
		}
		synctest.Wait()
		w.wantStatus("bad", job.StatusRunning)
		if left := w.backend.has("jobresults"); len(left) != 0 {
			t.Errorf("recorded %v for a job that runs", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}
