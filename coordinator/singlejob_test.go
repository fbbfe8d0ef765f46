package coordinator

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// brings makes the world's coordinator one of a participant that brings a job of one
// command.
func (w *world) brings(id job.ID) *SingleJobFactory {
	w.t.Helper()
	f, err := NewSingleJobFactory(DispatcherConfig{
		Jobs: w.jobs, Results: w.results, Runners: w.runners, Cleaners: w.cleaners, Retention: w.retention, ID: "node",
	}, SingleJob(submission(id, "true")))
	if err != nil {
		w.t.Fatal(err)
	}
	if w.runner, err = New(Config{Jobs: w.jobs, Results: w.results, Dispatchers: f}); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// over returns what Lead returned, which must have by now.
func (l *led) over(t *testing.T) error {
	t.Helper()
	select {
	case err := <-l.done:
		return err
	default:
		t.Fatal("Lead has not returned")
		return nil
	}
}

// wantResult checks the result that the participant ends with.
func wantResult(t *testing.T, f *SingleJobFactory, want job.Status) job.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := f.Result(ctx)
	if err != nil || r.Snapshot.Status != want {
		t.Errorf("result is %s, %v; want %s", r.Snapshot.Status, err, want)
	}
	return r
}

func TestTheOneJobIsStoredRunAndEndsTheParticipant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.brings("own")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Result(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before its end the result is %v, want the context's error", err)
		}
		term := &fakeTerm{epoch: 1}
		l := w.lead(term)
		if r := w.runners.only(t, "own"); r.a.Recovered || len(w.backend.has("jobgraphs/", "own")) != 1 {
			t.Errorf("assignment is %+v, want a new job that is stored", r.a)
		}
		if len(term.publications()) != 1 {
			t.Errorf("published %d times, want once", len(term.publications()))
		}
		w.wantStatus("own", job.StatusRunning)
		w.end("own", job.StatusFinished)
		if err := l.over(t); !errors.Is(err, ErrJobDone) || errors.Is(err, ErrDispatcherEnded) || !strings.Contains(err.Error(), `"own"`) {
			t.Errorf("Lead returned %v, want ErrJobDone with the job's ID", err)
		}
		r := wantResult(t, f, job.StatusFinished)
		if r.Snapshot.ID != "own" || r.Digest != submission("own", "true").Graph.Digest() {
			t.Errorf("result is %+v, want the job's", r)
		}
		if left := w.backend.has("own"); len(left) != 1 || !strings.HasPrefix(left[0], "jobresults/clean/") {
			t.Errorf("stored are %v, want the clean result alone", left)
		}
	})
}

func TestTheOneJobGoesOnInTheNextTermOfAnyParticipant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := w.brings("own")
		l := w.lead(&fakeTerm{epoch: 1})
		if err := l.stop(); err != nil {
			t.Errorf("Lead returned %v when its term ended, want nil", err)
		}
		l = w.lead(&fakeTerm{epoch: 2}) // the same participant
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		second := w.brings("own")
		l = w.lead(&fakeTerm{epoch: 3})
		runs := w.runners.of("own")
		if len(runs) != 3 || runs[0].a.Recovered || !runs[1].a.Recovered || !runs[2].a.Recovered {
			t.Fatalf("%d runners, want one of a new job and two of a recovered one", len(runs))
		}
		runs[2].end(job.StatusFailed)
		synctest.Wait()
		if err := l.over(t); !errors.Is(err, ErrJobDone) {
			t.Errorf("Lead returned %v, want ErrJobDone", err)
		}
		wantResult(t, second, job.StatusFailed)

		// The other one leads afterwards, and comes to the same end without running it.
		w.runner, _ = New(Config{Jobs: w.jobs, Results: w.results, Dispatchers: first})
		if err := w.lead(&fakeTerm{epoch: 4}).over(t); !errors.Is(err, ErrJobDone) {
			t.Errorf("Lead of the other participant returned %v, want ErrJobDone", err)
		}
		wantResult(t, first, job.StatusFailed)
		if n := len(w.runners.of("own")); n != 3 {
			t.Errorf("%d runners were made, want no further one", n)
		}
	})
}

