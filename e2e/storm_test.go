package e2e

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

const (
	stormJobs    = 100 // at once
	stormWorkers = 4
	// stormVariable names how long it storms, in place of stormTime.
	stormVariable = "COORDD_E2E_STORM"
	stormTime     = 10 * time.Second
	// stormPause is how long a leader lives.
	stormPause = 3 * time.Second
	// stormSession is so long that no worker is taken for dead on a busy machine: then
	// its tasks would run twice, and should.
	stormSession = "8s"
)

// stormJob is three stages.
const stormJob = `
name: storm
tasks:
  - {id: first, parallelism: 2, command: [sh, -c, '$NOTE; sleep 0.7']}
  - {id: second, needs: [first], command: [sh, -c, '$NOTE; sleep 0.3']}
  - {id: third, needs: [second], parallelism: 2, command: [sh, -c, '$NOTE']}
`

// stormSubtasks is how many subtasks a stormJob has.
const stormSubtasks = 5

// All workers live all the time: nothing may run twice, whoever leads. A longer storm is
//
//	COORDD_E2E_STORM=1m go test ./e2e -run Again
func TestJobsSurviveThatTheirLeaderIsKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	duration := stormTime
	if text := os.Getenv(stormVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", stormVariable, err)
		}
	}
	c := startSeparate(t, 3, stormWorkers, "--session-timeout", stormSession)
	ctx, cancel := context.WithTimeout(t.Context(), duration+3*patience)
	defer cancel()
	var jobs []job.Snapshot
	over := make(chan struct{})
	go func() {
		defer close(over)
		for end := time.Now().Add(duration); ctx.Err() == nil && time.Now().Before(end); {
			jobs = append(jobs, c.wave(ctx, t, len(jobs))...)
		}
	}()
	kills := c.storm(t, over)
	runs := c.runsByJob(t)
	for _, snap := range jobs {
		checkRanAsRecorded(t, snap, runs[string(snap.ID)])
	}
	checkOneResult(t, c.srv, len(jobs))
	checkOneWriter(t, c.srv)
	if kills < 2 {
		t.Errorf("%d leaders were killed, too few to say anything", kills)
	}
	t.Logf("%d leaders were killed, %d jobs have ended", kills, len(jobs))
}

// storm kills whoever leads, again and again until it is over. It returns how often.
func (c *separate) storm(t *testing.T, over <-chan struct{}) (kills int) {
	t.Helper()
	for ; ; kills++ {
		var leader *agent
		eventually(t, "a leader", func() bool {
			c.revive(t)
			i := slices.IndexFunc(c.agents, func(a *agent) bool { l, ready := leaderOf(t, a); return ready && l.IsSelf })
			if i >= 0 {
				leader = c.agents[i]
			}
			return i >= 0
		})
		select {
		case <-over:
			return kills
		case <-time.After(stormPause):
		}
		leader.kill(t)
		leader.start(t)
	}
}

// revive starts agents again that have ended by themselves, as a supervisor would: one
// that had to stop within its lease, and could not because the machine is busy.
func (c *separate) revive(t *testing.T) {
	t.Helper()
	for _, a := range c.agents {
		select {
		case err := <-a.exited:
			t.Logf("%s has ended by itself: %v", a.id, err)
			a.start(t)
		default:
		}
	}
}

// wave submits many jobs at once and returns how they ended. It is called outside of the
// test's goroutine.
func (c *separate) wave(ctx context.Context, t *testing.T, from int) []job.Snapshot {
	var addresses []string
	for _, a := range c.agents {
		addresses = append(addresses, a.http)
	}
	all, err := client.New(client.Config{Addresses: addresses, Patience: patience})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer all.Close()
	file := strings.ReplaceAll(strings.ReplaceAll(stormJob, "$NOTE", noteRun), "$DIR", c.dir)
	snaps := make([]job.Snapshot, stormJobs)
	var clients sync.WaitGroup
	for n := range snaps {
		clients.Go(func() {
			id := job.ID(fmt.Sprintf("job-%d", from+n))
			_, _, err := all.Submit(ctx, id, []byte(file))
			if err == nil {
				snaps[n], err = all.Wait(ctx, id, nil)
			}
			if err != nil {
				t.Errorf("job %s: %v", id, err)
			}
		})
	}
	clients.Wait()
	return snaps
}

// runsByJob returns all starts.
func (c *separate) runsByJob(t *testing.T) map[string][]startedRun {
	t.Helper()
	byJob := make(map[string][]startedRun)
	for _, r := range c.allRuns(t) {
		byJob[r.job] = append(byJob[r.job], r)
	}
	return byJob
}

// checkRanAsRecorded holds the record of a job against what its commands wrote down: each
// subtask has succeeded and was started once, as the attempt of which the record speaks.
func checkRanAsRecorded(t *testing.T, snap job.Snapshot, runs []startedRun) {
	t.Helper()
	if snap.Status != job.StatusFinished || len(runs) != stormSubtasks {
		t.Errorf("job %s is %s (%s) and was started as %+v, want FINISHED and %d starts", snap.ID, snap.Status, snap.Error, runs, stormSubtasks)
	}
	started := make(map[string][]startedRun)
	for _, r := range runs {
		name := fmt.Sprintf("%s/%d", r.task, r.subtask)
		started[name] = append(started[name], r)
	}
	for _, task := range snap.Tasks {
		for _, s := range task.Subtasks {
			r := started[fmt.Sprintf("%s/%d", task.ID, s.Index)]
			// Of what had ended before the last fail-over the record has no epoch.
			if len(r) != 1 || s.Epoch != 0 && (r[0].epoch != s.Epoch || r[0].attempt != s.Attempt) {
				t.Errorf("job %s, %s/%d is recorded as attempt %d of epoch %d and was started as %+v",
					snap.ID, task.ID, s.Index, s.Attempt, s.Epoch, r)
			}
		}
	}
}

// checkOneResult reads the server's transaction log: each job got a result, and none a
// second one.
func checkOneResult(t *testing.T, srv *zookeepertest.Server, jobs int) {
	t.Helper()
	results := make(map[string]int)
	for _, txn := range srv.Txns(t) {
		for _, w := range txn.Writes() {
			if strings.HasPrefix(w.Path, path.Join(cluster, layout.Dirty)+"/") && w.Op == zookeepertest.OpCreate && len(w.Data) > 0 {
				results[w.Path]++
			}
		}
	}
	for at, n := range results {
		if n != 1 {
			t.Errorf("%s was recorded %d times", at, n)
		}
	}
	if len(results) != jobs {
		t.Errorf("%d results were recorded for %d jobs", len(results), jobs)
	}
}
