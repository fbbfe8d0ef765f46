package jobmaster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func TestCancelInEachState(t *testing.T) {
	hold := func(r *rig) { r.store.gate = make(chan struct{}) }
	for name, c := range map[string]struct {
		options []option
		before  bool // Cancel comes before Run
		reach   func(r *rig)
		after   func(r *rig)
		want    []job.SubtaskStatus // of a/0, a/1 and b/0
	}{
		"before Run": {before: true, want: []job.SubtaskStatus{"CANCELED", "CANCELED", "CANCELED"}},
		"while the record cannot be read": {
			options: []option{with(func(r *rig) { r.store.readErr = failTimes(1, errors.New("away")) })},
			want:    []job.SubtaskStatus{"CANCELED", "CANCELED", "CANCELED"},
		},
		"waiting for a slot": {options: []option{slots(0)}, want: []job.SubtaskStatus{"CANCELED", "CANCELED", "CANCELED"}},
		"running":            {options: []option{slots(1)}, want: []job.SubtaskStatus{"CANCELED", "CANCELED", "CANCELED"}},
		"waiting for a retry": {
			reach: func(r *rig) { r.fail("a", 0, 1) },
			want:  []job.SubtaskStatus{"FAILED", "CANCELED", "CANCELED"},
		},
		"with a write under way": {
			options: []option{with(hold)},
			reach:   func(r *rig) { r.finish("a", 0, 1); r.finish("a", 1, 1) },
			after:   func(r *rig) { close(r.store.gate) },
			want:    []job.SubtaskStatus{"FINISHED", "FINISHED", "CANCELED"},
		},
		"failing": {
			options: []option{with(func(r *rig) { r.worker.stubborn = true })},
			reach:   func(r *rig) { r.fail("a", 0, 1); pass(time.Hour); r.fail("a", 0, 2) },
			after: func(r *rig) {
				r.end(gateway.AttemptEnd{Attempt: attempt("a", 1, 1), Outcome: gateway.OutcomeCanceled})
			},
			want: []job.SubtaskStatus{"FAILED", "CANCELED", "CANCELED"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := prepare(t, graph(retry(node("a", 2), 2, time.Hour), node("b", 1, "a")), c.options...)
				if c.before {
					r.master.Cancel()
				}
				r.run()
				synctest.Wait()
				if c.reach != nil {
					r.started()
					c.reach(r)
				}
				r.master.Cancel()
				r.master.Cancel()
				synctest.Wait()
				if c.after != nil {
					if got := r.master.Snapshot().Status; got != job.StatusCancelling {
						t.Errorf("job is %s while something is outstanding, want CANCELLING", got)
					}
					c.after(r)
				}
				snap := r.finishes(job.StatusCanceled)
				got := []job.SubtaskStatus{snap.Tasks[0].Subtasks[0].Status, snap.Tasks[0].Subtasks[1].Status, snap.Tasks[1].Subtasks[0].Status}
				for i := range got {
					if got[i] != c.want[i] {
						t.Errorf("subtasks are %v, want %v", got, c.want)
						break
					}
				}
				if snap.Error != "" || snap.FinishedAt.IsZero() {
					t.Errorf("canceled job has error %q and ended at %v", snap.Error, snap.FinishedAt)
				}
				r.master.Cancel() // after the end
			})
		})
	}
}

func TestCancelReachesAnAttemptThatIsBeingDeployed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deploying := make(chan struct{})
		r := begin(t, graph(node("a", 1)), with(func(r *rig) {
			r.worker.onDeploy = func(gateway.Deployment, gateway.JobMaster) { <-deploying }
		}))
		r.expect("first", "a/0#1")
		r.master.Cancel()
		synctest.Wait()
		if n := len(r.worker.canceled); n != 0 {
			t.Errorf("an attempt was canceled before it was deployed")
		}
		close(deploying)
		r.finishes(job.StatusCanceled)
		if n := len(r.worker.canceled); n != 1 {
			t.Errorf("%d attempts were canceled, want 1", n)
		}
	})
}

