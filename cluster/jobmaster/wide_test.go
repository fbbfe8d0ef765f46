package jobmaster

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// runWide runs a job of one wide task and one after it, and returns the bytes
// that were allocated for it.
func runWide(t *testing.T, width int) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", width), node("b", 1, "a")), slots(8), with(func(r *rig) {
			r.worker.onDeploy = func(d gateway.Deployment) { r.worker.end(finished(d.Attempt)) }
		}))
		r.finishes(job.StatusFinished)
		if n := len(r.worker.deployed); n != width+1 {
			t.Errorf("%d attempts for %d subtasks", n, width+1)
		}
	})
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestWideJobCostsInProportion(t *testing.T) {
	small, large := runWide(t, 1250), runWide(t, 10000)
	if ratio := float64(large) / float64(small); ratio > 16 {
		t.Errorf("8 times the subtasks cost %.0f times the memory (%d and %d bytes), want about 8 times", ratio, large, small)
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	v := newView(jobstore.Job{ID: "j", Graph: graph(node("a", 2), node("b", 1))}, 7)
	tasks, _, err := buildTasks(graph(node("a", 2), node("b", 1)))
	if err != nil {
		t.Fatal(err)
	}
	first := v.snapshot()
	v.setStatus(job.StatusRunning, time.Time{}, "")
	v.change(&tasks[0].subtasks[1], func(s *job.SubtaskSnapshot) { s.Attempt = 5 })
	second := v.snapshot()
	v.change(&tasks[0].subtasks[1], func(s *job.SubtaskSnapshot) { s.Attempt = 6 })
	if got := first.Tasks[0].Subtasks[1].Attempt; got != 0 || first.Status != job.StatusInitializing {
		t.Errorf("a snapshot changed: attempt %d, status %s", got, first.Status)
	}
	if got := second.Tasks[0].Subtasks[1].Attempt; got != 5 {
		t.Errorf("a snapshot shows attempt %d, want 5", got)
	}
	if &first.Tasks[1].Subtasks[0] != &second.Tasks[1].Subtasks[0] {
		t.Error("a task that did not change was copied")
	}
}

func TestOutputsStayWithinTheirLimits(t *testing.T) {
	g := graph(node("a", 40))
	v := newView(jobstore.Job{ID: "j", Graph: g}, 7)
	tasks, _, err := buildTasks(g)
	if err != nil {
		t.Fatal(err)
	}
	var o outputs
	total := 0
	for range 40 {
		total += len(o.text(strings.Repeat("r", 5000)))
	}
	if total > maxResultOutputs || total < maxResultOutputs-maxOutput {
		t.Errorf("%d bytes of successes were kept, want about %d", total, maxResultOutputs)
	}
	for i := range tasks[0].subtasks {
		s := &tasks[0].subtasks[i]
		s.attempt.N = 1
		text := o.failure(s, strings.Repeat("f", 5000)+"end", v)
		if !strings.HasSuffix(text, "end") || len(text) != maxOutput {
			t.Errorf("%d bytes of a failure were kept, want the last %d", len(text), maxOutput)
		}
		v.change(s, func(s *job.SubtaskSnapshot) { s.Output = text })
	}
	total = 0
	for _, s := range v.snapshot().Tasks[0].Subtasks {
		total += len(s.Output)
	}
	if total != maxFailureOutputs || v.snapshot().Tasks[0].Subtasks[39].Output == "" {
		t.Errorf("%d bytes of failures are shown, want the newest %d", total, maxFailureOutputs)
	}
}

func TestRecordThatIsBeingWrittenDoesNotChange(t *testing.T) {
	tasks, _, err := buildTasks(graph(node("a", 3)))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	r.note(&change{subtask: &tasks[0].subtasks[0], attempt: attempt("a", 0, 1), used: 1})
	r.note(&change{subtask: &tasks[0].subtasks[1], attempt: attempt("a", 1, 1)})
	first := r.begin().progress
	if covered := r.end(nil, time.Time{}); len(covered) != 2 {
		t.Fatalf("a write covered %d changes, want 2", len(covered))
	}
	r.note(&change{subtask: &tasks[0].subtasks[0], attempt: attempt("a", 0, 2), used: 2})
	r.note(&change{subtask: &tasks[0].subtasks[2], attempt: attempt("a", 2, 1)})
	second := r.begin().progress
	for n, want := range []jobstore.Recorded{{Epoch: 7, Attempt: 1, Used: 1}, {Finished: true, Epoch: 7, Attempt: 1}, {}} {
		if got, _ := first.Of(n); got != want {
			t.Errorf("the first record changed: it says of %d %+v, want %+v", n, got, want)
		}
	}
	for n, want := range []jobstore.Recorded{{Epoch: 7, Attempt: 2, Used: 2}, {Finished: true, Epoch: 7, Attempt: 1}, {Finished: true, Epoch: 7, Attempt: 1}} {
		if got, _ := second.Of(n); got != want {
			t.Errorf("the second record says of %d %+v, want %+v", n, got, want)
		}
	}
}
