package taskexecutor

import (
	"os/exec"
	"syscall"
)

// processAttributes give the command a process group of its own, and its end with
// the end of this process, however that comes (see spawner).
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// process is a started command and its group.
type process struct {
	cmd *exec.Cmd
}

func newProcess(cmd *exec.Cmd) *process { return &process{cmd: cmd} }

// await returns when the command has exited, and leaves it unreaped: as long as
// it is a zombie its number, which is also its group's, names nobody else.
func (p *process) await() {
	const pPID = 1
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(p.cmd.Process.Pid), 0,
			syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return // exited; should the call itself fail, finish waits as well
		}
	}
}

// signal sends to the whole group. Call it before finish only. An error means
// that nobody is left to receive it.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, sig) }

// finish kills what is left of the group and reaps the command.
func (p *process) finish() {
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // how it ended stands in ProcessState
}
