package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// stages is a job whose second stage waits for the file "go". Every subtask says in
// the file "log" that it started: its task, subtask and epoch.
const stages = `
name: stages
tasks:
  - id: first
    parallelism: 2
    command: [sh, -c, 'echo "$COORDD_TASK $COORDD_SUBTASK $COORDD_EPOCH" >> %[1]s/log']
  - id: second
    needs: [first]
    command: [sh, -c, 'echo "$COORDD_TASK $COORDD_SUBTASK $COORDD_EPOCH" >> %[1]s/log; while [ ! -e %[1]s/go ]; do sleep 0.05; done']
  - id: third
    needs: [second]
    command: [sh, -c, 'echo "$COORDD_TASK $COORDD_SUBTASK $COORDD_EPOCH" >> %[1]s/log; echo the answer is 42']
`

// starts reads the log of a stages job: the epochs in which each subtask started.
func starts(t *testing.T, dir string) map[string][]int64 {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	seen := make(map[string][]int64)
	for line := range strings.Lines(string(log)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue // being written
		}
		epoch, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		seen[f[0]+"/"+f[1]] = append(seen[f[0]+"/"+f[1]], epoch)
	}
	return seen
}

func letGo(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func threeAgents(t *testing.T, zookeeper string, flags ...string) []*agent {
	t.Helper()
	agents := make([]*agent, 3)
	for i := range agents {
		agents[i] = startAgent(t, zookeeper, "node-"+strconv.Itoa(i+1), flags...)
	}
	return agents
}

// leaderAtWork starts three agents. The first leads, and its own worker runs the second
// stage of the job "stages" that is in the file: it was alone when that began.
func leaderAtWork(t *testing.T, zookeeper, file, dir string, flags ...string) (leader *agent, epoch int64, standbys []*agent) {
	t.Helper()
	first := startAgent(t, zookeeper, "node-1", flags...)
	awaitLeader(t, 0, first)
	wantExit(t, 0, "job", "submit", file, "--id", "stages", "--address", first.url())
	eventually(t, "the second stage", func() bool { return len(starts(t, dir)["second/0"]) >= 1 })
	agents := []*agent{first, startAgent(t, zookeeper, "node-2", flags...), startAgent(t, zookeeper, "node-3", flags...)}
	return awaitLeader(t, 0, agents...)
}

// What ran on the leader's own worker died with it.
func TestJobSurvivesTheDeathOfItsLeader(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6))
	dir := t.TempDir()
	file := writeFile(t, "stages.yaml", stages, dir)
	leader, epoch, standbys := leaderAtWork(t, srv.Addr(), file, dir, "--session-timeout", "4s")
	leader.kill(t)
	_, nextEpoch, _ := awaitLeader(t, epoch, standbys...)
	eventually(t, "the second stage to start again", func() bool { return len(starts(t, dir)["second/0"]) >= 2 })
	letGo(t, dir)
	wantExit(t, 0, "job", "wait", "stages", "--address", addresses(append([]*agent{leader}, standbys...)...)) // the first is dead

	seen := starts(t, dir)
	for task, want := range map[string][]int64{
		"first/0": {epoch}, "first/1": {epoch}, "second/0": {epoch, nextEpoch}, "third/0": {nextEpoch},
	} {
		if got := seen[task]; len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s started in the epochs %v, want %v", task, got, want)
		}
	}
	snap := status(t, "stages", standbys...)
	if snap.Status != "FINISHED" || snap.Epoch != nextEpoch || !strings.Contains(snap.Tasks[2].Subtasks[0].Output, "the answer is 42") {
		t.Errorf("result %+v, want FINISHED in epoch %d with the answer", snap, nextEpoch)
	}

	// The same file again is answered with the finished job; another is refused.
	wantExit(t, 0, "job", "submit", file, "--id", "stages", "--wait", "--address", addresses(standbys...))
	other := writeFile(t, "other.yaml", "name: other\ntasks: [{id: a, command: [touch, %s/ran]}]\n", dir)
	if out := wantExit(t, 1, "job", "submit", other, "--id", "stages", "--address", addresses(standbys...)); !strings.Contains(out, "other content") {
		t.Errorf("a conflicting submission says %q, want that the ID has other content", out)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the refused job ran")
	}
	if got := starts(t, dir)["third/0"]; len(got) != 1 {
		t.Errorf("the last stage ran in the epochs %v, want once", got)
	}
}

// The session time-out is so long that only a resignation can bring the next leader
// within the test's patience.
func TestCleanHandOverNeedsNoSessionTimeout(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.MaxSessionTimeout(10*patience))
	agents := threeAgents(t, srv.Addr(), "--session-timeout", (5 * patience).String())
	leader, epoch, standbys := awaitLeader(t, 0, agents...)
	dir := t.TempDir()
	wantExit(t, 0, "job", "submit", writeFile(t, "stages.yaml", stages, dir), "--id", "stages", "--address", leader.url())
	eventually(t, "the second stage", func() bool { return len(starts(t, dir)["second/0"]) >= 1 })

	leader.signal(t, syscall.SIGTERM)
	_, next, _ := awaitLeader(t, epoch, standbys...)
	if err := <-leader.exited; err != nil {
		t.Errorf("the agent that resigned ended with %v, want success", err)
	}
	letGo(t, dir)
	wantExit(t, 0, "job", "wait", "stages", "--address", addresses(standbys...))
	if got := starts(t, dir)["third/0"]; len(got) != 1 || got[0] != next {
		t.Errorf("the last stage ran in the epochs %v, want %d", got, next)
	}
}

// The leader's own worker is paused with it, and what it runs is run again elsewhere.
func TestPausedLeaderIsReplacedAndHarmlessAfterwards(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6))
	dir := t.TempDir()
	file := writeFile(t, "stages.yaml", stages, dir)
	leader, epoch, standbys := leaderAtWork(t, srv.Addr(), file, dir, "--session-timeout", "4s")
	leader.signal(t, syscall.SIGSTOP)
	_, next, _ := awaitLeader(t, epoch, standbys...)
	// What the paused leader's command does now must not count: it ends while its
	// agent sleeps, and its success is reported when the agent wakes up.
	eventually(t, "the second stage to start again", func() bool { return len(starts(t, dir)["second/0"]) >= 2 })
	letGo(t, dir)
	wantExit(t, 0, "job", "wait", "stages", "--address", addresses(standbys...))
	leader.signal(t, syscall.SIGCONT)
	eventually(t, "the old leader to know the new one", func() bool {
		l, ready := leaderOf(t, leader)
		return ready && !l.IsSelf && l.Leader.Epoch == next
	})
	if got := starts(t, dir)["third/0"]; len(got) != 1 || got[0] != next {
		t.Errorf("the last stage ran in the epochs %v, want only %d", got, next)
	}
	checkOneWriter(t, srv)
}
