//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

// Attributes give a command a process group of its own. Only Linux can end a
// command together with this process.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Group is a command that was started with Attributes, and its process group. One
// goroutine may wait in Await while another one signals.
type Group struct {
	cmd *exec.Cmd
}

// NewGroup returns the group of a started command. Nobody else may wait for the
// command.
func NewGroup(cmd *exec.Cmd) *Group { return &Group{cmd: cmd} }

// Await blocks until the command has exited and is reaped.
func (g *Group) Await() { _ = g.cmd.Wait() } // how it ended stands in ProcessState

// Signal sends to the whole group. That nobody is left to receive it is no error.
func (g *Group) Signal(sig syscall.Signal) { _ = syscall.Kill(-g.cmd.Process.Pid, sig) }

// Finish kills what is left of the group.
func (g *Group) Finish() { g.Signal(syscall.SIGKILL) }

// Others reports whether a process of the group is still there. Call it after
// Await.
func (g *Group) Others() bool { return syscall.Kill(-g.cmd.Process.Pid, 0) == nil }
