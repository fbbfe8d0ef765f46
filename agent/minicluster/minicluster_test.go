package minicluster_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/agent/minicluster"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 60 * time.Second

// start runs a cluster until the test ends.
func start(t *testing.T, cfg minicluster.Config) (context.Context, *minicluster.Cluster) {
	t.Helper()
	cluster, err := minicluster.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	ran := make(chan error, 1)
	go func() { ran <- cluster.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-cluster.Started():
	case <-ctx.Done():
		t.Fatal("the cluster did not start")
	}
	return ctx, cluster
}

func ask(t *testing.T, urls ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Addresses: urls, Patience: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func leaderOf(ctx context.Context, t *testing.T, c *client.Client) client.Leader {
	t.Helper()
	l, err := c.Leader(ctx, leader.Dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	return l.Leader
}

// leaderAfter waits for a leader with a larger epoch.
func leaderAfter(ctx context.Context, t *testing.T, c *client.Client, epoch leader.Epoch) client.Leader {
	t.Helper()
	for {
		if l := leaderOf(ctx, t, c); l.Epoch > epoch {
			return l
		}
	}
}

// submit submits a job.
func submit(ctx context.Context, t *testing.T, c *client.Client, id job.ID, file string) {
	t.Helper()
	if _, created, err := c.Submit(ctx, id, []byte(file)); err != nil || !created {
		t.Fatalf("Submit: %t, %v", created, err)
	}
}

// running waits until every subtask of a task runs, and returns them.
func running(ctx context.Context, t *testing.T, c *client.Client, id job.ID, task int) []job.SubtaskSnapshot {
	t.Helper()
	snap, err := c.WaitFor(ctx, id, func(s job.Snapshot) bool {
		for _, sub := range s.Tasks[task].Subtasks {
			if sub.Status != job.SubtaskRunning {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return snap.Tasks[task].Subtasks
}

// finished waits for the end of a job, which has to be a good one.
func finished(ctx context.Context, t *testing.T, c *client.Client, id job.ID) job.Snapshot {
	t.Helper()
	snap, err := c.Wait(ctx, id, nil)
	if err != nil || snap.Status != job.StatusFinished {
		t.Fatalf("Wait is %+v, %v", snap, err)
	}
	return snap
}

// threeStages writes one line for each run of a subtask. Its second stage waits
// for the gate file.
func threeStages(dir string) string {
	return fmt.Sprintf(`
name: three stages
tasks:
  - id: first
    parallelism: 2
    command: [sh, -c, "echo $COORDD_EPOCH >> %[1]s/first-$COORDD_SUBTASK"]
  - id: second
    needs: [first]
    command: [sh, -c, "echo $COORDD_EPOCH >> %[1]s/second; while [ ! -e %[1]s/gate ]; do sleep 0.05; done"]
  - id: third
    needs: [second]
    command: [sh, -c, "echo $COORDD_EPOCH >> %[1]s/third; cat %[1]s/first-0 | wc -l"]
`, dir)
}

func open(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "gate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantRuns checks in which epochs a subtask ran.
func wantRuns(t *testing.T, dir, name string, epochs ...leader.Epoch) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]string, len(epochs))
	for i, e := range epochs {
		want[i] = e.String()
	}
	if got := strings.Fields(string(data)); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s ran in epochs %v, want %v", name, got, want)
	}
}

func TestJobSurvivesTheCrashOfItsLeader(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{Workers: 2, SessionTimeout: 4 * time.Second})
	all := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, all)
	dir := t.TempDir()
	standby := cluster.Agents()[0]
	if standby.ID() == old.ID {
		standby = cluster.Agents()[1]
	}
	submit(ctx, t, ask(t, standby.URL()), "job", threeStages(dir))
	before := running(ctx, t, all, "job", 1)[0]

	cluster.Member(old.ID).Kill()
	<-cluster.Member(old.ID).Gone()
	now := leaderAfter(ctx, t, all, old.Epoch)
	if after := running(ctx, t, all, "job", 1)[0]; after.Worker != before.Worker || after.Epoch != before.Epoch || after.Attempt != before.Attempt {
		t.Errorf("the attempt was %+v and is %+v, want it adopted", before, after)
	}
	open(t, dir)
	snap := finished(ctx, t, all, "job")
	if now.ID == old.ID || snap.Epoch != int64(now.Epoch) {
		t.Errorf("leader went from %s in %d to %s in %d; the job ended in %d", old.ID, old.Epoch, now.ID, now.Epoch, snap.Epoch)
	}
	wantRuns(t, dir, "first-0", old.Epoch)
	wantRuns(t, dir, "first-1", old.Epoch)
	wantRuns(t, dir, "second", old.Epoch)
	wantRuns(t, dir, "third", now.Epoch)

	again, created, err := all.Submit(ctx, "job", []byte(threeStages(dir)))
	if err != nil || created || again.Status != job.StatusFinished {
		t.Errorf("the same job again is %+v, %t, %v", again, created, err)
	}
	wantRuns(t, dir, "third", now.Epoch)
}

func TestEveryNodeAnswersForTheCluster(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{})
	first := leaderOf(ctx, t, ask(t, cluster.URLs()...))
	for _, url := range cluster.URLs() {
		c := ask(t, url)
		if l := leaderOf(ctx, t, c); l.ID != first.ID || l.Epoch != first.Epoch {
			t.Errorf("%s says that %s leads in %d, want %s in %d", url, l.ID, l.Epoch, first.ID, first.Epoch)
		}
		if _, err := c.Jobs(ctx); err != nil {
			t.Errorf("%s cannot list jobs: %v", url, err)
		}
	}
}

func TestKilledTwiceAndAtOnceIsHarmless(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{Size: 2, SessionTimeout: 4 * time.Second})
	c := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, c)
	m := cluster.Member(old.ID)
	done := make(chan struct{})
	go func() { defer close(done); m.Kill() }()
	m.Kill()
	<-done
	<-m.Gone()
	if l := leaderAfter(ctx, t, c, old.Epoch); l.ID == old.ID {
		t.Errorf("%s leads after it was killed", l.ID)
	}
}

func TestMembersAreFoundByTheirNames(t *testing.T) {
	cluster, err := minicluster.New(minicluster.Config{Size: 2, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range append(cluster.Agents(), cluster.Workers()...) {
		want := []string{"node-1", "node-2", "worker-1"}[i]
		if m.ID() != want || cluster.Member(want) != m {
			t.Errorf("member %d is %s, want %s", i, m.ID(), want)
		}
	}
	if m := cluster.Member("nobody"); m != nil {
		t.Errorf("nobody is %v", m)
	}
	if _, err := minicluster.New(minicluster.Config{Workers: -1}); err == nil {
		t.Error("a negative number of workers was taken")
	}
}
