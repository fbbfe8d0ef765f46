package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/coordd/coordd/internal/process"
)

// Why a command cannot be run.
var (
	// ErrNotFound: there is no such program, or the interpreter that it names is
	// missing.
	ErrNotFound = errors.New("command not found")
	// ErrNotExecutable: the program is there and cannot be executed.
	ErrNotExecutable = errors.New("command cannot be executed")
)

// signalBase is what shells add to the number of the signal that ended a command.
const signalBase = 128

// exitCode is the code that a shell would report.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalBase + int(status.Signal())
	}
	return state.ExitCode()
}

// startError says why a program was not found or did not start.
func startError(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: %q is not in the PATH; install it or give its full path", ErrNotFound, program)
	case errors.Is(err, exec.ErrDot):
		return fmt.Errorf("%w: %q is found in the current folder only; write ./%s", ErrNotFound, program, program)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q does not exist, or the interpreter that it names does not", ErrNotFound, program)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("%w: %q is not an executable file; check its permissions (chmod +x)", ErrNotExecutable, program)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: %q is no program for this machine; does a script lack its first line #!/bin/sh?", ErrNotExecutable, program)
	default:
		return fmt.Errorf("%w: %q: %w", ErrNotExecutable, program, err)
	}
}

// gone reports whether the command has exited and nobody else of its group lives.
func gone(g *process.Group, exited <-chan struct{}) bool { return isClosed(exited) && !g.Others() }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pulse notices that the process was paused for longer than a limit: then the end
// of the term may have come too late. It reads the wall clock, as the monotonic one
// stands still while a machine is suspended; a clock that is set meanwhile looks
// like a pause, which only takes the time for TERM away.
type pulse struct {
	limit         time.Duration
	last, resumed time.Time
}

func newPulse(limit time.Duration) *pulse { return &pulse{limit: limit, last: time.Now().Round(0)} }

// beat is called at least twice in each limit, unless the process is paused.
func (p *pulse) beat(now time.Time) {
	now = now.Round(0)
	if now.Sub(p.last) > p.limit {
		p.resumed = now
	}
	p.last = now
}

// late reports whether a pause ended less than the limit before the last beat.
func (p *pulse) late() bool { return !p.resumed.IsZero() && p.last.Sub(p.resumed) <= p.limit }
