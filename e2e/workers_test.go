package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// worker is one coordd worker.
type worker struct{ *process }

// startWorker starts a worker of the cluster. It is killed at the end.
func startWorker(t *testing.T, zookeeper, id string, flags ...string) *worker {
	t.Helper()
	args := []string{
		"worker", "--zookeeper", zookeeper, "--cluster-id", "test", "--id", id, "--slots", "8", "--log-level", "debug",
	}
	return &worker{startProcess(t, id, append(args, flags...)...)}
}

// pid is what commands on the worker see as their parent.
func (w *worker) pid() int { return w.cmd.Process.Pid }

// registered counts how often the worker has registered at the resource manager of an
// epoch.
func (w *worker) registered(t *testing.T, epoch int64) int {
	t.Helper()
	return w.saidOf(t, "coordd: registered at the resource manager: ", "epoch", epoch)
}

// separate is a cluster whose agents have no workers of their own.
type separate struct {
	srv     *zookeepertest.Server
	agents  []*agent
	workers []*worker
	// dir is where commands write down what they do.
	dir string
}

// startSeparate starts agents and workers that lose one another after a short time.
func startSeparate(t *testing.T, agents, workers int, agentFlags ...string) *separate {
	t.Helper()
	c := &separate{srv: zookeepertest.StartServer(t, zookeepertest.TickTime(200e6)), dir: t.TempDir()}
	agentFlags = append([]string{"--session-timeout", "3s", "--slots", "0"}, agentFlags...)
	for i := range agents {
		c.agents = append(c.agents, startAgent(t, c.srv.Addr(), "node-"+strconv.Itoa(i+1), agentFlags...))
	}
	for i := range workers {
		c.workers = append(c.workers, startWorker(t, c.srv.Addr(), "worker-"+strconv.Itoa(i+1), "--session-timeout", "3s"))
	}
	return c
}

func (c *separate) submit(t *testing.T, file, id string) {
	t.Helper()
	path := filepath.Join(c.dir, id+".yaml")
	text := strings.ReplaceAll(strings.ReplaceAll(file, "$NOTE", noteRun), "$DIR", c.dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 0, "job", "submit", path, "--id", id, "--address", addresses(c.agents...))
}

// wait waits for the job's end, which must be a success.
func (c *separate) wait(t *testing.T, id string) job.Snapshot {
	t.Helper()
	wantExit(t, 0, "job", "wait", id, "--address", addresses(c.agents...))
	return status(t, id, c.agents...)
}

// noteRun is what a command says when it starts. One short write to a file that is open
// for appending is not torn.
const noteRun = `echo "$COORDD_JOB_ID $COORDD_TASK $COORDD_SUBTASK $COORDD_EPOCH $COORDD_ATTEMPT $PPID" >> $DIR/runs`

// startedRun is one start of a subtask's command.
type startedRun struct {
	job, task string
	subtask   int
	epoch     int64
	attempt   int
	worker    int // its process ID
}

// runs returns the starts of a job's task, in order.
func (c *separate) runs(t *testing.T, id, task string) []startedRun {
	t.Helper()
	all := slices.DeleteFunc(c.allRuns(t), func(r startedRun) bool { return r.job != id || r.task != task })
	return all
}

func (c *separate) allRuns(t *testing.T) []startedRun {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(c.dir, "runs"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []startedRun
	for line := range strings.Lines(string(log)) {
		if !strings.HasSuffix(line, "\n") {
			continue // being written
		}
		var r startedRun
		if _, err := fmt.Sscan(line, &r.job, &r.task, &r.subtask, &r.epoch, &r.attempt, &r.worker); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// awaitRuns waits until a job's task was started n times, and returns its starts.
func (c *separate) awaitRuns(t *testing.T, id, task string, n int) (runs []startedRun) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d starts of %s", n, task), func() bool {
		runs = c.runs(t, id, task)
		return len(runs) >= n
	})
	return runs
}

// wantOnce fails unless each of a job's n subtasks of a task was started once.
func (c *separate) wantOnce(t *testing.T, id, task string, n int) {
	t.Helper()
	runs := c.runs(t, id, task)
	seen := make(map[int]bool)
	for _, r := range runs {
		seen[r.subtask] = true
	}
	if len(runs) != n || len(seen) != n {
		t.Errorf("%s of job %s was started as %+v, want each of %d subtasks once", task, id, runs, n)
	}
}

