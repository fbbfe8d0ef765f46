package taskexecutor

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/process"
)

// drainWait is how long the output is still read when the group has ended. Only
// a process that has left the group can hold the pipe open for longer.
const drainWait = time.Second

// attempt is one run of a command. One goroutine runs it; the owner of the slots
// may cancel it.
type attempt struct {
	d   gateway.Deployment
	log hclog.Logger
	// canceled is closed, after why was set, when the attempt shall end.
	canceled chan struct{}
	why      string
}

func newAttempt(d gateway.Deployment, log hclog.Logger) *attempt {
	return &attempt{
		d:        d,
		canceled: make(chan struct{}),
		log: log.With("job", d.Attempt.Job, "task", d.Attempt.Task, "subtask", d.Attempt.Subtask,
			"epoch", d.Attempt.Epoch, "attempt", d.Attempt.N),
	}
}

// cancel asks the attempt to end; the first reason counts. Only the owner of the
// slots calls it.
func (a *attempt) cancel(why string) {
	if a.why == "" {
		a.why = why
		close(a.canceled)
	}
}

// run starts the command, waits for its end and says how it ended.
func (a *attempt) run(spawner *process.Spawner, cfg Config) gateway.AttemptEnd {
	select {
	case <-a.canceled:
		return gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeCanceled, Reason: a.why}
	default:
	}
	cmd, err := command(a.d, cfg.Dir)
	if err != nil {
		return a.failed(err)
	}
	out, err := capture(cmd, cfg.OutputTail)
	if err != nil {
		return a.failed(fmt.Errorf("no pipe for the output: %w", err))
	}
	err = spawner.Start(cmd)
	out.started()
	if err != nil {
		out.finish()
		return a.failed(startReason(a.d.Command[0], err))
	}
	a.log.Debug("attempt started", "pid", cmd.Process.Pid)
	outcome, reason := a.wait(cmd, cfg.TermGrace)
	end := gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: outcome, Reason: reason, Output: out.finish()}
	if state := cmd.ProcessState; state.Exited() {
		code := state.ExitCode()
		end.ExitCode = &code
	}
	return end
}

func (a *attempt) failed(reason error) gateway.AttemptEnd {
	return gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeFailed, Reason: reason.Error()}
}

// wait lets the command run to its end, or ends it when it is cancelled or its
// time is over. When it returns, the command is reaped and its group is gone.
func (a *attempt) wait(cmd *exec.Cmd, grace time.Duration) (gateway.Outcome, string) {
	p := process.NewGroup(cmd)
	exited := make(chan struct{})
	go func() {
		p.Await()
		close(exited)
	}()

	var outcome gateway.Outcome // empty while the command runs as it likes
	var reason string
	var timeout, kill <-chan time.Time
	if a.d.Timeout > 0 {
		timer := time.NewTimer(a.d.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	canceled := a.canceled
	term := func() {
		p.Signal(syscall.SIGTERM)
		canceled, timeout, kill = nil, nil, time.After(grace)
	}
	for {
		select {
		case <-canceled:
			outcome, reason = gateway.OutcomeCanceled, a.why
			term()
		case <-timeout:
			outcome, reason = gateway.OutcomeFailed, fmt.Sprintf("timed out after %s", a.d.Timeout)
			term()
		case <-kill:
			p.Signal(syscall.SIGKILL)
		case <-exited:
			p.Finish()
			if outcome == "" {
				return verdict(cmd.ProcessState)
			}
			return outcome, reason
		}
	}
}

// verdict says how a command ended that nobody had asked to end.
func verdict(state *os.ProcessState) (gateway.Outcome, string) {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return gateway.OutcomeFailed, "killed by signal: " + status.Signal().String()
	}
	if code := state.ExitCode(); code != 0 {
		return gateway.OutcomeFailed, fmt.Sprintf("exited with code %d", code)
	}
	return gateway.OutcomeFinished, ""
}

// output collects what a command writes to stdout and stderr.
type output struct {
	r, w *os.File
	tail *tail
	read chan struct{}
}

// capture connects the command's output. It uses a pipe of its own, not the one
// of os/exec, so that waiting for the command never means waiting for whoever
// inherited the pipe.
func capture(cmd *exec.Cmd, size int) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	o := &output{r: r, w: w, tail: newTail(size), read: make(chan struct{})}
	go func() {
		defer close(o.read)
		// The error is the end of the pipe, by all its writers or by finish.
		_, _ = io.Copy(o.tail, r)
	}()
	return o, nil
}

// started drops this process's copy of the writing end: the command has its own.
func (o *output) started() { _ = o.w.Close() }

// finish returns the tail. It waits for the rest of the output, not for ever.
func (o *output) finish() string {
	timer := time.NewTimer(drainWait)
	defer timer.Stop()
	select {
	case <-o.read:
	case <-timer.C:
	}
	_ = o.r.Close()
	<-o.read
	return o.tail.String()
}
