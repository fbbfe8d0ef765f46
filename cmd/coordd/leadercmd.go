package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/leader"
)

// remote are the flags of commands that ask a cluster.
type remote struct {
	addresses []string
	output    string
}

func (r *remote) add(f *pflag.FlagSet) {
	r.addAddress(f)
	f.StringVarP(&r.output, "output", "o", "table", "table or json")
}

// addAddress adds the flags of a command whose output has one form.
func (r *remote) addAddress(f *pflag.FlagSet) {
	f.StringSliceVar(&r.addresses, "address", []string{client.DefaultAddress}, "agents to ask, `URL,...`; the first that answers is used")
	r.output = "table"
}

func (r *remote) checkOutput() error {
	if r.output != "table" && r.output != "json" {
		return &agent.InvalidError{Flag: "output", Value: r.output, Problem: "is not table or json"}
	}
	return nil
}

// client returns a client for the flags.
func (r *remote) client(cfg client.Config) (*client.Client, error) {
	if err := r.checkOutput(); err != nil {
		return nil, err
	}
	cfg.Addresses = r.addresses
	c, err := client.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("--address: %w", err)
	}
	return c, nil
}

func (a *app) leaderCommand() *cobra.Command {
	var r remote
	var l latchFlags
	watch := false
	cmd := &cobra.Command{
		Use:   "leader [COMPONENT]",
		Short: "Say who leads",
		Long: "Says who leads a component: dispatcher, unless another one is given.\n\n" +
			"With --latch it asks ZooKeeper who leads at that latch, be it an agent's, that of\n" +
			"'coordd run', or a LeaderLatch of Apache Curator. It only reads. --watch goes on\n" +
			"with a line for each change until it is interrupted.\n\n" +
			"Exits with 0 when a leader is known, 2 when there is none, and 1 on an error.",
		Example: "  coordd leader\n" +
			"  coordd leader rest_server -o json --address http://127.0.0.1:7422,http://127.0.0.1:7424\n" +
			"  coordd leader --zookeeper 127.0.0.1:2181 --latch /billing/latch --watch",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return noArguments(cmd, args[1:])
			}
			return nil
		},
		ValidArgs: []string{leader.Dispatcher, leader.RESTServer},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case l.path != "" && len(args) > 0:
				return fmt.Errorf("unexpected argument %q; a latch has one leader, of no component", args[0])
			case l.path != "":
				return a.latchLeader(cmd.Context(), l, r, watch)
			case watch:
				return &agent.InvalidError{Flag: "watch", Problem: "is for latches; add --latch PATH"}
			}
			component := leader.Dispatcher
			if len(args) == 1 {
				component = args[0]
			}
			return a.leader(cmd, r, component)
		},
	}
	r.add(cmd.Flags())
	l.add(cmd.Flags())
	cmd.Flags().BoolVar(&watch, "watch", false, "with --latch, print each change until interrupted")
	return cmd
}

func (a *app) leader(cmd *cobra.Command, r remote, component string) error {
	c, err := r.client(client.Config{Patience: -1})
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.Leader(cmd.Context(), component)
	if errors.Is(err, client.ErrNoLeader) {
		if problem, ok := errors.AsType[*client.Error](err); ok && r.output == "json" {
			return errors.Join(writeJSON(a.out, problem), &exitError{code: codeNoLeader})
		}
		return &exitError{code: codeNoLeader, cause: err}
	}
	if err != nil {
		return a.hint(err)
	}
	if r.output == "json" {
		return writeJSON(a.out, l)
	}
	return writeTable(a.out, [][]string{
		{"COMPONENT", "ID", "ADDRESS", "EPOCH", "PHASE", "SINCE"},
		{
			l.Component, l.Leader.ID, l.Leader.Address, strconv.FormatInt(int64(l.Leader.Epoch), 10),
			string(l.Leader.Phase), age(time.Since(l.Leader.Since)) + " ago",
		},
	})
}

// hint says what to do when nobody answers.
func (a *app) hint(err error) error {
	if errors.Is(err, client.ErrUnreachable) {
		return fmt.Errorf("%w; start one with 'coordd agent --dev', or name others with --address", err)
	}
	return err
}

// workerHint is hint for commands that name a worker.
func (a *app) workerHint(err error) error {
	if errors.Is(err, client.ErrNoWorker) {
		return fmt.Errorf("%w; see 'coordd worker list'", err)
	}
	return a.hint(err)
}