func TestAResultThatIsFoundEndsTheParticipantWithoutRunningAnything(t *testing.T) {
	for name, ids := range map[string]struct{ dirty, clean []job.ID }{
		"dirty":                          {dirty: []job.ID{"own"}},
		"clean":                          {clean: []job.ID{"own"}},
		"beside those of earlier runs":   {dirty: []job.ID{"own"}, clean: []job.ID{"earlier"}},
		"clean, and another's graph too": {clean: []job.ID{"own"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				cleaned := 0
				w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error { cleaned++; return nil }}}
				w.has(nil, ids.dirty, ids.clean)
				if strings.Contains(name, "another") {
					w.has([]job.ID{"other"}, nil, nil)
				}
				f := w.brings("own")
				if err := w.lead(&fakeTerm{epoch: 2}).over(t); !errors.Is(err, ErrJobDone) {
					t.Errorf("Lead returned %v, want ErrJobDone", err)
				}
				wantResult(t, f, job.StatusFinished)
				if len(w.runners.made) != 0 || cleaned != len(ids.dirty) {
					t.Errorf("%d runners were made and %d jobs cleaned up, want 0 and %d", len(w.runners.made), cleaned, len(ids.dirty))
				}
				if left := w.backend.has("own"); len(left) != 1 || !strings.HasPrefix(left[0], "jobresults/clean/") {
					t.Errorf("stored are %v, want the clean result alone", left)
				}
			})
		})
	}
}

func TestTheResultIsKnownBeforeItsCleanUpIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var healed atomic.Bool
		w.cleaners = []Cleaner{fakeCleaner{"files", func(context.Context, job.ID) error {
			if !healed.Load() {
				return errInjected
			}
			return nil
		}}}
		f := w.brings("own")
		l := w.lead(&fakeTerm{epoch: 1})
		w.end("own", job.StatusFinished)
		wantResult(t, f, job.StatusFinished)
		if len(l.done) != 0 {
			t.Error("Lead returned before the clean-up was done")
		}
		healed.Store(true)
		if err := <-l.done; !errors.Is(err, ErrJobDone) { // at the next try
			t.Errorf("Lead returned %v, want ErrJobDone", err)
		}
	})
}

func TestOtherSubmissionsAreRefusedBesideTheOneJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.brings("own")
		l := w.lead(&fakeTerm{epoch: 1})
		for name, test := range map[string]struct {
			s    gateway.Submission
			want error
		}{
			"another job":    {submission("other", "true"), gateway.ErrSingleJob},
			"another graph":  {submission("own", "false"), gateway.ErrConflict},
			"the job itself": {submission("own", "true"), nil},
		} {
			snap, created, err := w.gateway().Submit(t.Context(), test.s)
			if !errors.Is(err, test.want) || created {
				t.Errorf("%s: created %v, error %v; want %v", name, created, err, test.want)
			}
			if test.want == nil && snap.ID != "own" {
				t.Errorf("%s: got job %q, want own", name, snap.ID)
			}
		}
		if _, err := w.gateway().Cancel(t.Context(), "own"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := l.over(t); !errors.Is(err, ErrJobDone) || len(w.runners.made) != 1 {
			t.Errorf("Lead returned %v after %d runners, want ErrJobDone after one", err, len(w.runners.made))
		}
	})
}

