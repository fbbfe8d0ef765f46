package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/internal/process"
)

// The variables that tell a command its term.
const (
	// EnvEpoch is the epoch of the term.
	EnvEpoch = "COORDD_EPOCH"
	// EnvSessionID is the random name of the term.
	EnvSessionID = "COORDD_SESSION_ID"
	// EnvID is the participant's name.
	EnvID = "COORDD_ID"
)

// sweep is how often a group that shall end is looked at.
const sweep = 5 * time.Millisecond

// contender runs the command once for each term.
type contender struct {
	cfg     Config
	path    string // of the program
	spawner *process.Spawner
	killed  <-chan struct{}
	over    <-chan struct{} // closed when Run's context has ended
	// turn is held while a command may be running, and for ever by close.
	turn chan struct{}

	mu sync.Mutex
	// stopped is the exit code of a command that was stopped on Run's behalf.
	stopped *int
}

var _ election.Contender = (*contender)(nil)

// ended is the error of a term whose command ended by itself.
type ended struct{ code int }

var _ error = (*ended)(nil)

// Error says how the command ended.
func (e *ended) Error() string { return fmt.Sprintf("command ended with exit code %d", e.code) }

// close returns when no command runs, and lets none be started any more.
func (c *contender) close() { c.turn <- struct{}{} }

// code returns the exit code of a command that was stopped on Run's behalf.
func (c *contender) code() (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		return 0, false
	}
	return *c.stopped, true
}

// Lead runs the command until it ends, or ends it with the term.
func (c *contender) Lead(ctx context.Context, t *election.Term) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if isClosed(c.killed) || ctx.Err() != nil {
		return ctx.Err()
	}
	cmd := c.prepare(t)
	if err := c.spawner.Start(cmd); err != nil {
		return c.verdict(startError(c.cfg.Command[0], err))
	}
	if byItself := c.attend(ctx, cmd); byItself {
		return c.verdict(&ended{code: exitCode(cmd.ProcessState)})
	}
	if isClosed(c.killed) || isClosed(c.over) { // else it contends again
		code := exitCode(cmd.ProcessState)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopped = &code
	}
	return ctx.Err()
}

// verdict says what the end of a run means for the election.
func (c *contender) verdict(err error) error {
	if !c.cfg.Restart {
		return election.Fatal(err)
	}
	if e, ok := errors.AsType[*ended](err); ok && e.code == 0 {
		return nil
	}
	c.cfg.Notice(err.Error() + "; contending again")
	return err
}

func (c *contender) prepare(t *election.Term) *exec.Cmd {
	// Not exec.CommandContext: a run is ended by TERM and then KILL to its whole
	// group, which a context cannot say.
	cmd := exec.Command(c.path, c.cfg.Command[1:]...) //nolint:noctx,gosec // running the user's command is the purpose
	cmd.Args[0] = c.cfg.Command[0]
	cmd.SysProcAttr = process.Attributes()
	cmd.Env = append(os.Environ(),
		EnvEpoch+"="+t.Epoch().String(), EnvSessionID+"="+string(t.SessionID()), EnvID+"="+c.cfg.ID)
	// Files, not readers and writers: nothing is copied, and nothing of the command
	// is waited for but its end.
	if c.cfg.Stdin != nil {
		cmd.Stdin = c.cfg.Stdin
	}
	if c.cfg.Stdout != nil {
		cmd.Stdout = c.cfg.Stdout
	}
	if c.cfg.Stderr != nil {
		cmd.Stderr = c.cfg.Stderr
	}
	return cmd
}

// attend returns when the command is reaped and nobody of its group lives, and
// whether it ended by itself.
func (c *contender) attend(ctx context.Context, cmd *exec.Cmd) (byItself bool) {
	g := process.NewGroup(cmd)
	exited := make(chan struct{})
	go func() {
		g.Await()
		close(exited)
	}()
	clock := newPulse(c.cfg.StopGrace)
	beat := time.NewTicker(c.cfg.StopGrace / 2)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			clock.beat(time.Now())
			continue
		case <-exited:
		case <-ctx.Done():
		case <-c.killed:
		}
		break
	}
	clock.beat(time.Now())
	if isClosed(exited) {
		// What it left behind may take its time, unless the session expires.
		c.stop(ctx, g, exited, c.patience())
		return true
	}
	cause := context.Cause(ctx)
	if cause != nil && !errors.Is(cause, election.ErrResigned) {
		c.cfg.Notice(fmt.Sprintf("leadership lost (%v), stopping the command", cause))
	}
	patience := c.patience()
	if expired(ctx) || clock.late() {
		patience = 0
	}
	c.stop(ctx, g, exited, patience)
	return false
}

// patience is the time between TERM and KILL. What is left of the stop grace is
// for the group to die in.
func (c *contender) patience() time.Duration { return c.cfg.StopGrace * 4 / 5 }

// expired reports whether the term has ended with its session: somebody else may lead.
func expired(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), election.ErrSessionExpired)
}

// stop ends the group: with TERM, and with KILL after the given time, at once when
// that is zero, or when the session expires. It returns when the command is reaped and
// nobody else lives.
func (c *contender) stop(ctx context.Context, g *process.Group, exited <-chan struct{}, patience time.Duration) {
	defer g.Finish()
	if gone(g, exited) {
		return
	}
	if patience > 0 && !isClosed(c.killed) {
		g.Signal(syscall.SIGTERM)
		g.Signal(syscall.SIGCONT) // a stopped process would not notice
	}
	kill := time.NewTimer(patience)
	defer kill.Stop()
	look := time.NewTicker(sweep)
	defer look.Stop()
	killing := false
	awaited, killed, over := exited, c.killed, ctx.Done() // nil when seen
	for {
		select {
		case <-kill.C:
			killing = true
			if patience > 0 {
				c.cfg.Notice(fmt.Sprintf("the command did not stop within %s, killing it", patience))
			}
		case <-killed:
			killed, killing = nil, true
		case <-over:
			over, killing = nil, killing || expired(ctx)
		case <-awaited:
			awaited = nil
		case <-look.C:
		}
		if killing {
			g.Signal(syscall.SIGKILL)
		}
		if gone(g, exited) {
			return
		}
	}
}
