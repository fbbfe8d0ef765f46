package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
)

// The exit codes. Those of job wait are part of the interface of scripts.
const (
	codeOK       = 0
	codeError    = 1
	codeNoLeader = 2
	codeFailed   = 2
	codeCanceled = 3
	codeTimeout  = 124
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exitError ends the process with a code. Without a cause nothing
// is printed.
type exitError struct {
	code  int
	cause error
}

var _ error = (*exitError)(nil)

// Error returns the cause's text.
func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.cause }

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, s streams, lookup func(string) (string, bool)) int {
	a := &app{streams: s, env: &environment{lookup: lookup, used: make(map[string]string)}}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeOK
	}
	code := codeError
	if exit, ok := errors.AsType[*exitError](err); ok {
		code = exit.code
		if exit.cause == nil {
			return code
		}
		err = exit.cause
	}
	fmt.Fprintln(s.err, "coordd: "+oneLine(a.describe(err)))
	return code
}

// app is what the commands share.
type app struct {
	streams
	env *environment
}

// describe returns the error's text, with settings under the names by which the
// user gave them.
func (a *app) describe(err error) string {
	if invalid, ok := errors.AsType[*agent.InvalidError](err); ok {
		if variable := a.env.used[invalid.Flag]; variable != "" {
			return invalid.Text(variable)
		}
	}
	return err.Error()
}

// oneLine makes one line of a text.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "coordd",
		Short: "Highly available services and jobs on ZooKeeper",
		Long: "coordd makes services and jobs highly available on ZooKeeper.\n\n" +
			"See it work:      coordd demo\n" +
			"Try it:           coordd agent --dev\n" +
			"Run a cluster:    coordd agent --zookeeper HOST:PORT,... --id NAME   (three times)\n" +
			"                  coordd worker --zookeeper HOST:PORT,... --id NAME --slots N\n" +
			"Only one runs:    coordd run --zookeeper HOST:PORT,... --latch PATH --id NAME -- CMD\n\n" +
			"Each flag can be given as a variable as well: --session-timeout as\n" +
			"COORDD_SESSION_TIMEOUT. Flags win.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.env.apply(cmd)
		},
	}
	root.SetFlagErrorFunc(flagError)
	asGroup(root)
	root.AddCommand(a.agentCommand(), a.workerCommand(), a.demoCommand(), a.leaderCommand(), a.electionCommand(), a.runCommand(), a.jobCommand(), a.recoveryCommand(), a.clusterCommand(), a.versionCommand())
	return root
}

// asGroup makes a command that only holds others: alone it prints its help, and a
// name that it does not have is an error that suggests one.
func asGroup(group *cobra.Command) {
	group.Args = cobra.ArbitraryArgs
	group.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
}

// unknownCommand says that the command holds none of that name, and suggests one.
func unknownCommand(cmd *cobra.Command, name string) error {
	hint := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean '%s %s'?", cmd.CommandPath(), near)
	}
	return fmt.Errorf("unknown command %q; %s", name, hint)
}

// noArguments refuses arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; see '%s --help'", args[0], cmd.CommandPath())
	}
	return nil
}

// oneArgument requires exactly one argument, which is called what.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing; see '%s --help'", what, cmd.CommandPath())
		case len(args) > 1:
			return noArguments(cmd, args[1:])
		}
		return nil
	}
}

// flagError says in one line what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	help := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedName() != "" {
		if near := nearestFlag(cmd, unknown.GetSpecifiedName()); near != "" {
			help = fmt.Sprintf("did you mean --%s?", near)
		}
		return fmt.Errorf("unknown flag --%s; %s", unknown.GetSpecifiedName(), help)
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return fmt.Errorf("--%s %s: %s", bad.GetFlag().Name, bad.GetValue(), wants(bad.GetFlag()))
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return fmt.Errorf("--%s needs a value; %s", missing.GetFlag().Name, help)
	}
	return fmt.Errorf("%w; %s", err, help)
}

// wants says what values a flag takes.
func wants(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "is not a whole number"
	case "bool":
		return "is not true or false"
	case "duration":
		return "is not a duration such as 10s"
	case "stringToString":
		return "is not name=value"
	}
	return "is not a " + f.Value.Type()
}

// nearestFlag returns the flag that was probably meant, or "".
func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return nearest(name, names)
}