func TestAClusterOfAnotherJobIsNotLed(t *testing.T) {
	other := func(id job.ID) jobstore.Job {
		g := submission(id, "false").Graph
		return jobstore.Job{ID: id, Graph: g, Digest: g.Digest(), SubmittedAt: time.Now().UTC()}
	}
	ended := func(j jobstore.Job) job.Result {
		snap := initial(j, 1)
		snap.Status, snap.FinishedAt = job.StatusFinished, time.Now().UTC()
		return job.Result{Snapshot: snap, Digest: j.Digest}
	}
	for name, test := range map[string]struct {
		prepare func(ctx context.Context, w *world, g leader.Guard) error
		want    string
	}{
		"graph of another job": {func(ctx context.Context, w *world, g leader.Guard) error {
			return w.jobs.Put(ctx, g, other("other"))
		}, `has job "other", which is not done`},
		"another graph of the ID": {func(ctx context.Context, w *world, g leader.Guard) error {
			return w.jobs.Put(ctx, g, other("own"))
		}, "other content: choose another ID"},
		"result of another graph": {func(ctx context.Context, w *world, g leader.Guard) error {
			return w.results.CreateDirty(ctx, g, ended(other("own")))
		}, "other content: choose another ID"},
		"clean result of another graph": {func(ctx context.Context, w *world, g leader.Guard) error {
			return errors.Join(w.results.CreateDirty(ctx, g, ended(other("own"))), w.results.MarkClean(ctx, g, "own"))
		}, "other content: choose another ID"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if err := test.prepare(t.Context(), w, leader.NewGuard(1, "test")); err != nil {
					t.Fatal(err)
				}
				before := w.backend.log()
				w.brings("own")
				err := w.lead(&fakeTerm{epoch: 2}).over(t)
				if err == nil || errors.Is(err, ErrJobDone) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Lead returned %v, want an error with %q", err, test.want)
				}
				if log := w.backend.log(); !slices.Equal(log, before) || len(w.runners.made) != 0 {
					t.Errorf("%d runners were made and %v written, want nothing", len(w.runners.made), log[len(before):])
				}
			})
		})
	}
}

func TestTheOneJobThatCannotGoOnIsTriedInTheNextTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.brings("own")
		l := w.lead(&fakeTerm{epoch: 1})
		w.runners.only(t, "own").ends <- func() (job.Snapshot, error) { return job.Snapshot{}, errInjected }
		synctest.Wait()
		if err := l.over(t); err == nil || errors.Is(err, ErrJobDone) || !strings.Contains(err.Error(), errInjected.Error()) {
			t.Errorf("Lead returned %v, want the reason why the job cannot go on", err)
		}

		graph := w.backend.data[w.backend.has("jobgraphs/", "own")[0]]
		w.backend.damage(t, "jobgraphs/", "own")
		if err := w.lead(&fakeTerm{epoch: 2}).over(t); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("Lead returned %v, want that the job cannot be read", err)
		}

		w.backend.replace(t, graph, "jobgraphs/", "own")
		l = w.lead(&fakeTerm{epoch: 3})
		runs := w.runners.of("own")
		runs[len(runs)-1].end(job.StatusFinished)
		synctest.Wait()
		if err := l.over(t); !errors.Is(err, ErrJobDone) {
			t.Errorf("Lead returned %v, want ErrJobDone", err)
		}
	})
}

func TestStoringTheOneJobIsTriedAgainWhileItMayHelp(t *testing.T) {
	for name, test := range map[string]struct {
		failure error
		again   bool
	}{
		"unknown outcome": {txn.ErrUnknownOutcome, true},
		"full":            {txn.ErrFull, true},
		"too large":       {txn.ErrTooLarge, false},
		"broken":          {errInjected, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.brings("own")
				tries := 0
				w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error {
					if tries++; tries < 4 {
						return test.failure
					}
					return nil
				}))
				l := w.lead(&fakeTerm{epoch: 1})
				if !test.again {
					if err := l.over(t); !errors.Is(err, test.failure) && !errors.Is(err, gateway.ErrTooLarge) {
						t.Errorf("Lead returned %v, want %v", err, test.failure)
					}
					return
				}
				<-time.After(time.Minute)
				synctest.Wait()
				w.end("own", job.StatusFinished)
				if err := l.over(t); !errors.Is(err, ErrJobDone) || tries < 4 {
					t.Errorf("Lead returned %v after %d tries, want ErrJobDone", err, tries)
				}
			})
		})
	}
}

func TestNewSingleJobFactoryNamesWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	cfg := DispatcherConfig{Jobs: w.jobs, Results: w.results, Runners: w.runners}
	limited := cfg
	limited.Limits.GraphSize = 1
	good := SingleJob(submission("own", "true"))
	for want, test := range map[string]struct {
		cfg DispatcherConfig
		job SingleJob
	}{
		"DispatcherConfig.Jobs": {DispatcherConfig{}, good},
		"id":                    {cfg, SingleJob{Graph: good.Graph}},
		"tasks":                 {cfg, SingleJob{ID: "own"}},
		"the limit is 1":        {limited, good},
	} {
		if _, err := NewSingleJobFactory(test.cfg, test.job); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("got %v, want an error that names %q", err, want)
		}
	}
}
