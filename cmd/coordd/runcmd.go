package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/agent/command"
)

// The exit codes of a shell.
const (
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128 // plus the signal's number
)

func (a *app) runCommand() *cobra.Command {
	cfg := command.Config{}
	var l latchFlags
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "run --zookeeper HOST:PORT,... --latch PATH --id NAME -- CMD [ARG...]",
		Short: "Run a command only while leading",
		Long: "Contends at a latch in ZooKeeper and runs CMD while it leads. All who name the same\n" +
			"latch are one group, of which one runs its CMD at a time.\n\n" +
			"When leadership is lost, CMD and all of its process group get TERM, and KILL before\n" +
			"anybody else can lead by the lease; then it contends again. When CMD ends by itself,\n" +
			"leadership passes on at once, and coordd ends with CMD's exit code (128 + n when\n" +
			"signal n ended it), or contends again with --restart.\n\n" +
			"The first INT, TERM or HUP stops CMD, passes leadership on, and ends with CMD's exit\n" +
			"code, 128 + the signal when CMD did not run. The second one kills CMD at once.\n\n" +
			"CMD sees COORDD_EPOCH, a number that grows from each leader to the next,\n" +
			"COORDD_SESSION_ID and COORDD_ID. Exits with 126 when CMD cannot be executed, 127\n" +
			"when there is none, and 1 on an error of coordd's own.",
		Example: "  coordd run --zookeeper 127.0.0.1:2181 --latch /cron/latch --id $(hostname) -- ./nightly.sh\n" +
			"  coordd run --zookeeper zk1:2181,zk2:2181 --latch /mail/latch --id a --restart -- postman --queue q1",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return fmt.Errorf("CMD is missing; see '%s --help'", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ensemble, err := l.config(a.err)
			if err != nil {
				return err
			}
			cfg.Servers, cfg.Chroot, cfg.Security = ensemble.Servers, ensemble.Chroot, ensemble.Security
			if cfg.Logger, err = logs.logger(a.err); err != nil {
				return err
			}
			cfg.Latch, cfg.Command = l.path, args
			return a.runWhileLeading(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what stands behind CMD is CMD's
	l.add(f)
	f.StringVar(&cfg.ID, "id", "", "name of this participant")
	f.DurationVar(&cfg.SessionTimeout, "session-timeout", command.DefaultSessionTimeout, "how long the others wait for a silent leader")
	f.DurationVar(&cfg.StopGrace, "stop-grace", 0, "how long before the end of the lease CMD gets TERM; KILL follows after 4/5 of it (default a fifth of --session-timeout, at most 5s)")
	f.BoolVar(&cfg.Restart, "restart", false, "contend again when CMD has ended")
	logs.add(f)
	f.Lookup("log-level").DefValue = "off" // standard error is CMD's
	logs.level = "off"
	return cmd
}

// runWhileLeading runs the command and ends with its exit code.
func (a *app) runWhileLeading(ctx context.Context, cfg command.Config) error {
	switch {
	case cfg.ID == "":
		return &agent.InvalidError{Flag: "id", Problem: "is missing; name this participant, for example after its host"}
	case cfg.SessionTimeout < agent.MinSessionTimeout:
		return &agent.InvalidError{
			Flag: "session-timeout", Value: cfg.SessionTimeout.String(),
			Problem: fmt.Sprintf("is too short; use %s or more", agent.MinSessionTimeout),
		}
	case cfg.StopGrace < 0 || cfg.StopGrace >= cfg.SessionTimeout/4:
		return &agent.InvalidError{
			Flag: "stop-grace", Value: cfg.StopGrace.String(),
			Problem: fmt.Sprintf("must be below a quarter of --session-timeout, which is %s", cfg.SessionTimeout),
		}
	}
	// Files are passed through; anything else is not a command line's.
	cfg.Stdin, _ = a.in.(*os.File)
	cfg.Stdout, _ = a.out.(*os.File)
	cfg.Stderr, _ = a.err.(*os.File)
	cfg.Notice = func(text string) { fmt.Fprintln(a.err, "coordd: "+oneLine(text)) }
	runner, err := command.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := stopBySignals(ctx, runner.Kill)
	defer stop()
	code, err := runner.Run(ctx)
	signaled, bySignal := errors.AsType[*signalError](context.Cause(ctx))
	switch {
	case errors.Is(err, command.ErrNotFound):
		return &exitError{code: codeNotFound, cause: err}
	case errors.Is(err, command.ErrNotExecutable):
		return &exitError{code: codeNotExecutable, cause: err}
	case bySignal && errors.Is(err, context.Canceled):
		return &exitError{code: codeSignal + int(signaled.signal)}
	case err != nil:
		return err
	case code != 0:
		return &exitError{code: code}
	}
	return nil
}

// signalError is the cause of a context that a signal ended.
type signalError struct{ signal syscall.Signal }

var _ error = (*signalError)(nil)

// Error names the signal.
func (e *signalError) Error() string { return "received " + strings.ToLower(e.signal.String()) }

// stopBySignals returns a context that ends with the first signal to stop. The
// second one calls kill, a third one finds the default handling. It stands in for
// main's own handling, which cannot tell signals apart and would let the second
// one end the process beside its command. Stop frees what it holds.
func stopBySignals(ctx context.Context, kill func()) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	const first, second = 1, 2
	signals := make(chan os.Signal, second)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := first; n <= second; n++ {
			select {
			case s := <-signals:
				if n == second {
					kill()
					signal.Stop(signals)
				} else if number, ok := s.(syscall.Signal); ok {
					cancel(&signalError{signal: number})
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel(nil)
	}
}
