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
	"github.com/coordd/coordd/rpc"
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
				r.end(canceledEnd(attempt("a", 1, 1)))
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
			r.worker.onDeploy = func(gateway.Deployment) { <-deploying }
		}))
		r.expect("first", "a/0#1")
		r.master.Cancel()
		synctest.Wait()
		r.set(func() {
			if n := len(r.worker.canceled); n != 0 {
				t.Errorf("an attempt was canceled before it was deployed")
			}
		})
		close(deploying)
		r.finishes(job.StatusCanceled)
		r.set(func() {
			if n := len(r.worker.canceled); n != 1 {
				t.Errorf("%d attempts were canceled, want 1", n)
			}
		})
	})
}

func TestLostLeadershipLeavesWorkersAlone(t *testing.T) {
	for name, c := range map[string]struct {
		options []option
		reach   func(r *rig)
	}{
		"running":            {},
		"waiting for a slot": {options: []option{slots(0)}},
		"reading":            {options: []option{recovered(), with(func(r *rig) { r.store.readErr = failTimes(99, errors.New("away")) })}},
		"reconciling":        {options: []option{recovered(), with(func(r *rig) { r.cluster.holdersKnown = make(chan struct{}) })}},
		"writing": {
			options: []option{with(func(r *rig) { r.store.gate = make(chan struct{}) })},
			reach:   func(r *rig) { r.finish("a", 0, 1) },
		},
		"deploying": {options: []option{with(func(r *rig) { r.worker.frozen = true })}},
		"canceling": {
			options: []option{with(func(r *rig) { r.worker.stubborn = true })},
			reach:   func(r *rig) { r.master.Cancel(); synctest.Wait(); r.worker.canceled = nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 2), node("b", 1, "a")), c.options...)
				synctest.Wait()
				if c.reach != nil {
					c.reach(r)
				}
				before, held, running := r.writeCount(), len(r.worker.slots), len(r.worker.running)
				r.cancel()
				snap, err := r.result()
				if !errors.Is(err, context.Canceled) || snap.Status != job.StatusSuspended || r.master.Snapshot().Status != job.StatusSuspended {
					t.Errorf("Run returned %s and %v, want SUSPENDED and the context's error", snap.Status, err)
				}
				if n := r.writeCount() - before; n != 0 {
					t.Errorf("%d writes after leadership was lost, want none", n)
				}
				r.set(func() {
					if len(r.worker.canceled) > 0 || len(r.worker.slots) != held || len(r.worker.running) != running || len(r.worker.parted) > 0 {
						t.Errorf("%d attempts canceled, %d of %d running, %d of %d slots held, parted %q; want all left as it was",
							len(r.worker.canceled), len(r.worker.running), running, len(r.worker.slots), held, r.worker.parted)
					}
				})
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
			r.store.record.Finish(3, 6, 1, false)
		}, jobstore.ErrDamaged},
		"missing output":    {func(r *rig) { r.store.record.Finish(0, 6, 1, true) }, jobstore.ErrDamaged},
		"fenced write":      {func(r *rig) { r.store.writeErr = failTimes(1, leader.ErrFenced) }, leader.ErrFenced},
		"record is gone":    {func(r *rig) { r.store.writeErr = failTimes(1, jobstore.ErrNotFound) }, jobstore.ErrNotFound},
		"fenced deployment": {func(r *rig) { r.worker.deployErr = failTimes(1, gateway.ErrFencingToken) }, gateway.ErrFencingToken},
		"fenced attempt": {func(r *rig) {
			r.worker.refuse = func(gateway.Deployment) error { return gateway.ErrFencingToken }
		}, gateway.ErrFencingToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 2), node("b", 1, "a")), recovered(), with(c.set), with(func(r *rig) {
					r.worker.onDeploy = func(d gateway.Deployment) {
						if d.Attempt.Subtask == 0 {
							r.worker.end(finished(d.Attempt))
						}
					}
				}))
				snap, err := r.result()
				if !errors.Is(err, c.want) || snap.Status != job.StatusSuspended {
					t.Errorf("Run returned %s and %v, want SUSPENDED and %v", snap.Status, err, c.want)
				}
				r.set(func() {
					if n := len(r.worker.canceled); n != 0 {
						t.Errorf("%d attempts were canceled: they are left to the next leader", n)
					}
				})
			})
		})
	}
}

func TestANewJobBeginsWithoutReadingItsEmptyRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), with(func(r *rig) { r.store.readErr = failTimes(99, errors.New("away")) }))
		r.expect("first", "a/0#1")
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestStoreTroubleIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1, "a")), recovered(), with(func(r *rig) {
			r.store.readErr = failTimes(4, errors.New("away"))
			r.store.writeErr = failTimes(4, errors.New("away"))
		}))
		pass(time.Minute)
		r.expect("first", "a/0#1", "a/1#1")
		r.finish("a", 0, 1)
		r.finish("a", 1, 1)
		pass(time.Second) // the fourth write fails before, the fifth comes after
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

func TestPanicWaitsForNoCallThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, graph(node("a", 1)), with(func(r *rig) { r.worker.frozen = true }))
		ended := make(chan time.Duration, 1)
		begun := time.Now()
		go func() {
			defer func() { ended <- time.Since(begun) }()
			defer func() { _ = recover() }()
			_, _ = r.master.Run(t.Context())
		}()
		synctest.Wait() // the worker has offered its slots, and Deploy hangs
		_ = r.master.endpoint.Tell(func() { panic("a defect") })
		if took := <-ended; took != 0 {
			t.Errorf("Run ended %v after the panic, want at once", took)
		}
	})
}

func TestPanicInACallComesOutOfRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, graph(node("a", 1)), recovered(), with(func(r *rig) {
			r.store.readErr = func(int) error { panic("a defect") }
		}))
		defer func() {
			err, _ := recover().(error)
			if p, ok := errors.AsType[*rpc.PanicError](err); !ok || p.Value != "a defect" {
				t.Errorf("Run ended with %v, want the panic", err)
			}
			if err := r.master.DisconnectWorker(t.Context(), r.worker.who, "it goes"); !errors.Is(err, gateway.ErrStopped) {
				t.Errorf("call after the panic: %v, want ErrStopped", err)
			}
		}()
		_, err := r.master.Run(t.Context())
		t.Errorf("Run returned %v, want a panic", err)
	})
}

func TestFarewellFreesAlsoWhatAWorkerWasJustBeingTold(t *testing.T) {
	r := prepare(t, graph(node("a", 1)))
	w := &worker{who: r.worker.who, at: r.worker, slots: map[gateway.Slot]*slot{}}
	for range 5 {
		w.slot(r.worker.allocate())
	}
	drop := func(name gateway.Slot) { w.drop(w.slots[name]) }
	drop("w1-1/1")
	w.told.free, w.free = w.free, nil // an exchange is under way, which the job's end breaks off
	for _, name := range []gateway.Slot{"w1-1/2", "w1-1/3", "w1-1/4"} {
		drop(name)
	}
	r.master.core.pool.add(w)
	r.master.farewell(t.Context())
	if left := r.worker.slots; len(left) != 0 {
		t.Errorf("slots %v are left to the job that has ended", left)
	}
}
