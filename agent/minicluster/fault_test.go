package minicluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/agent/minicluster"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

// oneFunction is a job of one call of the function "work".
const oneFunction = `
name: one function
tasks:
  - id: work
    func: work
`

// calls are the calls of a function that waits for its gate. Each sets its number as the
// result.
type calls struct {
	count atomic.Int32
	begun chan int32
	gate  chan struct{}
}

func newCalls() *calls { return &calls{begun: make(chan int32, 100), gate: make(chan struct{})} }

func (c *calls) funcs() taskexecutor.Funcs {
	return taskexecutor.Funcs{"work": func(ctx context.Context, t taskexecutor.TaskContext) error {
		n := c.count.Add(1)
		c.begun <- n
		select {
		case <-c.gate:
			return t.SetResult(fmt.Appendf(nil, "call %d", n))
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// next waits for a call to begin.
func (c *calls) next(ctx context.Context, t *testing.T) int32 {
	t.Helper()
	select {
	case n := <-c.begun:
		return n
	case <-ctx.Done():
		t.Fatal("no further call of the function began")
		return 0
	}
}

// written waits until a command has written to a file.
func written(ctx context.Context, t *testing.T, file string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("nothing was written to %s", file)
		}
	}
}

func TestFunctionIsAdoptedByTheNextLeaderAndNotCalledAgain(t *testing.T) {
	work := newCalls()
	ctx, cluster := start(t, minicluster.Config{Workers: 1, Funcs: work.funcs()})
	c := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, c)
	submit(ctx, t, c, "job", oneFunction)
	work.next(ctx, t)
	cluster.Member(old.ID).Kill()
	leaderAfter(ctx, t, c, old.Epoch)
	running(ctx, t, c, "job", 0)
	close(work.gate)
	snap := finished(ctx, t, c, "job")
	sub := snap.Tasks[0].Subtasks[0]
	if n := work.count.Load(); n != 1 || sub.Result != "call 1" || sub.Epoch != int64(old.Epoch) || snap.Epoch <= sub.Epoch {
		t.Errorf("%d calls; the job ended in %d with %+v, want one call of epoch %d", n, snap.Epoch, sub, old.Epoch)
	}
}

func TestAttemptOfAKilledWorkerRunsElsewhereOnce(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{Size: 1, Workers: 2})
	c := ask(t, cluster.URLs()...)
	leads := leaderOf(ctx, t, c)
	dir := t.TempDir()
	submit(ctx, t, c, "job", threeStages(dir))
	before := running(ctx, t, c, "job", 1)[0]
	written(ctx, t, filepath.Join(dir, "second"))
	cluster.Member(before.Worker).Kill()
	_, err := c.WaitFor(ctx, "job", func(s job.Snapshot) bool {
		sub := s.Tasks[1].Subtasks[0]
		return sub.Status == job.SubtaskRunning && sub.Worker != before.Worker
	})
	if err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	snap := finished(ctx, t, c, "job")
	if sub := snap.Tasks[1].Subtasks[0]; sub.Worker == before.Worker {
		t.Errorf("the attempt ran on %s and again on %s, want another worker", before.Worker, sub.Worker)
	}
	wantRuns(t, dir, "first-0", leads.Epoch)
	wantRuns(t, dir, "second", leads.Epoch, leads.Epoch)
	wantRuns(t, dir, "third", leads.Epoch)
}

func TestCommandsOfAKilledWorkerEnd(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{Size: 1, Workers: 1})
	c := ask(t, cluster.URLs()...)
	dir := t.TempDir()
	submit(ctx, t, c, "job", fmt.Sprintf(`
name: long
tasks:
  - id: long
    command: [sh, -c, "trap 'echo ended > %[1]s/ended; exit 1' TERM; echo begun > %[1]s/begun; while :; do sleep 0.05; done"]
`, dir))
	written(ctx, t, filepath.Join(dir, "begun"))
	cluster.Workers()[0].Kill()
	<-cluster.Workers()[0].Gone()
	if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
		t.Errorf("the worker is gone and its command was not ended: %v", err)
	}
}

func TestLateResultOfAPausedWorkerIsRefused(t *testing.T) {
	work := newCalls()
	ctx, cluster := start(t, minicluster.Config{Size: 1, Workers: 2, WorkerSlots: 1, Funcs: work.funcs()})
	c := ask(t, cluster.URLs()...)
	submit(ctx, t, c, "job", oneFunction)
	work.next(ctx, t)
	paused := cluster.Member(running(ctx, t, c, "job", 0)[0].Worker)
	paused.Pause()
	second := work.next(ctx, t) // elsewhere, when heartbeats have stayed away
	close(work.gate)            // both end
	snap := finished(ctx, t, c, "job")
	want := fmt.Sprintf("call %d", second)
	if sub := snap.Tasks[0].Subtasks[0]; sub.Worker == paused.ID() || sub.Result != want {
		t.Errorf("the job ended with %+v, want %q and not from %s", sub, want, paused.ID())
	}

	paused.Resume()
	// It is of use again.
	submit(ctx, t, c, "next", oneFunction+"    parallelism: 2\n")
	for _, sub := range finished(ctx, t, c, "next").Tasks[0].Subtasks {
		if sub.Status != job.SubtaskFinished {
			t.Errorf("a subtask of the next job is %+v", sub)
		}
	}
	if again, err := c.Job(ctx, "job"); err != nil || again.Tasks[0].Subtasks[0].Result != want {
		t.Errorf("after the late result the job is %+v, %v", again, err)
	}
}

func TestTasksGoOnWhileTheirWorkerCannotReachTheBackend(t *testing.T) {
	work := newCalls()
	ctx, cluster := start(t, minicluster.Config{Size: 1, Workers: 1, SessionTimeout: 4 * time.Second, Funcs: work.funcs()})
	c := ask(t, cluster.URLs()...)
	submit(ctx, t, c, "job", oneFunction)
	work.next(ctx, t)
	cluster.Workers()[0].Disconnect()
	submit(ctx, t, c, "next", oneFunction)
	work.next(ctx, t) // a further task reaches the worker, too
	cluster.Workers()[0].Reconnect()
	close(work.gate)
	finished(ctx, t, c, "job")
	finished(ctx, t, c, "next")
	if n := work.count.Load(); n != 2 {
		t.Errorf("the functions were called %d times, want 2", n)
	}
}

func TestLeaderThatIsPausedIsReplacedAndItsTasksAreAdopted(t *testing.T) {
	work := newCalls()
	ctx, cluster := start(t, minicluster.Config{Workers: 1, Funcs: work.funcs()})
	c := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, c)
	submit(ctx, t, c, "job", oneFunction)
	work.next(ctx, t)
	cluster.Member(old.ID).Pause()
	var others []string
	for _, m := range cluster.Agents() {
		if m.ID() != old.ID {
			others = append(others, m.URL())
		}
	}
	rest := ask(t, others...)
	now := leaderAfter(ctx, t, rest, old.Epoch)
	running(ctx, t, rest, "job", 0)
	cluster.Member(old.ID).Resume()
	if l := leaderAfter(ctx, t, ask(t, cluster.Member(old.ID).URL()), old.Epoch); l.ID != now.ID || l.Epoch != now.Epoch {
		t.Errorf("who was paused says that %s leads in %d, want %s in %d", l.ID, l.Epoch, now.ID, now.Epoch)
	}
	close(work.gate)
	finished(ctx, t, rest, "job")
	if n := work.count.Load(); n != 1 {
		t.Errorf("the function was called %d times, want once", n)
	}
}