func TestLostLeadershipStopsLocally(t *testing.T) {
	for name, c := range map[string]struct {
		options []option
		reach   func(r *rig)
		cancels int
	}{
		"running":            {cancels: 2},
		"waiting for a slot": {options: []option{slots(0)}},
		"reading":            {options: []option{with(func(r *rig) { r.store.readErr = failTimes(99, errors.New("away")) })}},
		"writing": {
			options: []option{with(func(r *rig) { r.store.gate = make(chan struct{}) })},
			reach:   func(r *rig) { r.finish("a", 0, 1) },
			cancels: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := append([]option{with(func(r *rig) { r.worker.stubborn = true })}, c.options...)
				r := begin(t, graph(node("a", 2), node("b", 1, "a")), options...)
				synctest.Wait()
				if c.reach != nil {
					c.reach(r)
				}
				before := r.writeCount()
				r.cancel()
				snap, err := r.result()
				if !errors.Is(err, context.Canceled) || snap.Status != job.StatusSuspended || r.master.Snapshot().Status != job.StatusSuspended {
					t.Errorf("Run returned %s and %v, want SUSPENDED and the context's error", snap.Status, err)
				}
				if n := r.writeCount() - before; n != 0 {
					t.Errorf("%d writes after leadership was lost, want none", n)
				}
				if n := len(r.worker.canceled); n != c.cancels {
					t.Errorf("%d attempts were canceled, want %d", n, c.cancels)
				}
			})
		})
	}
}

func TestErrorsThatEndTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(r *rig)
		want error
	}{
		"fenced read":    {func(r *rig) { r.store.readErr = failTimes(1, leader.ErrFenced) }, leader.ErrFenced},
		"damaged record": {func(r *rig) { r.store.readErr = failTimes(1, jobstore.ErrDamaged) }, jobstore.ErrDamaged},
		"newer record":   {func(r *rig) { r.store.readErr = failTimes(1, jobstore.ErrNewerFormat) }, jobstore.ErrNewerFormat},
		"unfitting record": {func(r *rig) {
			r.store.record.Tasks = map[string]jobstore.TaskProgress{"a": {Finished: []jobstore.Finished{{Index: 2}}}}
		}, jobstore.ErrDamaged},
		"unknown task": {func(r *rig) {
			r.store.record.Tasks = map[string]jobstore.TaskProgress{"x": {}}
		}, jobstore.ErrDamaged},
		"fenced write":      {func(r *rig) { r.store.writeErr = failTimes(1, leader.ErrFenced) }, leader.ErrFenced},
		"record is gone":    {func(r *rig) { r.store.writeErr = failTimes(1, jobstore.ErrNotFound) }, jobstore.ErrNotFound},
		"fenced deployment": {func(r *rig) { r.worker.deployErr = failTimes(1, gateway.ErrFencingToken) }, gateway.ErrFencingToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 2), node("b", 1, "a")), with(c.set), with(func(r *rig) {
					r.worker.onDeploy = func(d gateway.Deployment, _ gateway.JobMaster) {
						if d.Attempt.Subtask == 0 {
							r.worker.end(gateway.AttemptEnd{Attempt: d.Attempt, Outcome: gateway.OutcomeFinished, ExitCode: new(0)})
						}
					}
				}))
				snap, err := r.result()
				if !errors.Is(err, c.want) || snap.Status != job.StatusSuspended {
					t.Errorf("Run returned %s and %v, want SUSPENDED and %v", snap.Status, err, c.want)
				}
				if n := len(r.worker.running); n != 0 {
					t.Errorf("%d attempts were left running", n)
				}
			})
		})
	}
}

func TestStoreTroubleIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1, "a")), with(func(r *rig) {
			r.store.readErr = failTimes(4, errors.New("away"))
			r.store.writeErr = failTimes(4, errors.New("away"))
		}))
		pass(time.Minute)
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		r.expect("while nothing can be recorded")
		pass(time.Minute)
		r.expect("when the store is back", "b/0#1")
		if n := r.writeCount(); n != 5 {
			t.Errorf("%d writes, want 4 that failed and one for both", n)
		}
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestRecordThatIsTooLargeFailsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1, "a")), with(func(r *rig) {
			r.store.writeErr = failTimes(1, txn.ErrTooLarge)
		}))
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1)
		snap := r.finishes(job.StatusFailed)
		if got := snap.Tasks[0].Subtasks[0].Status; got != job.SubtaskFinished || snap.Error == "" {
			t.Errorf("a/0 is %s and the error is %q, want FINISHED and a reason", got, snap.Error)
		}
	})
}
