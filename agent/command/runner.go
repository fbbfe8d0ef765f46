package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/zookeeper"
)

// The defaults of Config.
const (
	// DefaultSessionTimeout is how long ZooKeeper waits for a silent leader.
	DefaultSessionTimeout = zookeeper.DefaultSessionTimeout
	// MaxDefaultStopGrace bounds the stop grace of a Config that names none.
	MaxDefaultStopGrace = 5 * time.Second
)

const (
	// graceShare is the part of the session time-out that is the stop grace when
	// none is named: about two fifths of the lease.
	graceShare = 5
	// awayAfter is how long ZooKeeper may take to answer before people are told.
	awayAfter = 2 * time.Second
	// releaseTimeout bounds how long the end of a term tries to reach ZooKeeper.
	releaseTimeout = 2 * time.Second
	// releaseAfterKill bounds how long Kill leaves for the release.
	releaseAfterKill = time.Second
)

// Config says what to run and at which latch to contend.
type Config struct {
	// Servers lists the ensemble's members as HOST:PORT. Required.
	Servers []string
	// Chroot is put in front of Latch; empty for none.
	Chroot string
	// Security is credentials and access control lists; the zero value for none.
	Security zookeeper.Security
	// Latch is the path whose children are the contenders. Curator's LeaderLatch
	// can use the same. Required.
	Latch string
	// ID names this participant to people and to the command. Required.
	ID string
	// Command is the program and its arguments. Required.
	Command []string
	// SessionTimeout is what is asked of ZooKeeper. Zero: DefaultSessionTimeout.
	SessionTimeout time.Duration
	// StopGrace is how long before the end of the lease the command must begin to
	// stop; it gets KILL after 4/5 of that. It must be below a quarter of the session
	// time-out that ZooKeeper grants. Zero: a fifth of SessionTimeout, at most
	// MaxDefaultStopGrace.
	StopGrace time.Duration
	// Restart has the participant contend again when the command ended by itself,
	// after a pause that grows while the command fails (100 ms to 5 s). Without it
	// Run returns then.
	Restart bool
	// Stdin, Stdout and Stderr are given to the command. Nil: the null device.
	Stdin, Stdout, Stderr *os.File
	// Notice is told, in one line each, what the user should know: that ZooKeeper
	// is away, that leadership was lost. It may be called from any goroutine. Nil:
	// nobody is told.
	Notice func(text string)
	// Logger receives what the parts log. Nil: nothing is logged.
	Logger hclog.Logger
}

// Runner runs a command while it leads. Its methods may be called from any
// goroutine.
type Runner struct {
	cfg       Config
	client    *zookeeper.Client
	elector   *election.Elector
	contender *contender
	kill      func()
	killed    chan struct{}
}

// New returns a Runner that does nothing until Run. Its error names what cannot
// be used.
func New(cfg Config) (*Runner, error) {
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, errors.New("command: Config.Command is empty: name the program to run")
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = DefaultSessionTimeout
	}
	if cfg.StopGrace == 0 {
		cfg.StopGrace = min(cfg.SessionTimeout/graceShare, MaxDefaultStopGrace)
	}
	if cfg.Notice == nil {
		cfg.Notice = func(string) {}
	}
	client, err := zookeeper.New(zookeeper.Config{
		Servers: cfg.Servers, Chroot: cfg.Chroot, Security: cfg.Security,
		SessionTimeout: cfg.SessionTimeout, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	driver, err := zk.New(zk.Config{Client: client, Latch: cfg.Latch, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	elector, err := election.New(election.Config{
		ID: cfg.ID, Driver: driver, StopGrace: cfg.StopGrace, ReleaseTimeout: releaseTimeout, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	killed := make(chan struct{})
	return &Runner{
		cfg: cfg, client: client, elector: elector,
		contender: newContender(cfg, killed),
		kill:      sync.OnceFunc(func() { close(killed) }), killed: killed,
	}, nil
}

// Kill ends the command's group with KILL, if one is running, and Run: at once when
// ZooKeeper can be reached, and otherwise without releasing leadership, which then
// passes with the session time-out. It does not block and may be called again.
func (r *Runner) Kill() { r.kill() }

// Run contends and runs the command while it leads, and blocks until the command
// has ended by itself (without Restart), ctx has ended, or Kill. Then no process of
// the command's group lives, and leadership has been released. It may be called
// once.
//
// The code is that of the command, 128 + n when signal n ended it, as far as it
// ended by itself or ran when ctx ended. Errors: ErrNotFound or ErrNotExecutable,
// first of all before it contends; ctx's error when no command ran when ctx ended;
// election.ErrStopGrace when the group survived KILL, after which the process must
// exit; or why contending cannot succeed.
func (r *Runner) Run(ctx context.Context) (code int, err error) {
	path, err := exec.LookPath(r.cfg.Command[0])
	if err != nil {
		return 0, startError(r.cfg.Command[0], err)
	}
	r.contender.path = path

	// The contest ends before what it stands on.
	contest, resign := context.WithCancel(ctx)
	defer resign()
	r.contender.over = contest.Done()
	base := r.start(context.WithoutCancel(ctx), contest)
	result := make(chan error, 1)
	go func() { result <- r.elector.Run(contest, r.contender) }()

	select {
	case err = <-result:
	case <-r.killed:
		resign()
		r.contender.close()
		timer := time.NewTimer(releaseAfterKill)
		defer timer.Stop()
		select {
		case err = <-result:
		case <-timer.C:
			return r.code(ctx, context.Canceled)
		}
	}
	if errors.Is(err, election.ErrStopGrace) {
		// Closing the session would let a successor begin beside the group.
		return 0, fmt.Errorf("processes of the command survived KILL: %w", err)
	}
	resign()
	base.stop()
	return r.code(ctx, err)
}

// code translates what the elector returned.
func (r *Runner) code(ctx context.Context, err error) (int, error) {
	if e, ok := errors.AsType[*ended](err); ok {
		return e.code, nil
	}
	if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return 0, err
	}
	if code, ok := r.contender.code(); ok {
		return code, nil
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return 0, err
}

// base is what a contest stands on.
type base struct{ stop func() }

// start runs what the contest stands on, until stop. What speaks of ZooKeeper ends
// with the contest.
func (r *Runner) start(ctx, contest context.Context) base {
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.client.Run(ctx) }) // it only ends with ctx
	parts.Go(r.contender.spawner.Run)
	parts.Go(func() { r.sayAway(contest) })
	return base{stop: func() {
		cancel()
		r.contender.spawner.Stop()
		parts.Wait()
	}}
}

// sayAway tells once whenever there is no session for a while.
func (r *Runner) sayAway(ctx context.Context) {
	told := false
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, awayAfter)
		s, err := r.client.Session(try)
		cancel()
		switch {
		case err == nil:
			told = false
			select {
			case <-s.Done():
			case <-ctx.Done():
			}
		case ctx.Err() == nil && !told:
			told = true
			r.cfg.Notice(fmt.Sprintf("ZooKeeper at %s does not answer, waiting for it", strings.Join(r.cfg.Servers, ",")))
		}
	}
}

func newContender(cfg Config, killed <-chan struct{}) *contender {
	return &contender{cfg: cfg, spawner: process.NewSpawner(), killed: killed, turn: make(chan struct{}, 1)}
}
