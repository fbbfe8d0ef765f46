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

func TestJobSurvivesTheCrashOfItsLeader(t *testing.T) {
	ctx, cluster := start(t, minicluster.Config{SessionTimeout: time.Second})
	all := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, all)
	dir := t.TempDir()
	file := []byte(threeStages(dir))

	standby := ask(t, cluster.URLs()[(cluster.Index(old.ID)+1)%minicluster.DefaultSize])
	if _, created, err := standby.Submit(ctx, "job", file); err != nil || !created {
		t.Fatalf("Submit to a standby: %t, %v", created, err)
	}
	_, err := standby.WaitFor(ctx, "job", func(s job.Snapshot) bool {
		return s.Tasks[1].Subtasks[0].Status == job.SubtaskRunning
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Kill(cluster.Index(old.ID))
	<-cluster.Gone(cluster.Index(old.ID))
	if err := os.WriteFile(filepath.Join(dir, "gate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	snap, err := all.Wait(ctx, "job", nil)
	if err != nil || snap.Status != job.StatusFinished {
		t.Fatalf("Wait is %+v, %v", snap, err)
	}
	now := leaderOf(ctx, t, all)
	if now.ID == old.ID || now.Epoch <= old.Epoch || snap.Epoch != int64(now.Epoch) {
		t.Errorf("leader went from %s in %d to %s in %d; the job ended in %d", old.ID, old.Epoch, now.ID, now.Epoch, snap.Epoch)
	}
	wantRuns(t, dir, "first-0", old.Epoch)
	wantRuns(t, dir, "first-1", old.Epoch)
	wantRuns(t, dir, "second", old.Epoch, now.Epoch)
	wantRuns(t, dir, "third", now.Epoch)

	again, created, err := all.Submit(ctx, "job", file)
	if err != nil || created || again.Status != job.StatusFinished {
		t.Errorf("the same job again is %+v, %t, %v", again, created, err)
	}
	wantRuns(t, dir, "third", now.Epoch)
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
	ctx, cluster := start(t, minicluster.Config{Size: 2, SessionTimeout: time.Second})
	c := ask(t, cluster.URLs()...)
	old := leaderOf(ctx, t, c)
	i := cluster.Index(old.ID)
	done := make(chan struct{})
	go func() { defer close(done); cluster.Kill(i) }()
	cluster.Kill(i)
	<-done
	<-cluster.Gone(i)
	for l := old; l.ID == old.ID; {
		l = leaderOf(ctx, t, c)
	}
	if cluster.Index("nobody") != -1 || cluster.ID(i) != old.ID {
		t.Error("Index and ID disagree")
	}
}
