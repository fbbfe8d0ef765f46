package jobmaster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// progress makes a record.
func progress(say func(p *jobstore.Progress)) jobstore.Progress {
	var p jobstore.Progress
	say(&p)
	return p
}

func TestResumeRunsOnlyWhatIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begunAt := time.Now().Add(-time.Hour)
		r := begin(t, graph(node("a", 2), retry(node("b", 3, "a"), 3, 0), node("c", 1, "b")), recorded(progress(func(p *jobstore.Progress) {
			p.StartedAt = begunAt
			p.Finish(1, 5, 1, false)
			p.Finish(0, 5, 2, false)
			p.Finish(3, 6, 1, false)
			p.Fail(4, 6, 2, 2)
		})))
		r.expect("resumed", "b/0#1", "b/2#3")
		snap := r.master.Snapshot()
		if a := snap.Tasks[0].Subtasks[0]; a.Status != job.SubtaskFinished || a.Attempt != 2 || a.Epoch != 5 || *a.ExitCode != 0 {
			t.Errorf("a recovered subtask shows as %+v", a)
		}
		if !snap.StartedAt.Equal(begunAt) {
			t.Errorf("job started at %v, want %v as recorded", snap.StartedAt, begunAt)
		}
		r.finish("b", 0, 1)
		for n, want := range []jobstore.Recorded{
			{Finished: true, Epoch: 5, Attempt: 2},
			{Finished: true, Epoch: 5, Attempt: 1},
			{Finished: true, Epoch: 7, Attempt: 1},
			{Finished: true, Epoch: 6, Attempt: 1},
			{Epoch: 6, Attempt: 2, Used: 2},
		} {
			if got := r.says(n); got != want {
				t.Errorf("the record says of subtask %d %+v, want %+v", n, got, want)
			}
		}
		r.finish("b", 2, 3)
		r.expect("at last", "c/0#1")
		r.finish("c", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAttemptsAreCountedOverAllTerms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 1), 3, 0)), recorded(progress(func(p *jobstore.Progress) { p.Fail(0, 6, 2, 2) })))
		r.expect("the third", "a/0#3")
		r.fail("a", 0, 3)
		r.finishes(job.StatusFailed)
	})
}

func TestExhaustedSubtaskInTheRecordFailsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 2), node("b", 1)), recorded(progress(func(p *jobstore.Progress) { p.Fail(1, 6, 1, 1) })))
		snap := r.finishes(job.StatusFailed)
		r.expect("nothing")
		if want := `task "a", subtask 1: all 1 attempts failed in an earlier term`; snap.Error != want {
			t.Errorf("error %q, want %q", snap.Error, want)
		}
	})
}

func TestCompleteRecordFinishesWithoutRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), recorded(progress(func(p *jobstore.Progress) { p.Finish(0, 3, 1, true) })), with(func(r *rig) {
			r.store.keep(r.store.record, []jobstore.Output{{Task: "a", Text: "42\n", Result: []byte("42")}})
			r.store.outputsErr = failTimes(1, gateway.ErrNotLeader)
			r.cluster.registerErr = failTimes(99, gateway.ErrNotLeaderYet)
		}))
		snap := r.finishes(job.StatusFinished)
		r.expect("nothing")
		if got := snap.Tasks[0].Subtasks[0]; got.Output != "42\n" || got.Result != "42" {
			t.Errorf("%+v was recovered, want output and result", got)
		}
	})
}

// A canceled job that could not yet be read still reports what had finished.
func TestCancelBeforeTheRecordWasReadKeepsWhatHasFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, graph(node("a", 1), node("b", 1, "a")), recorded(progress(func(p *jobstore.Progress) { p.Finish(0, 3, 1, false) })))
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
