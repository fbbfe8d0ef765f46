package jobmaster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// stale makes a report of the worker arrive that was made before anything was deployed
// there: that of a registration which took long, and was made twice.
func (r *rig) stale() {
	r.t.Helper()
	synctest.Wait()
	r.cluster.mu.Lock()
	report := r.worker.report()
	r.cluster.mu.Unlock()
	report.Running = nil
	if _, err := r.master.RegisterWorker(r.t.Context(), r.worker.who, report); err != nil {
		r.t.Errorf("the worker could not register again: %v", err)
	}
	synctest.Wait()
}

func TestReportOlderThanADeploymentStartsNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(2))
		r.expect("at first", "a/0#1", "a/1#1")
		r.stale()
		r.expect("after the report")
		if got := r.subtask(0, 0).Status; got != job.SubtaskRunning {
			t.Errorf("the subtask is %s, want RUNNING", got)
		}
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.ends(job.StatusFinished)
	})
}

// The worker has registered again in the meantime, with all that it has.
func TestRegistrationThatItsWorkerHasGivenUpCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), slots(1))
		r.expect("at first", "a/0#1")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.master.RegisterWorker(ctx, r.worker.who, gateway.JobReport{}); !errors.Is(err, context.Canceled) {
			t.Errorf("a registration that was given up got %v, want the context's error", err)
		}
		pass(time.Second)
		if got := r.subtask(0, 0).Status; got != job.SubtaskRunning {
			t.Errorf("the subtask is %s, want RUNNING", got)
		}
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAttemptThatItsWorkerHasGivenUpRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), slots(1))
		r.expect("at first", "a/0#1")
		r.cluster.mu.Lock()
		clear(r.worker.running)
		r.worker.refuse = func(d gateway.Deployment) error {
			if d.Attempt.N == 1 {
				return errors.New("it has run here")
			}
			return nil
		}
		r.cluster.mu.Unlock()
		r.rejoin(r.worker)
		pass(time.Second)
		r.expect("after the report", "a/0#2")
		r.finish("a", 0, 2)
		r.ends(job.StatusFinished)
	})
}

// ends waits for the job's end; what is left on workers then is another matter.
func (r *rig) ends(want job.Status) {
	r.t.Helper()
	if snap, err := r.result(); err != nil || snap.Status != want {
		r.t.Errorf("Run returned %s (%s) and error %v, want %s", snap.Status, snap.Error, err, want)
	}
}

func TestRegistrationThatWasGivenUpIsNotTakenIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2)), slots(2))
		r.expect("at first", "a/0#1", "a/1#1")
		ctx, giveUp := context.WithCancel(t.Context())
		giveUp() // as the master connects back, which takes time
		if _, err := r.master.RegisterWorker(ctx, r.worker.who, gateway.JobReport{}); !errors.Is(err, context.Canceled) {
			t.Errorf("the registration ended with %v, want that it was given up", err)
		}
		pass(time.Second)
		r.expect("after a report of nothing")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.ends(job.StatusFinished)
	})
}
