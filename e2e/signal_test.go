package e2e

import (
	"bytes"
	"os"
	"syscall"
	"testing"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// With its ZooKeeper frozen the agent cannot resign for a while after the first
// signal; the second one must not wait for that.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t, zookeepertest.MaxSessionTimeout(10*patience))
	a := startAgent(t, srv.Addr(), "node-1", "--session-timeout", (5 * patience).String())
	awaitLeader(t, 0, a)
	srv.Pause()
	t.Cleanup(srv.Resume)
	a.signal(t, syscall.SIGTERM)
	eventually(t, "the agent to begin to stop", func() bool {
		log, err := os.ReadFile(a.log)
		return err == nil && bytes.Contains(log, []byte("stopping"))
	})
	a.signal(t, syscall.SIGTERM)
	<-a.exited
	status, ok := a.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("the agent ended with %v, want the second signal's default", a.cmd.ProcessState)
	}
}

func TestBundledJobsEndAsTheyShould(t *testing.T) {
	t.Parallel()
	srv := zookeepertest.StartServer(t)
	a := startAgent(t, srv.Addr(), "node-1")
	awaitLeader(t, 0, a)
	for file, code := range map[string]int{"diamond": 0, "wide": 0, "retry": 0, "failing": 2} {
		wantExit(t, code, "job", "submit", "../testdata/jobs/"+file+".yaml", "--id", file, "--wait", "--address", a.url())
		snap := status(t, file, a)
		for _, task := range snap.Tasks {
			for _, s := range task.Subtasks {
				if code == 0 && (s.Status != "FINISHED" || s.ExitCode == nil || *s.ExitCode != 0) {
					t.Errorf("%s: task %s, subtask %d is %s with exit code %v, want FINISHED with 0", file, task.ID, s.Index, s.Status, s.ExitCode)
				}
			}
		}
	}
}
