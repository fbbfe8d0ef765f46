package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/internal/process"
)

const (
	// drainWait is how long the output is still read when the group has ended. Only
	// a process that has left the group can hold the pipe open for longer.
	drainWait = time.Second
	// maxReason bounds a reason, which stands in tables and in the job's record.
	maxReason = 1 << 10
)

// attempt is one run of a command or a function. One goroutine runs it; the owner of
// the state may end it.
type attempt struct {
	d       gateway.Deployment
	journal *journal
	// begin is closed when the attempt may start; nil lets it start at once.
	begin chan struct{}
	// cancelled is set by whoever starts the attempt's goroutine.
	cancelled context.CancelCauseFunc
	// killed is closed when the attempt shall not get time to end by itself.
	killed chan struct{}

	// tenant is the job it belongs to, slot where it runs.
	tenant *tenant
	slot   *holding
	// dying says that killed is closed; forgotten, that nobody wants to hear of the end.
	dying, forgotten bool
}

// cancel asks the attempt to end; the first reason counts. Only the owner of the
// state calls it.
func (a *attempt) cancel(why string) { a.cancelled(errors.New(why)) }

// kill ends the attempt without giving it time, so far as it can be ended.
func (a *attempt) kill(why string) {
	a.cancel(why)
	if !a.dying {
		a.dying = true
		close(a.killed)
	}
}

// means is what attempts are run with.
type means struct {
	spawner   *process.Spawner
	funcs     Funcs
	dir       string
	termGrace time.Duration
	log       hclog.Logger
}

// run sees the attempt through and says how it ended. ctx ends when it is cancelled.
func (a *attempt) run(ctx context.Context, m means) gateway.AttemptEnd {
	if a.begin != nil {
		select {
		case <-a.begin:
		case <-ctx.Done():
		}
	}
	var end gateway.AttemptEnd
	switch {
	case ctx.Err() != nil:
		end = a.canceled(ctx)
	case a.d.Func != "":
		end = a.callFunc(ctx, m.funcs)
	default:
		end = a.execute(ctx, m)
	}
	var err error
	if end.Output, err = a.journal.finish(); err != nil {
		m.log.Warn("part of an attempt's output is not kept on disk", "attempt", label(a.d.Attempt), "error", err)
	}
	return end
}

func (a *attempt) failed(reason error) gateway.AttemptEnd {
	text := strings.Join(strings.Fields(reason.Error()), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeFailed, Reason: text}
}

func (a *attempt) canceled(ctx context.Context) gateway.AttemptEnd {
	return gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeCanceled, Reason: context.Cause(ctx).Error()}
}

func (a *attempt) timedOut() error { return fmt.Errorf("timed out after %s", a.d.Timeout) }

// execute runs an attempt that is a command.
func (a *attempt) execute(ctx context.Context, m means) gateway.AttemptEnd {
	home := a.journal.home
	cmd, err := command(a.d, m.dir, home)
	if err != nil {
		return a.failed(err)
	}
	if err := furnish(home, a.d.Inputs); err != nil {
		return a.failed(err)
	}
	out, err := capture(cmd, a.journal)
	if err != nil {
		return a.failed(fmt.Errorf("no pipe for the output: %w", err))
	}
	err = m.spawner.Start(cmd)
	out.started()
	if err != nil {
		out.finish()
		return a.failed(startReason(a.d.Command[0], err))
	}
	m.log.Debug("attempt started", "attempt", label(a.d.Attempt), "pid", cmd.Process.Pid)
	reason, intended := a.wait(ctx, cmd, m.termGrace)
	out.finish()
	end := gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeFinished}
	switch {
	case intended:
		end = a.canceled(ctx)
	case reason != nil:
		end = a.failed(reason)
	default:
		if end.Result, err = result(home); err != nil {
			end = a.failed(err)
		}
	}
	if state := cmd.ProcessState; state.Exited() {
		code := state.ExitCode()
		end.ExitCode = &code
	}
	return end
}

// wait lets the command run to its end, or ends it when it is cancelled or its time
// is over. It returns why the command did not finish, and whether that was intended.
// When it returns, the command is reaped and its group is gone.
func (a *attempt) wait(ctx context.Context, cmd *exec.Cmd, grace time.Duration) (reason error, intended bool) {
	p := process.NewGroup(cmd)
	exited := make(chan struct{})
	go func() {
		p.Await()
		close(exited)
	}()

	var timeout, late <-chan time.Time
	if a.d.Timeout > 0 {
		timer := time.NewTimer(a.d.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	canceled, killed := ctx.Done(), a.killed
	term := func() {
		p.Signal(syscall.SIGTERM)
		canceled, timeout, late = nil, nil, time.After(grace)
	}
	for {
		select {
		case <-canceled:
			intended = true
			term()
		case <-timeout:
			reason = a.timedOut()
			term()
		case <-late:
			p.Signal(syscall.SIGKILL)
		case <-killed:
			killed, intended = nil, reason == nil
			p.Signal(syscall.SIGKILL)
		case <-exited:
			p.Finish()
			if reason == nil && !intended {
				reason = verdict(cmd.ProcessState)
			}
			return reason, intended
		}
	}
}

// verdict says why a command did not finish that nobody had asked to end; nil if it
// did.
func verdict(state *os.ProcessState) error {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return errors.New("killed by signal: " + status.Signal().String())
	}
	if code := state.ExitCode(); code != 0 {
		return fmt.Errorf("exited with code %d", code)
	}
	return nil
}

// output carries what a command writes to stdout and stderr into its journal.
type output struct {
	r, w *os.File
	read chan struct{}
}

// capture connects the command's output. It uses a pipe of its own, not the one
// of os/exec, so that waiting for the command never means waiting for whoever
// inherited the pipe.
func capture(cmd *exec.Cmd, to io.Writer) (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	o := &output{r: r, w: w, read: make(chan struct{})}
	go func() {
		defer close(o.read)
		// The error is the end of the pipe, by all its writers or by finish.
		_, _ = io.Copy(to, r)
	}()
	return o, nil
}

// started drops this process's copy of the writing end: the command has its own.
func (o *output) started() { _ = o.w.Close() }

// finish waits for the rest of the output, not for ever.
func (o *output) finish() {
	timer := time.NewTimer(drainWait)
	defer timer.Stop()
	select {
	case <-o.read:
	case <-timer.C:
	}
	_ = o.r.Close()
	<-o.read
}
