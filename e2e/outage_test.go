package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func TestAgentAnswersAndKeepsTryingWithoutZooKeeper(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6))
	srv.Kill()
	a := startAgent(t, srv.Addr(), "node-1", "--session-timeout", "2s")
	eventually(t, "the agent to be alive", func() bool { status, _ := a.get(t, "/livez"); return status == http.StatusOK })
	eventually(t, "the agent to say what is missing", func() bool {
		status, body := a.get(t, "/v1/leader")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "ZooKeeper") && strings.Contains(body, `"code":"disconnected"`)
	})
	if status, _ := a.get(t, "/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d without ZooKeeper, want 503", status)
	}
	if out := wantExit(t, 2, "leader", "--address", a.url()); !strings.Contains(out, "ZooKeeper") {
		t.Errorf("coordd leader says %q, want that ZooKeeper is away", out)
	}
	srv.Start()
	awaitLeader(t, 0, a)
}

func TestJobSurvivesTheLossOfZooKeeper(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.TickTime(200e6))
	agents := threeAgents(t, srv.Addr(), "--session-timeout", "4s")
	leader, epoch, _ := awaitLeader(t, 0, agents...)
	dir := t.TempDir()
	wantExit(t, 0, "job", "submit", writeFile(t, "stages.yaml", stages, dir), "--id", "stages", "--address", leader.url())
	eventually(t, "the second stage", func() bool { return len(starts(t, dir)["second/0"]) >= 1 })

	srv.Kill()
	eventually(t, "the leader to step down", func() bool {
		status, _ := leader.get(t, "/leader")
		return status == http.StatusServiceUnavailable
	})
	srv.Start()
	_, next, _ := awaitLeader(t, epoch, agents...)
	letGo(t, dir)
	wantExit(t, 0, "job", "wait", "stages", "--address", addresses(agents...))
	seen := starts(t, dir)
	if got := seen["third/0"]; len(got) != 1 || got[0] != next {
		t.Errorf("the last stage ran in the epochs %v, want only %d", got, next)
	}
	if len(seen["first/0"]) != 1 || len(seen["first/1"]) != 1 {
		t.Errorf("recorded subtasks ran again: %v", seen)
	}
	checkOneWriter(t, srv)
}

func TestAgentsOfAnotherClusterAreStrangers(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t)
	ours := startAgent(t, srv.Addr(), "node-1")
	theirs := startAgent(t, srv.Addr(), "node-1", "--cluster-id", "other")
	_, epoch, _ := awaitLeader(t, 0, ours)
	if _, other, _ := awaitLeader(t, 0, theirs); other == epoch {
		t.Errorf("two clusters share the term of epoch %d", epoch)
	}
}
