package process

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Attributes give a command a process group of its own, and its end with the end
// of this process, however that comes (see Spawner).
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Group is a command that was started with Attributes, and its process group. One
// goroutine may wait in Await while another one signals.
type Group struct {
	cmd *exec.Cmd
}

// NewGroup returns the group of a started command. Nobody else may wait for the
// command.
func NewGroup(cmd *exec.Cmd) *Group { return &Group{cmd: cmd} }

// Await blocks until the command has exited, and leaves it unreaped: as long as
// it is a zombie its number, which is also its group's, names nobody else.
func (g *Group) Await() {
	const pPID = 1
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(g.cmd.Process.Pid), 0,
			syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return // exited; should the call itself fail, Finish waits as well
		}
	}
}

// Signal sends to the whole group. Call it before Finish only. That nobody is left
// to receive it is no error.
func (g *Group) Signal(sig syscall.Signal) { _ = syscall.Kill(-g.cmd.Process.Pid, sig) }

// Finish kills what is left of the group and reaps the command. How it ended
// stands in the command's ProcessState afterwards.
func (g *Group) Finish() {
	g.Signal(syscall.SIGKILL)
	_ = g.cmd.Wait()
}

// Others reports whether a process of the group other than the command itself is
// still alive. It reads /proc.
func (g *Group) Others() bool {
	proc, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer func() { _ = proc.Close() }()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != g.cmd.Process.Pid && livesIn(name, g.cmd.Process.Pid) {
			return true
		}
	}
	return false
}

// livesIn reports whether a process belongs to the group and is more than a
// zombie.
func livesIn(pid string, group int) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false // it has just gone
	}
	// pid (name) state ppid pgrp ... with anything in the name. The number of
	// threads is the 20th of all fields: a zombie with more than one has only lost
	// its first.
	const state, pgrp, threads = 0, 2, 17
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= threads || string(fields[pgrp]) != strconv.Itoa(group) {
		return false
	}
	n, err := strconv.Atoi(string(fields[threads]))
	return err == nil && (n > 1 || string(fields[state]) != "Z" && string(fields[state]) != "X")
}
