//go:build unix && !linux

package taskexecutor

import (
	"os/exec"
	"syscall"
)

// processAttributes give the command a process group of its own. Only Linux can
// end a command together with this process.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// process is a started command and its group.
type process struct {
	cmd *exec.Cmd
}

func newProcess(cmd *exec.Cmd) *process { return &process{cmd: cmd} }

// await returns when the command has exited and is reaped.
func (p *process) await() { _ = p.cmd.Wait() } // how it ended stands in ProcessState

// signal sends to the whole group. An error means that nobody is left to receive
// it.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// finish kills what is left of the group.
func (p *process) finish() { p.signal(syscall.SIGKILL) }
