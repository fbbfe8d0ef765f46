package process

import (
	"os/exec"
	"runtime"
)

// Spawner starts commands from one OS thread. Linux sends the parent-death signal
// when the *thread* that forked ends, and Go ends idle threads as it likes; this
// one lives as long as Run.
type Spawner struct {
	requests chan spawn
}

type spawn struct {
	cmd   *exec.Cmd
	reply chan error
}

// NewSpawner returns a spawner that starts commands while Run is active.
func NewSpawner() *Spawner { return &Spawner{requests: make(chan spawn)} }

// Run serves until Stop, and keeps its thread. It may be called once. The
// commands that were started should have ended before it returns, or the kernel
// ends them then.
func (s *Spawner) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for r := range s.requests {
		r.reply <- r.cmd.Start()
	}
}

// Stop ends Run. It is called once, and nobody may call Start any more.
func (s *Spawner) Stop() { close(s.requests) }

// Start starts the command and returns when it runs, or why it does not. It
// blocks while Run is not active. Any goroutine may call it.
func (s *Spawner) Start(cmd *exec.Cmd) error {
	r := spawn{cmd: cmd, reply: make(chan error, 1)}
	s.requests <- r
	return <-r.reply
}
