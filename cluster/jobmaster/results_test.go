package jobmaster

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// returning ends what is deployed with a result of each subtask.
func returning(result func(task string, subtask int) []byte) option {
	return with(func(r *rig) {
		r.worker.onDeploy = func(d gateway.Deployment) {
			e := finished(d.Attempt)
			e.Result = result(d.Attempt.Task, d.Attempt.Subtask)
			r.worker.end(e)
		}
	})
}

func named(task string, subtask int) []byte {
	if subtask == 1 {
		return nil // it has written none
	}
	return fmt.Appendf(nil, "%s/%d", task, subtask)
}

func inputsOf(r *rig, task string) string {
	for _, d := range r.worker.deployed {
		if d.Attempt.Task == task {
			var all []string
			for _, in := range d.Inputs {
				all = append(all, fmt.Sprintf("%s %d: %s", in.Task, in.Subtask, in.Data))
			}
			return strings.Join(all, ", ")
		}
	}
	return "it was not deployed"
}

func TestResultsFlowToTheTasksThatNeedThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), node("b", 2), node("c", 1, "b", "a"), node("d", 1, "c")), returning(named))
		snap := r.finishes(job.StatusFinished)
		for task, want := range map[string]string{
			"a": "", "c": "a 0: a/0, a 2: a/2, b 0: b/0", "d": "c 0: c/0",
		} {
			if got := inputsOf(r, task); got != want {
				t.Errorf("%s got the inputs %q, want %q", task, got, want)
			}
		}
		for i, want := range []string{"", "", "", "d/0"} {
			if got := snap.Tasks[i].Subtasks[0].Result; got != want {
				t.Errorf("the snapshot has the result %q of %s, want %q: only what nothing needs is shown", got, snap.Tasks[i].ID, want)
			}
		}
		r.set(func() {
			if got := string(r.store.outputs[jobstore.OutputID{Task: "a", Subtask: 2}].Result); got != "a/2" {
				t.Errorf("the stored result of a/2 is %q", got)
			}
		})
		for _, task := range r.master.core.tasks[:2] {
			if task.inputs != nil || task.results != nil {
				t.Errorf("results of %s are kept though what needed them is recorded", task.spec.ID)
			}
		}
	})
}

func TestResultsAreReadBackByTheNextLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3), retry(node("b", 1, "a"), 2, 0), node("x", 1), node("y", 1, "x"), node("z", 1)), slots(8), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) {
				if d.Attempt.Task == "b" {
					return
				}
				e := finished(d.Attempt)
				e.Result = named(d.Attempt.Task, d.Attempt.Subtask)
				r.worker.end(e)
			}
		}))
		synctest.Wait()
		r.takeOver()
		r.rejoin(r.worker)
		// Those of a are needed, that of z is shown; nothing needs that of x any more.
		r.set(func() {
			if r.store.outputReads != 2+1+1 {
				t.Errorf("%d outputs were read, want those of a/0, a/2, y and z", r.store.outputReads)
			}
		})
		if got := r.subtask(4, 0); got.Result != "z/0" || got.Output != "z out\n" {
			t.Errorf("z shows %+v, want its output and result", got)
		}
		r.worker.deployed, r.next[r.worker] = nil, 0
		r.end(failed(attempt("b", 0, 1)))
		r.expect("again", "b/0#2")
		if got, want := inputsOf(r, "b"), "a 0: a/0, a 2: a/2"; got != want {
			t.Errorf("b got the inputs %q, want %q", got, want)
		}
		r.end(finished(attemptOf(8, "b", 0, 2)))
		r.finishes(job.StatusFinished)
		r.set(func() {
			if got, want := r.master.core.outputs.results, r.store.record.ResultBytes; got != want || want == 0 {
				t.Errorf("results count %d bytes, the record says %d", got, want)
			}
		})
	})
}

func TestAResultBeyondALimitFailsTheAttempt(t *testing.T) {
	kib := func(n int) []byte { return []byte(strings.Repeat("r", n<<10)) }
	for name, c := range map[string]struct {
		graph job.Graph
		size  int // of each result, in KiB
		want  string
	}{
		"one":                      {graph(retry(node("a", 1), 2, 0), node("b", 1, "a")), 65, "its result has 66560 bytes; at most 65536 are allowed (attempt 2 of 2)"},
		"all of a job":             {graph(node("a", 70), node("b", 1, "a")), 64, "the job's results count"},
		"those that nothing needs": {graph(node("a", 5)), 60, "the results of the tasks that nothing needs count"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, c.graph, slots(1), returning(func(string, int) []byte { return kib(c.size) }))
				snap := r.finishes(job.StatusFailed)
				if !strings.Contains(snap.Error, c.want) || !strings.Contains(snap.Error, `task "a"`) {
					t.Errorf("error %q, want one that names the task and says %q", snap.Error, c.want)
				}
				total := 0
				for _, s := range snap.Tasks[0].Subtasks {
					total += len(s.Result)
				}
				if total > job.MaxFinalResults || len(snap.Tasks) == 2 && total > 0 {
					t.Errorf("%d bytes of results are shown", total)
				}
			})
		})
	}
}

func TestAWriteCarriesAsManyResultsAsFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		result := []byte(strings.Repeat("r", 60<<10))
		r := begin(t, graph(node("a", 10), node("b", 1, "a")), slots(10), with(func(r *rig) { r.store.gate = gate }))
		r.started()
		for n := range 10 {
			e := finished(attempt("a", n, 1))
			e.Result = result
			r.end(e)
		}
		r.set(func() {
			if n := len(r.worker.kept); n != 10 {
				t.Errorf("%d ends are kept while nothing is recorded, want 10", n)
			}
		})
		close(gate)
		r.expect("when all are recorded", "b/0#1")
		// One, four, four, one.
		if n := r.writeCount(); n != 4 {
			t.Errorf("%d writes for ten results of 60 KiB, want 4", n)
		}
		for i, p := range r.store.writes {
			count := 0
			for range p.All() {
				count++
			}
			if want := []int{1, 5, 9, 10}[i]; count != want {
				t.Errorf("write %d says that %d have finished, want %d", i+1, count, want)
			}
		}
		r.set(func() {
			if got := len(r.worker.deployed[10].Inputs); got != 10 || len(r.worker.kept) != 0 {
				t.Errorf("b got %d inputs and %d ends are kept, want 10 and none", got, len(r.worker.kept))
			}
		})
		r.finish("b", 0, 1)
		r.finishes(job.StatusFinished)
	})
}

func TestAResultThatIsNotUTF8IsShownAsBase64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), returning(func(string, int) []byte { return []byte("\xff\x00") }))
		snap := r.finishes(job.StatusFinished)
		if s := snap.Tasks[0].Subtasks[0]; s.Result != "" || string(s.ResultBase64) != "\xff\x00" {
			t.Errorf("the result is shown as %q and %q", s.Result, s.ResultBase64)
		}
	})
}

// A record of version 1 has outputs in itself; the first write moves them.
func TestOutputsOfAnOldRecordAreStoredAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 3)), recorded(progress(func(p *jobstore.Progress) { p.Finish(0, 6, 1, false) })))
		synctest.Wait()
		r.master.core.record.owed = []jobstore.Output{{Task: "a", Text: "old\n"}}
		r.finish("a", 1, 1)
		r.set(func() {
			if got := r.store.outputs[jobstore.OutputID{Task: "a"}].Text; got != "old\n" || r.master.core.record.owed != nil {
				t.Errorf("the old output was stored as %q", got)
			}
		})
		r.finish("a", 2, 1)
		r.finishes(job.StatusFinished)
	})
}
