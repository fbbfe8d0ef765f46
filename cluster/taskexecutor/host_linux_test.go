package taskexecutor

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

func TestCommandsEndWithAKilledWorker(t *testing.T) {
	life := fifo(t)
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostVariable+"="+life)
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	up, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		pipe, err := os.Open(life)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = pipe.Close() }()
		lines := bufio.NewScanner(pipe)
		lines.Scan()
		close(up)
		for lines.Scan() {
		}
	}()
	within(t, up, "the command did not start")
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait()
	within(t, gone, "the command outlived its worker")
}

// The parent-death signal follows the thread that forked. Were commands started
// from any thread, some of those that end here would take their commands along.
func TestCommandsOutliveTheThreadsOfTheWorker(t *testing.T) {
	const commands = 8
	e, _ := start(t, Config{Slots: commands})
	ready := fifo(t)
	m := newMaster()
	for n := range commands {
		d := shell("trap 'exit 9' TERM; echo up > " + ready + "; while :; do sleep 0.05; done")
		d.Attempt.Subtask = n
		if err := e.Deploy(t.Context(), slotFor(t, e, "j"), d, m); err != nil {
			t.Fatal(err)
		}
		waitLine(t, ready)
	}
	for range 200 {
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			close(ended)
		}()
		<-ended
	}
	for n := range commands {
		id := shell("").Attempt
		id.Subtask = n
		if err := e.CancelAttempt(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	for range commands {
		// A command that was killed before it was asked has no exit code.
		if end := m.wait(t); code(end) != "9" {
			t.Errorf("subtask %d ended as %s (%s) with exit code %s; a thread of the worker took it along",
				end.Attempt.Subtask, end.Outcome, end.Reason, code(end))
		}
	}
}
