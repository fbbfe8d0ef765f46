package taskexecutor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
)

// hostVariable makes the test binary a process that hosts an executor, see
// hostMain. Its value is the named pipe by which the command shows that it lives.
const hostVariable = "COORDD_TEST_HOST"

// hostMain runs an executor with one attempt until it is killed.
func hostMain() {
	l := &lab{dispatcher: newLeaders(), resourceManager: newLeaders(), network: newNetwork()}
	e, err := New(Config{ID: "host", Slots: 1, Network: l.network, Dispatcher: l.dispatcher, ResourceManager: l.resourceManager})
	if err != nil {
		panic(err)
	}
	go func() {
		e.awaitStart()
		ctx, info := context.Background(), termOf(term(7))
		slots, err := e.RequestSlots(ctx, gateway.SlotRequest{Term: info, Job: "j", Count: 1})
		if err != nil {
			panic(err)
		}
		// The pipe stays open for writing for as long as the command lives.
		d := shell("exec 3> " + os.Getenv(hostVariable) + "; echo up >&3; exec sleep 600")
		d.Slot = slots[0]
		if refused, err := e.Deploy(ctx, info, []gateway.Deployment{d}); err != nil || len(refused) > 0 {
			panic(fmt.Sprint(refused, err))
		}
	}()
	_ = e.Run(context.Background())
}

func TestCommandsEndWithAKilledWorker(t *testing.T) {
	life := fifo(t)
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostVariable+"="+life, "TMPDIR="+t.TempDir())
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
	e := begin(t, Config{Slots: commands})
	ready := fifo(t)
	_, masters := e.elect(7, "j")
	m := masters["j"]
	for n, slot := range e.slots(t, 7, "j", commands) {
		d := shell("trap 'exit 9' TERM; echo up > " + ready + "; while :; do sleep 0.05; done")
		d.Attempt.Subtask = n
		d.Slot = slot
		e.launch(t, d)
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
	var ids []gateway.AttemptID
	for n := range commands {
		ids = append(ids, theAttempt("j", n))
	}
	if err := e.CancelAttempts(t.Context(), termOf(term(7)), ids); err != nil {
		t.Fatal(err)
	}
	for range commands {
		// A command that was killed before it was asked has no exit code.
		if end := m.wait(t); code(end) != "9" {
			t.Errorf("subtask %d ended as %s (%s) with exit code %s; a thread of the worker took it along",
				end.Attempt.Subtask, end.Outcome, end.Reason, code(end))
		}
	}
}
