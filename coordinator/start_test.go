package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// slowRunners takes its time to make runners, and counts.
type slowRunners struct {
	*fakeRunners
	making, made atomic.Int64
	release      chan struct{}
}

func (s *slowRunners) NewJobRunner(a Assignment) (JobRunner, error) {
	s.making.Add(1)
	<-s.release
	s.making.Add(-1)
	s.made.Add(1)
	return s.fakeRunners.NewJobRunner(a)
}

func TestRecoveredJobsAreStartedSomeAtATimeWhileTheDispatcherServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowRunners{fakeRunners: w.runners, release: make(chan struct{})}
		var r Recovery
		for n := range 5 * startsAtOnce {
			r.Jobs = append(r.Jobs, jobstore.Job{ID: job.ID(fmt.Sprintf("job-%d", n))})
		}
		d, err := NewDispatcher(DispatcherConfig{Jobs: w.jobs, Results: w.results, Runners: slow}, Token{Epoch: 1}, r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		if n := slow.making.Load(); n != startsAtOnce {
			t.Errorf("%d runners are being made at once, want %d", n, startsAtOnce)
		}
		jobs, err := d.Jobs(t.Context())
		if err != nil || len(jobs) != len(r.Jobs) {
			t.Errorf("meanwhile the dispatcher lists %d jobs, %v; want all %d", len(jobs), err, len(r.Jobs))
		}
		close(slow.release)
		synctest.Wait()
		if n := slow.made.Load(); n != int64(len(r.Jobs)) {
			t.Errorf("%d runners were made, want %d", n, len(r.Jobs))
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want its context's error", err)
		}
	})
}

func TestJobsThatWereNotStartedYetEndWithTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowRunners{fakeRunners: w.runners, release: make(chan struct{})}
		var r Recovery
		for n := range 2 * startsAtOnce {
			r.Jobs = append(r.Jobs, jobstore.Job{ID: job.ID(fmt.Sprintf("job-%d", n))})
		}
		d, err := NewDispatcher(DispatcherConfig{Jobs: w.jobs, Results: w.results, Runners: slow}, Token{Epoch: 1}, r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		synctest.Wait()
		stop()
		synctest.Wait()
		close(slow.release)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want its context's error", err)
		}
		if n := slow.made.Load(); n > startsAtOnce {
			t.Errorf("%d runners were made, want none after the end of the term", n)
		}
	})
}
