package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// retained returns the IDs of the clean results in the store.
func (w *world) retained() []job.ID {
	w.t.Helper()
	var ids []job.ID
	for _, path := range w.backend.has("jobresults/clean/") {
		ids = append(ids, job.ID(path[strings.LastIndexByte(path, '/')+1:]))
	}
	slices.Sort(ids)
	return ids
}

// known returns the IDs that the leader lists.
func (w *world) known() []job.ID {
	w.t.Helper()
	all, err := w.gateway().Jobs(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []job.ID
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return ids
}

// wantRetained checks store and leader, which must say the same.
func (w *world) wantRetained(want ...job.ID) {
	w.t.Helper()
	if got := w.retained(); !slices.Equal(got, want) {
		w.t.Errorf("results in the store %v, want %v", got, want)
	}
	if got := w.known(); !slices.Equal(got, want) {
		w.t.Errorf("jobs of the leader %v, want %v", got, want)
	}
}

// finish runs a job to its end.
func (w *world) finish(id job.ID) {
	w.t.Helper()
	w.submit(id)
	made := w.runners.of(id)
	made[len(made)-1].end(job.StatusFinished)
	synctest.Wait()
}

func TestResultsAreRetainedByCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.retention = Retention{Count: 2}
		l := w.lead(&fakeTerm{epoch: 1})
		for _, id := range []job.ID{"d", "c", "b", "a"} {
			w.finish(id)
			<-time.After(time.Second)
		}
		w.wantRetained("a", "b")
		if _, err := w.gateway().Job(t.Context(), "d"); !errors.Is(err, gateway.ErrNoJob) {
			t.Errorf("a forgotten job: %v, want ErrNoJob", err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		w.retention.Count = 1
		l = w.lead(&fakeTerm{epoch: 2})
		w.wantRetained("a") // also what a predecessor kept
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestResultsAreRetainedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.finish("old")
		<-time.After(3 * 24 * time.Hour)
		w.finish("young")
		w.wantRetained("old", "young")
		<-time.After(4*24*time.Hour - time.Minute)
		synctest.Wait()
		w.wantRetained("old", "young")
		<-time.After(time.Hour + 2*time.Minute)
		synctest.Wait()
		w.wantRetained("young")
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		<-time.After(7 * 24 * time.Hour)
		l = w.lead(&fakeTerm{epoch: 2})
		w.wantRetained()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetentionWithoutLimitForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.retention = Retention{Count: -1, Age: -1}
		l := w.lead(&fakeTerm{epoch: 1})
		w.finish("a")
		<-time.After(1000 * 24 * time.Hour)
		synctest.Wait()
		w.wantRetained("a")
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetentionLeavesRunningAndDirtyJobsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.retention = Retention{Count: 1}
		w.cleaners = []Cleaner{&failingCleaner{fails: true}} // fails for "bad"
		l := w.lead(&fakeTerm{epoch: 1})
		w.submit("runs")
		w.finish("bad")
		w.finish("one")
		<-time.After(30 * 24 * time.Hour)
		synctest.Wait()
		w.finish("two")
		w.wantStatus("runs", job.StatusRunning)
		w.wantStatus("bad", job.StatusFinished)
		if got, want := w.known(), []job.ID{"bad", "runs", "two"}; !slices.Equal(got, want) {
			t.Errorf("known %v, want %v", got, want)
		}
		if left := w.backend.has("jobresults/dirty/", "/bad"); len(left) != 1 {
			t.Errorf("dirty results %v, want the one that is not cleaned", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetainedIDIsNeverRunAgainAndAForgottenOneIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.retention = Retention{Count: 1}
		l := w.lead(&fakeTerm{epoch: 1})
		w.finish("a")
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		l = w.lead(&fakeTerm{epoch: 2})
		if s, created, err := w.gateway().Submit(t.Context(), submission("a", "true")); err != nil || created || s.Status != job.StatusFinished {
			t.Errorf("same job again: %s, created %v, error %v; want the finished one", s.Status, created, err)
		}
		if _, _, err := w.gateway().Submit(t.Context(), submission("a", "other")); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("other content: %v, want ErrConflict", err)
		}
		if n := len(w.runners.of("a")); n != 1 {
			t.Errorf("job a was run %d times, want once", n)
		}
		w.finish("b") // a is forgotten
		w.wantRetained("b")
		if _, created, err := w.gateway().Submit(t.Context(), submission("a", "other")); err != nil || !created {
			t.Errorf("forgotten ID: created %v, error %v; want a new job", created, err)
		}
		synctest.Wait()
		w.wantStatus("a", job.StatusRunning)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestIDIsFreeOnlyWhenTheStoreHasForgotten submits an ID while its result is
// being deleted: in the store it may be gone or not.
func TestIDIsFreeOnlyWhenTheStoreHasForgotten(t *testing.T) {
	for _, lost := range []string{"request", "reply"} {
		t.Run(lost, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.retention = Retention{Count: 1}
				l := w.lead(&fakeTerm{epoch: 1})
				w.finish("a")
				failures := 0
				w.backend.set(anyCommitBelow("jobresults/clean", func(context.Context) error {
					if failures++; failures > 3 {
						return nil
					}
					if lost == "reply" {
						w.backend.mu.Lock()
						for path := range w.backend.data {
							if strings.HasSuffix(path, "/a") {
								delete(w.backend.data, path)
							}
						}
						w.backend.mu.Unlock()
					}
					return errInjected
				}))
				w.finish("b")
				if s, created, err := w.gateway().Submit(t.Context(), submission("a", "true")); err != nil || created || s.Status != job.StatusFinished {
					t.Errorf("while it is being forgotten: %s, created %v, error %v; want the finished job", s.Status, created, err)
				}
				<-time.After(time.Minute)
				synctest.Wait()
				w.wantRetained("b")
				w.submit("a")
				if err := l.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestResultsAreForgottenInBatchesWithinTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.retention = Retention{Count: 10}
		var ids []job.ID
		for i := range 400 {
			ids = append(ids, job.ID(fmt.Sprintf("job-%d", i)))
		}
		w.has(nil, nil, ids)
		var batches, told atomic.Int64
		w.hooks.OnForgotten = func(n int) { told.Add(int64(n)) }
		w.backend.set(anyCommitBelow("jobresults/clean", func(ctx context.Context) error {
			if batches.Add(1) <= 2 {
				return nil
			}
			<-ctx.Done() // the backend hangs
			return ctx.Err()
		}))
		l := w.lead(&fakeTerm{epoch: 2})
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		if n := len(w.retained()); n != 200 || told.Load() != 200 {
			t.Errorf("%d results left, %d told as forgotten; want 200 after two batches of 100", n, told.Load())
		}
		w.backend.set(nil)
		l = w.lead(&fakeTerm{epoch: 3})
		if n := len(w.retained()); n != 10 || len(w.known()) != 10 {
			t.Errorf("%d results left and %d known, want 10: the next leader goes on", n, len(w.known()))
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}