// letGo lets the commands end that wait for a file.
func (c *separate) letGo(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// twoStages is a job whose first stage waits for the file "go"; each subtask's result is
// the process that ran it. The second stage says what it was handed, and waits for the
// file "go2".
const twoStages = `
name: two stages
tasks:
  - id: work
    parallelism: 4
    command: [sh, -c, '$NOTE; while [ ! -e $DIR/go ]; do sleep 0.05; done; echo -n $PPID > $COORDD_OUTPUT']
  - id: sum
    needs: [work]
    command: [sh, -c, '$NOTE; while [ ! -e $DIR/go2 ]; do sleep 0.05; done; for i in 0 1 2 3; do echo $i $(cat $COORDD_INPUTS/work/$i); done']
`

// wantResults fails unless the second stage of a twoStages job was handed the results of
// the given workers, by subtask.
func wantResults(t *testing.T, snap job.Snapshot, want [4]int) {
	t.Helper()
	var text strings.Builder
	for i, pid := range want {
		fmt.Fprintf(&text, "%d %d\n", i, pid)
	}
	if got := snap.Tasks[1].Subtasks[0].Output; got != text.String() {
		t.Errorf("the second stage was handed %q, want %q", got, text.String())
	}
}

// by returns who runs each subtask of twoStages, by the newest start of each.
func by(runs []startedRun) (pids [4]int) {
	for _, r := range runs {
		pids[r.subtask] = r.worker
	}
	return pids
}

func TestAttemptsOfADeadWorkerRunElsewhereOnce(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 1, 2)
	c.submit(t, twoStages, "job")
	first := c.awaitRuns(t, "job", "work", 4)
	dead, other := c.workers[0], c.workers[1]
	if !slices.ContainsFunc(first, func(r startedRun) bool { return r.worker == dead.pid() }) {
		dead, other = other, dead
	}
	lost := len(slices.DeleteFunc(slices.Clone(first), func(r startedRun) bool { return r.worker != dead.pid() }))
	dead.kill(t)
	c.awaitRuns(t, "job", "work", 4+lost)
	c.letGo(t, "go")
	c.letGo(t, "go2")
	snap := c.wait(t, "job")
	runs := c.runs(t, "job", "work")
	if len(runs) != 4+lost {
		t.Errorf("the first stage was started as %+v, want again only the %d on the dead worker", runs, lost)
	}
	wantResults(t, snap, [4]int{other.pid(), other.pid(), other.pid(), other.pid()})
	for _, s := range snap.Tasks[0].Subtasks {
		if s.Worker != other.id {
			t.Errorf("subtask %d is said to have run on %q, want %s", s.Index, s.Worker, other.id)
		}
	}
	c.wantOnce(t, "job", "sum", 1)
}

// The commands of the paused worker go on and end with success, which it reports when
// it wakes up: too late, the others have taken their place.
func TestLateResultsOfAPausedWorkerAreRefused(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 1, 2)
	_, epoch, _ := awaitLeader(t, 0, c.agents...)
	c.submit(t, twoStages, "job")
	first := c.awaitRuns(t, "job", "work", 4)
	paused, other := c.workers[0], c.workers[1]
	if !slices.ContainsFunc(first, func(r startedRun) bool { return r.worker == paused.pid() }) {
		paused, other = other, paused
	}
	lost := len(slices.DeleteFunc(slices.Clone(first), func(r startedRun) bool { return r.worker != paused.pid() }))
	paused.signal(t, syscall.SIGSTOP)
	c.awaitRuns(t, "job", "work", 4+lost)
	c.letGo(t, "go")
	c.awaitRuns(t, "job", "sum", 1)
	before := paused.registered(t, epoch)
	paused.signal(t, syscall.SIGCONT)
	eventually(t, "the paused worker to come back", func() bool { return paused.registered(t, epoch) > before })
	eventually(t, "the paused worker to have reported", func() bool {
		return strings.Count(paused.said(t), "attempt ended") >= lost
	})
	c.letGo(t, "go2")
	snap := c.wait(t, "job")
	wantResults(t, snap, [4]int{other.pid(), other.pid(), other.pid(), other.pid()})
	if runs := c.runs(t, "job", "work"); len(runs) != 4+lost {
		t.Errorf("the first stage was started as %+v, want again only the %d on the paused worker", runs, lost)
	}
	c.wantOnce(t, "job", "sum", 1)
}

func TestWorkerThatIsToldToDrainEndsItsTasksFirst(t *testing.T) {
	t.Parallel()
	for name, drain := range map[string]func(*testing.T, *separate, *worker){
		"by a signal": func(t *testing.T, _ *separate, w *worker) { w.signal(t, syscall.SIGTERM) },
		"by the leader": func(t *testing.T, c *separate, w *worker) {
			wantExit(t, 0, "worker", "drain", w.id, "--address", addresses(c.agents...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startSeparate(t, 1, 2)
			c.submit(t, twoStages, "job")
			first := c.awaitRuns(t, "job", "work", 4)
			w := c.workers[0]
			drain(t, c, w)
			eventually(t, "the word that it drains", func() bool { return strings.Contains(w.said(t), "draining: no new slots") })
			c.letGo(t, "go")
			if err := <-w.exited; err != nil {
				t.Errorf("the drained worker ended with %v, want success", err)
			}
			c.letGo(t, "go2")
			wantResults(t, c.wait(t, "job"), by(first))
			c.wantOnce(t, "job", "work", 4)
			c.wantOnce(t, "job", "sum", 1)
		})
	}
}
