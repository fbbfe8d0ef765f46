package jobmaster

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

func TestDiamondRunsInOrderAndRecordsBeforeDependentsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := begin(t, graph(node("a", 1), node("b", 2, "a"), node("c", 1, "a"), node("d", 1, "b", "c")),
			with(func(r *rig) { r.store.gate = gate }))
		r.expect("first", "a/0#1")
		r.finish("a", 0, 1)
		r.expect("before a is recorded")
		if got := r.subtask(0, 0).Status; got != job.SubtaskRunning {
			t.Errorf("a shows %s before it is recorded, want RUNNING", got)
		}
		r.store.mu.Lock()
		r.store.gate = nil
		r.store.mu.Unlock()
		close(gate)
		r.expect("when a is recorded", "b/0#1", "b/1#1", "c/0#1")
		if got := r.subtask(0, 0).Status; got != job.SubtaskFinished {
			t.Errorf("a shows %s when it is recorded, want FINISHED", got)
		}
		r.finish("b", 0, 1)
		r.finish("c", 0, 1)
		r.expect("while b is incomplete")
		r.finish("b", 1, 1)
		r.expect("when b and c are recorded", "d/0#1")
		before := r.writeCount()
		r.finish("d", 0, 1)
		snap := r.finishes(job.StatusFinished)
		if n := r.writeCount() - before; n != 0 {
			t.Errorf("%d writes after the last subtask, want none: the result says it", n)
		}
		if d := snap.Tasks[3].Subtasks[0]; d.Status != job.SubtaskFinished || d.Output != "d out\n" || d.ExitCode == nil || *d.ExitCode != 0 {
			t.Errorf("the final subtask is %+v, want FINISHED with its output and exit code 0", d)
		}
		if a := snap.Tasks[0].Subtasks[0]; a.Output != "" {
			t.Errorf("output %q of a task that others need was kept", a.Output)
		}
		if snap.StartedAt.IsZero() || snap.FinishedAt.IsZero() || snap.Epoch != 7 || snap.Name != "test" {
			t.Errorf("snapshot %+v lacks times, epoch or name", snap)
		}
	})
}

func TestTransitionsShareOneWriteAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := begin(t, graph(node("a", 10), node("b", 1, "a")), slots(10), with(func(r *rig) { r.store.gate = gate }))
		synctest.Wait()
		for n := range 10 {
			r.finish("a", n, 1)
		}
		if n := r.writeCount(); n != 1 {
			t.Errorf("%d writes are under way, want 1", n)
		}
		close(gate)
		synctest.Wait()
		if n := r.writeCount(); n != 2 {
			t.Errorf("%d writes for ten subtasks, want 2", n)
		}
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestFailedAttemptIsTriedAgainAfterTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 1), 3, 10*time.Second)))
		r.expect("first", "a/0#1")
		r.fail("a", 0, 1)
		if s := r.subtask(0, 0); s.Status != job.SubtaskFailed || s.Error != "exited with code 3" || s.Output != "begun\nboom\n" || *s.ExitCode != 3 {
			t.Errorf("failed attempt shows as %+v", s)
		}
		if used := r.says(0).Used; used != 1 {
			t.Errorf("record says %d attempts are used, want 1", used)
		}
		pass(9 * time.Second)
		r.expect("before the delay is over")
		pass(time.Second)
		r.expect("after the delay", "a/0#2")
		if s := r.subtask(0, 0); s.Attempt != 2 || s.Error != "" || s.Output != "" || s.ExitCode != nil {
			t.Errorf("second attempt shows traces of the first: %+v", s)
		}
		r.finish("a", 0, 2)
		r.finishes(job.StatusFinished)
	})
}

func TestFailureIsRecordedBeforeTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := begin(t, graph(retry(node("a", 1), 2, 0)), with(func(r *rig) { r.store.gate = gate }))
		r.expect("first", "a/0#1")
		r.fail("a", 0, 1)
		r.expect("before the failure is recorded")
		close(gate)
		r.expect("when it is recorded", "a/0#2")
		r.finish("a", 0, 2)
		r.finishes(job.StatusFinished)
	})
}

func TestSubtaskOutOfAttemptsFailsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 1), 2, 0), node("b", 1), node("c", 1, "a")), with(func(r *rig) { r.worker.stubborn = true }))
		r.expect("first", "a/0#1", "b/0#1")
		r.fail("a", 0, 1)
		r.expect("second try", "a/0#2")
		r.fail("a", 0, 2)
		if s := r.master.Snapshot(); s.Status != job.StatusFailing || s.Tasks[1].Subtasks[0].Status != job.SubtaskCanceling {
			t.Errorf("job is %s and b is %s, want FAILING and CANCELING", s.Status, s.Tasks[1].Subtasks[0].Status)
		}
		r.end(canceledEnd(attempt("b", 0, 1)))
		snap := r.finishes(job.StatusFailed)
		want := `task "a", subtask 0: exited with code 3 (attempt 2 of 2); its last output: "boom"`
		if snap.Error != want {
			t.Errorf("error %q, want %q", snap.Error, want)
		}
		for i, want := range []job.SubtaskStatus{job.SubtaskFailed, job.SubtaskCanceled, job.SubtaskCanceled} {
			if got := snap.Tasks[i].Subtasks[0].Status; got != want {
				t.Errorf("task %s is %s, want %s", snap.Tasks[i].ID, got, want)
			}
		}
	})
}

func TestDeploymentCarriesTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := node("a", 2)
		spec.Func, spec.Command = "f", nil
		spec.Timeout, spec.Dir, spec.Env = job.Duration(2*time.Second), "/d", map[string]string{"K": "v"}
		r := begin(t, graph(spec))
		r.expect("first", "a/0#1", "a/1#1")
		d := r.worker.deployed[1]
		if d.Timeout != 2*time.Second || d.Dir != "/d" || d.Env["K"] != "v" || d.Parallelism != 2 || d.Func != "f" || d.Slot == "" || d.Attempt != attempt("a", 1, 1) {
			t.Errorf("deployed %+v, want what the task says", d)
		}
		r.end(gateway.AttemptEnd{Attempt: d.Attempt, Outcome: gateway.OutcomeFailed, Reason: "timed out after 2s"})
		if snap := r.finishes(job.StatusFailed); !strings.Contains(snap.Error, `task "a", subtask 1: timed out after 2s`) {
			t.Errorf("error %q does not name the subtask and the time-out", snap.Error)
		}
	})
}

func TestReportsThatDoNotFitAreSettledAndIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 1), 2, 0), node("b", 1, "a")))
		report := func(id gateway.AttemptID) {
			t.Helper()
			if err := r.master.AttemptsEnded(t.Context(), r.worker.who, []gateway.AttemptEnd{finished(id)}); err != nil {
				t.Errorf("report of %+v: %v, want it settled", id, err)
			}
		}
		r.expect("first", "a/0#1")
		foreign := attempt("a", 0, 1)
		foreign.Job = "other"
		report(foreign)
		report(attempt("a", 5, 1))
		report(attempt("x", 0, 1))
		report(attemptOf(6, "a", 0, 1))
		r.expect("after reports of others")
		r.fail("a", 0, 1)
		r.expect("after a failure", "a/0#2")
		report(attempt("a", 0, 1)) // late, and another outcome
		r.expect("after a late report")
		r.finish("a", 0, 2)
		r.expect("after success", "b/0#1")
		report(attempt("a", 0, 2)) // twice
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
		if err := r.master.AttemptsEnded(t.Context(), r.worker.who, nil); !errors.Is(err, gateway.ErrStopped) {
			t.Errorf("report after Run: %v, want ErrStopped", err)
		}
	})
}

func TestOneSlotServesAllInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1)), slots(1))
		r.expect("first", "a/0#1")
		if got := r.subtask(1, 0).Status; got != job.SubtaskScheduled {
			t.Errorf("a subtask that waits for a slot shows %s, want SCHEDULED", got)
		}
		r.finish("a", 0, 1)
		r.expect("second", "a/1#1")
		r.finish("a", 1, 1)
		r.expect("third", "b/0#1")
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestWorkerTroubleIsNoFailureOfTheJob(t *testing.T) {
	for name, c := range map[string]struct {
		attempt int // the one that runs in the end
		set     func(*host)
	}{
		"no slot at deployment": {4, func(w *host) {
			fail := failTimes(3, gateway.ErrNoSlot)
			w.refuse = func(gateway.Deployment) error { return fail(0) }
		}},
		"a call that fails": {1, func(w *host) { w.deployErr = failTimes(3, errors.New("unreachable")) }},
		"ended by the worker": {4, func(w *host) {
			fail := failTimes(3, errors.New("any"))
			w.onDeploy = func(d gateway.Deployment) {
				if fail(0) != nil {
					w.end(canceledEnd(d.Attempt))
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 1)), with(func(r *rig) { c.set(r.worker) }))
				pass(time.Minute)
				synctest.Wait()
				if got := r.subtask(0, 0); got.Status != job.SubtaskRunning || got.Attempt != c.attempt {
					t.Fatalf("subtask is %+v after the trouble, want attempt %d RUNNING", got, c.attempt)
				}
				r.finish("a", 0, c.attempt)
				r.finishes(job.StatusFinished)
			})
		})
	}
}

func TestEndMayBeReportedBeforeDeployReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), node("b", 3, "a")), slots(1), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) { r.worker.end(finished(d.Attempt)) }
		}))
		r.finishes(job.StatusFinished)
		r.set(func() {
			if n := len(r.worker.deployed); n != 6 {
				t.Errorf("%d attempts, want 6", n)
			}
		})
	})
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, g := range map[string]job.Graph{
		"no tasks":                  graph(),
		`two tasks have the id "a"`: graph(node("a", 1), node("a", 1)),
		`task "a" needs "x"`:        graph(node("a", 1, "x")),
		"a cycle: 2 of 3":           graph(node("a", 1), node("b", 1, "c"), node("c", 1, "b")),
	} {
		_, err := New(Config{Job: jobstore.Job{ID: "j", Graph: g}, Resources: &cluster{}, Workers: &cluster{}, Progress: &store{}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "job j") {
			t.Errorf("New returned %v, want an error of job j with %q", err, want)
		}
	}
	_, err := New(Config{Job: jobstore.Job{Graph: graph(node("a", 1))}, Failures: -1})
	for _, field := range []string{"Resources", "Workers", "Progress", "Failures"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New returned %v, want an error that names %s", err, field)
		}
	}
}

func TestRunTwiceIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)))
		r.expect("first", "a/0#1")
		if _, err := r.master.Run(t.Context()); !errors.Is(err, errRanTwice) {
			t.Errorf("second Run returned %v", err)
		}
		r.finish("a", 0, 1)
		r.finishes(job.StatusFinished)
	})
}
