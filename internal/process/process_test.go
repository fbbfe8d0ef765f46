package process

import (
	"bufio"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spawner runs a spawner until the test ends.
func spawner(t *testing.T) *Spawner {
	t.Helper()
	s := NewSpawner()
	var running sync.WaitGroup
	running.Go(s.Run)
	t.Cleanup(func() {
		s.Stop()
		running.Wait()
	})
	return s
}

func TestGroupKnowsWhoOutlivedItsCommand(t *testing.T) {
	// The command ends at once; its child, which ignores TERM, says when it does so.
	cmd := exec.Command("sh", "-c", `(trap "" TERM; echo up; while :; do sleep 0.05; done) & read -r line < /dev/null; exit 3`)
	cmd.SysProcAttr = Attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := spawner(t).Start(cmd); err != nil {
		t.Fatal(err)
	}
	g := NewGroup(cmd)
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the child did not start")
	}
	g.Await()
	g.Signal(syscall.SIGTERM)
	if !g.Others() {
		t.Error("the command's child, which ignores TERM, is not seen")
	}
	g.Signal(syscall.SIGKILL)
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for g.Others() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the child outlives KILL")
		}
	}
	g.Finish()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("the command's exit code is %d, want 3", code)
	}
}

func TestStartSaysWhyACommandDoesNotRun(t *testing.T) {
	cmd := exec.Command("/nowhere/to/be/found")
	cmd.SysProcAttr = Attributes()
	if err := spawner(t).Start(cmd); err == nil {
		t.Error("a program that does not exist was started")
	}
}
