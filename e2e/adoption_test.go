package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// threeTasks is the job by which coordd shows what it is for: the first stage takes
// longer than it takes to lose a leader, and the second one needs its results.
const threeTasks = `
name: three tasks
tasks:
  - id: work
    parallelism: 3
    command: [sh, -c, '$NOTE; echo working on part $COORDD_SUBTASK; sleep 8; echo part $COORDD_SUBTASK > $COORDD_OUTPUT']
  - id: sum
    needs: [work]
    command: [sh, -c, '$NOTE; cat $COORDD_INPUTS/work/0 $COORDD_INPUTS/work/1 $COORDD_INPUTS/work/2']
`

func TestRunningTasksSurviveTheDeathOfTheirLeader(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 3, 2)
	leader, epoch, standbys := awaitLeader(t, 0, c.agents...)
	c.submit(t, threeTasks, "job")
	first := c.awaitRuns(t, "job", "work", 3)
	leader.kill(t)
	_, next, _ := awaitLeader(t, epoch, standbys...)
	for _, w := range c.workers {
		eventually(t, "the workers to be the next leader's", func() bool { return w.registered(t, next) > 0 })
	}
	listed := wantExit(t, 0, "worker", "list", "--address", addresses(standbys...))
	if !strings.Contains(listed, "worker-1") || !strings.Contains(listed, "worker-2") {
		t.Errorf("coordd worker list says %q, want both workers", listed)
	}
	logs := wantExit(t, 0, "job", "logs", "job", "work/1", "--address", addresses(standbys...))
	if logs != "working on part 1\n" {
		t.Errorf("coordd job logs says %q, want what the command wrote under the last leader", logs)
	}
	wantExit(t, 0, "job", "wait", "job", "--address", addresses(c.agents...))
	for _, r := range first {
		if r.epoch != epoch {
			t.Errorf("%+v was started in another epoch than %d", r, epoch)
		}
	}
	c.wantOnce(t, "job", "work", 3)
	c.wantOnce(t, "job", "sum", 1)
	snap := status(t, "job", standbys...)
	if sum := snap.Tasks[1].Subtasks[0]; snap.Epoch != next || sum.Output != "part 0\npart 1\npart 2\n" {
		t.Errorf("the job ended in epoch %d with %q, want %d and the three parts", snap.Epoch, sum.Output, next)
	}
	checkOneWriter(t, c.srv)
}

// The tasks end while nobody coordinates; the workers keep their results.
func TestTasksGoOnWhileAllCoordinatorsAreDead(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 2, 2)
	_, epoch, _ := awaitLeader(t, 0, c.agents...)
	c.submit(t, twoStages, "job")
	first := c.awaitRuns(t, "job", "work", 4)
	for _, a := range c.agents {
		a.kill(t)
	}
	for _, w := range c.workers {
		eventually(t, "the workers to miss the coordinators", func() bool {
			return w.saidOf(t, "leader none: component=dispatcher", "epoch", epoch) > 0
		})
	}
	c.letGo(t, "go")
	eventually(t, "the tasks to end", func() bool {
		ended := 0
		for _, w := range c.workers {
			ended += strings.Count(w.said(t), "attempt ended")
		}
		return ended == 4
	})
	for _, a := range c.agents {
		a.start(t)
	}
	awaitLeader(t, epoch, c.agents...)
	c.letGo(t, "go2")
	wantResults(t, c.wait(t, "job"), by(first))
	c.wantOnce(t, "job", "work", 4)
	c.wantOnce(t, "job", "sum", 1)
	checkOneWriter(t, c.srv)
}

// What connects to the next leader finds it where the last one was.
func TestRunningTasksSurviveANewLeaderAtTheSameAddress(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 1, 2, "--rpc", lastingAddr(t))
	leader, epoch, _ := awaitLeader(t, 0, c.agents...)
	c.submit(t, twoStages, "job")
	first := c.awaitRuns(t, "job", "work", 4)
	leader.kill(t)
	leader.start(t)
	_, next, _ := awaitLeader(t, epoch, leader)
	c.letGo(t, "go")
	if sum := c.awaitRuns(t, "job", "sum", 1); sum[0].epoch != next {
		t.Errorf("the second stage was started as %+v, want in epoch %d", sum, next)
	}
	c.letGo(t, "go2")
	wantResults(t, c.wait(t, "job"), by(first))
	c.wantOnce(t, "job", "work", 4)
	c.wantOnce(t, "job", "sum", 1)
}

// The paused leader wakes up with requests, answers and heartbeats that were on their
// way when it fell asleep.
func TestDeposedLeaderThatWakesUpHarmsNoTask(t *testing.T) {
	t.Parallel()
	c := startSeparate(t, 2, 2)
	leader, epoch, standbys := awaitLeader(t, 0, c.agents...)
	c.submit(t, twoStages, "job")
	first := c.awaitRuns(t, "job", "work", 4)
	leader.signal(t, syscall.SIGSTOP)
	_, next, _ := awaitLeader(t, epoch, standbys...)
	for _, w := range c.workers {
		eventually(t, "the workers to know the next leader", func() bool { return w.registered(t, next) > 0 })
	}
	leader.signal(t, syscall.SIGCONT)
	eventually(t, "the old leader to know the new one", func() bool {
		l, ready := leaderOf(t, leader)
		return ready && !l.IsSelf && l.Leader.Epoch == next
	})
	c.letGo(t, "go")
	c.letGo(t, "go2")
	snap := c.wait(t, "job")
	wantResults(t, snap, by(first))
	if snap.Epoch != next {
		t.Errorf("the job ended in epoch %d, want %d", snap.Epoch, next)
	}
	c.wantOnce(t, "job", "work", 4)
	c.wantOnce(t, "job", "sum", 1)
	checkOneWriter(t, c.srv)
}

func TestRunningTasksSurviveTheLossOfZooKeeper(t *testing.T) {
	t.Parallel()
	for name, within := range map[string]bool{"for less than the session": true, "for longer": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := "4s"
			if within {
				timeout = "20s"
			}
			c := startSeparate(t, 2, 2, "--session-timeout", timeout)
			leader, epoch, _ := awaitLeader(t, 0, c.agents...)
			c.submit(t, twoStages, "job")
			first := c.awaitRuns(t, "job", "work", 4)
			c.srv.Kill()
			c.letGo(t, "go")
			next := epoch
			if within {
				eventually(t, "the leader to miss ZooKeeper", func() bool {
					l, _ := leaderOf(t, leader)
					return l.LastContact >= 3000
				})
				c.srv.Start()
			} else {
				eventually(t, "the leader to step down", func() bool {
					status, _ := leader.get(t, "/leader")
					return status == http.StatusServiceUnavailable
				})
				c.srv.Start()
				_, next, _ = awaitLeader(t, epoch, c.agents...)
			}
			c.awaitRuns(t, "job", "sum", 1)
			c.letGo(t, "go2")
			snap := c.wait(t, "job")
			wantResults(t, snap, by(first))
			if snap.Epoch != next {
				t.Errorf("the job ended in epoch %d, want %d", snap.Epoch, next)
			}
			c.wantOnce(t, "job", "work", 4)
			c.wantOnce(t, "job", "sum", 1)
			checkOneWriter(t, c.srv)
		})
	}
}
