package jobmaster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

func TestResumeRunsOnlyWhatIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begunAt := time.Now().Add(-time.Hour)
		r := begin(t, graph(node("a", 2), retry(node("b", 3, "a"), 3, 0), node("c", 1, "b")), recorded(jobstore.Progress{
			StartedAt: begunAt,
			Tasks: map[string]jobstore.TaskProgress{
				"a": {Finished: []jobstore.Finished{{Index: 1, Attempt: 1, Epoch: 5}, {Index: 0, Attempt: 2, Epoch: 5}}},
				"b": {Finished: []jobstore.Finished{{Index: 1, Attempt: 1, Epoch: 6}}, Attempts: map[int]int{2: 2}},
			},
		}))
		r.expect("resumed", "b/0#1", "b/2#3")
		snap := r.master.Snapshot()
		if a := snap.Tasks[0].Subtasks[0]; a.Status != job.SubtaskFinished || a.Attempt != 2 || a.Epoch != 5 || *a.ExitCode != 0 {
			t.Errorf("a recovered subtask shows as %+v", a)
		}
		if !snap.StartedAt.Equal(begunAt) {
			t.Errorf("job started at %v, want %v as recorded", snap.StartedAt, begunAt)
		}
		r.finish("b", 0, 1)
		got := r.store.record.Tasks["b"]
		if len(got.Finished) != 2 || got.Attempts[2] != 2 || len(r.store.record.Tasks["a"].Finished) != 2 {
			t.Errorf("the new record forgot the old: %+v", r.store.record)
		}
		r.finish("b", 2, 3)
		r.expect("at last", "c/0#1")
		r.finish("c", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAttemptsAreCountedOverAllTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 1), 3, 0)), recorded(jobstore.Progress{
			Tasks: map[string]jobstore.TaskProgress{"a": {Attempts: map[int]int{0: 2}}},
		}))
		r.expect("the third", "a/0#3")
		r.fail("a", 0, 3)
		r.finishes(job.StatusFailed)
	})
}

func TestExhaustedSubtaskInTheRecordFailsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1)), recorded(jobstore.Progress{
			Tasks: map[string]jobstore.TaskProgress{"a": {Attempts: map[int]int{1: 1}}},
		}))
		snap := r.finishes(job.StatusFailed)
		r.expect("nothing")
		if want := `task "a", subtask 1: all 1 attempts failed in an earlier term`; snap.Error != want {
			t.Errorf("error %q, want %q", snap.Error, want)
		}
	})
}

func TestCompleteRecordFinishesWithoutRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), recorded(jobstore.Progress{
			Tasks: map[string]jobstore.TaskProgress{"a": {Finished: []jobstore.Finished{{Attempt: 1, Epoch: 3, Output: "42\n"}}}},
		}))
		snap := r.finishes(job.StatusFinished)
		r.expect("nothing")
		if got := snap.Tasks[0].Subtasks[0].Output; got != "42\n" {
			t.Errorf("output %q was recovered, want %q", got, "42\n")
		}
	})
}

// A canceled job that could not yet be read still reports what had finished.
func TestCancelBeforeTheRecordWasReadKeepsWhatHasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, graph(node("a", 1), node("b", 1, "a")), recorded(jobstore.Progress{
			Tasks: map[string]jobstore.TaskProgress{"a": {Finished: []jobstore.Finished{{Attempt: 1, Epoch: 3}}}},
		}))
		r.store.readErr = failTimes(1, gateway.ErrNotLeader)
		r.run()
		synctest.Wait()
		r.master.Cancel()
		snap := r.finishes(job.StatusCanceled)
		if a, b := snap.Tasks[0].Subtasks[0].Status, snap.Tasks[1].Subtasks[0].Status; a != job.SubtaskFinished || b != job.SubtaskCanceled {
			t.Errorf("a is %s and b is %s, want FINISHED and CANCELED", a, b)
		}
	})
}
