package taskexecutor

import (
	"os/exec"
	"runtime"
)

// spawner starts all commands of an executor from one OS thread. Linux sends the
// parent-death signal when the *thread* that forked ends, and Go ends idle
// threads as it likes; this one lives until the last command has ended.
type spawner struct {
	requests chan spawn
}

type spawn struct {
	cmd   *exec.Cmd
	reply chan error
}

func newSpawner() *spawner { return &spawner{requests: make(chan spawn)} }

// run serves until stop.
func (s *spawner) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for r := range s.requests {
		r.reply <- r.cmd.Start()
	}
}

// stop ends run. Nobody may call start any more.
func (s *spawner) stop() { close(s.requests) }

// start starts the command and returns when it runs, or why it does not.
func (s *spawner) start(cmd *exec.Cmd) error {
	r := spawn{cmd: cmd, reply: make(chan error, 1)}
	s.requests <- r
	return <-r.reply
}
