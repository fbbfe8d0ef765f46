package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/zk"
	hazk "github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/web"
	"github.com/coordd/coordd/zookeeper"
)

// giveWayWithin is how long a transfer may take unless --timeout says otherwise.
const giveWayWithin = 30 * time.Second

// contestFlags say which latch, by its path or by the cluster that contends there.
type contestFlags struct {
	latchFlags
	clusterID, root string
	output          string
}

func (c *contestFlags) add(f *pflag.FlagSet) {
	c.latchFlags.add(f)
	f.StringVar(&c.clusterID, "cluster-id", "", "instead of --latch, the cluster of agents that contends")
	f.StringVar(&c.root, "root", agent.DefaultRoot, "`path` in ZooKeeper below which --cluster-id lives")
	f.StringVarP(&c.output, "output", "o", "table", "table or json")
}

// config finds the latch and returns what a client of its ensemble needs.
func (c *contestFlags) config(a *app) (zookeeper.Config, error) {
	if err := (&remote{output: c.output}).checkOutput(); err != nil {
		return zookeeper.Config{}, err
	}
	if c.path != "" && c.clusterID != "" {
		// One that was given wins over one from a variable.
		switch latch, cluster := a.env.used["latch"] != "", a.env.used["cluster-id"] != ""; {
		case latch == cluster:
			return zookeeper.Config{}, &agent.InvalidError{Flag: "cluster-id", Value: c.clusterID, Problem: "cannot be combined with --latch; give one of them"}
		case latch:
			c.path = ""
		default:
			c.clusterID = ""
		}
	}
	switch {
	case c.clusterID != "":
		cluster := agent.Config{Dev: true, ClusterID: c.clusterID, Root: c.root}
		if err := cluster.Validate(); err != nil {
			return zookeeper.Config{}, err
		}
		c.path = hazk.LatchPath(cluster.ClusterPath())
	case c.path == "":
		return zookeeper.Config{}, &agent.InvalidError{Flag: "latch", Problem: "is missing; give a path such as /billing/latch, or --cluster-id ID for a cluster of agents"}
	}
	return c.latchFlags.config(a.err)
}

func (a *app) electionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "election",
		Short: "See who contends for leadership, and hand it over",
		Long: "Shows who contends at a latch in ZooKeeper, be they agents, those of 'coordd run',\n" +
			"or services that embed an election, and has the leader give way to another one.",
	}
	asGroup(cmd)
	cmd.AddCommand(a.contendersCommand(), a.resignCommand(), a.transferCommand())
	return cmd
}

func (a *app) contendersCommand() *cobra.Command {
	var c contestFlags
	cmd := &cobra.Command{
		Use:   "contenders",
		Short: "List who contends, in order",
		Long: "Lists who contends at a latch in the order in which they lead. The first one leads,\n" +
			"or will as soon as it has had that confirmed. EPOCH is the one that a contender\n" +
			"leads in, or would lead in from its place. Foreign contenders, such as LeaderLatches\n" +
			"of Apache Curator, lead in the same order but take part in no transfer.\n\n" +
			"It only reads. Exits with 0 when anybody contends, 2 when nobody does, and 1 on an\n" +
			"error.",
		Example: "  coordd election contenders --zookeeper 127.0.0.1:2181 --latch /mail/latch\n" +
			"  coordd election contenders --zookeeper 127.0.0.1:2181 --cluster-id default -o json",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.contenders(cmd.Context(), c) },
	}
	c.add(cmd.Flags())
	return cmd
}

func (a *app) resignCommand() *cobra.Command {
	var c contestFlags
	timeout := giveWayWithin
	cmd := &cobra.Command{
		Use:   "resign",
		Short: "Have the leader give way to whoever is next",
		Long: "Asks the leader to give way, waits until it has, and says who is first then: the next\n" +
			"contender, or the same one when it is alone. The leader contends again, behind the\n" +
			"others.\n\n" +
			"Exits with 0 when it has given way, 2 when nobody contends, and 1 on an error.",
		Example: "  coordd election resign --zookeeper 127.0.0.1:2181 --latch /mail/latch\n" +
			"  coordd election resign --zookeeper 127.0.0.1:2181 --cluster-id default",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.handOver(cmd.Context(), c, "", timeout) },
	}
	c.add(cmd.Flags())
	addTimeout(cmd.Flags(), &timeout)
	return cmd
}

func (a *app) transferCommand() *cobra.Command {
	var c contestFlags
	to, timeout := "", giveWayWithin
	cmd := &cobra.Command{
		Use:   "transfer --to ID",
		Short: "Hand leadership over to a contender",
		Long: "Has the contender with the given ID lead next: those between it and the leader queue\n" +
			"again behind it, then the leader gives way, and contends again behind all of them.\n" +
			"Waits until the contender is first. Does nothing when it is already.\n\n" +
			"Exits with 0 when it is first, 2 when nobody contends at all, and 1 on an error, such\n" +
			"as an ID that does not contend or a foreign contender in the way. When it is over\n" +
			"before that (--timeout, or interrupted) the request is taken back.",
		Example: "  coordd election transfer --zookeeper 127.0.0.1:2181 --latch /mail/latch --to mx3\n" +
			"  coordd election transfer --zookeeper 127.0.0.1:2181 --cluster-id default --to node-2",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return &agent.InvalidError{Flag: "to", Problem: "is missing; give the ID of a contender, as 'coordd election contenders' lists them"}
			}
			return a.handOver(cmd.Context(), c, to, timeout)
		},
	}
	c.add(cmd.Flags())
	cmd.Flags().StringVar(&to, "to", "", "`ID` of the contender that shall lead")
	addTimeout(cmd.Flags(), &timeout)
	return cmd
}

func addTimeout(f *pflag.FlagSet, timeout *time.Duration) {
	f.DurationVar(timeout, "timeout", *timeout, "how long the contenders may take to give way")
}

// contenders lists who contends.
func (a *app) contenders(ctx context.Context, c contestFlags) error {
	cfg, err := c.config(a)
	if err != nil {
		return err
	}
	all, err := readContenders(ctx, cfg, c.path)
	switch {
	case err != nil:
		return err
	case len(all) == 0 && c.output == "json":
		return errors.Join(writeJSON(a.out, contenderList(all)), nobody(c))
	case len(all) == 0:
		return nobody(c)
	case c.output == "json":
		return writeJSON(a.out, contenderList(all))
	default:
		return writeContenders(a.out, all)
	}
}

// readContenders returns who contends now.
func readContenders(ctx context.Context, cfg zookeeper.Config, latch string) ([]election.Participant, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	s, err := zookeeper.Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("ZooKeeper at %s does not answer: %w", strings.Join(cfg.Servers, ","), err)
	}
	defer func() { _ = s.Close() }() // nothing of it stays but the session
	found, err := zk.Contenders(ctx, s, latch)
	if err != nil {
		return nil, err
	}
	all := make([]election.Participant, len(found))
	for i, f := range found {
		all[i] = f.Participant
	}
	return all, nil
}

// nobody says, with its own exit code, that nobody contends.
func nobody(c contestFlags) error {
	if c.output == "json" {
		return &exitError{code: codeNoLeader}
	}
	return &exitError{code: codeNoLeader, cause: fmt.Errorf("nobody contends at %s", c.path)}
}

// contenderList is the API's answer to GET /v1/contenders.
func contenderList(all []election.Participant) web.ContenderList {
	list := web.ContenderList{Contenders: make([]web.Contender, len(all))}
	for i, p := range all {
		list.Contenders[i] = web.Contender{ID: p.ID, Epoch: p.Epoch, Since: p.Since, Leads: i == 0, Foreign: p.Foreign}
	}
	return list
}

func writeContenders(out io.Writer, all []election.Participant) error {
	rows := [][]string{{"POSITION", "ID", "EPOCH", "SINCE", "STATE"}}
	for i, p := range all {
		state := "waits"
		if i == 0 {
			state = "leads"
		}
		if p.Foreign {
			state += ", foreign"
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), name(p), p.Epoch.String(), age(time.Since(p.Since)) + " ago", state})
	}
	return writeTable(out, rows)
}

// name is what a contender is called; a foreign one may have no ID.
func name(p election.Participant) string {
	if p.ID == "" {
		return "-"
	}
	return p.ID
}

// handOver has the leader give way to the contender with the ID, or to whoever is
// next, and says who leads then.
func (a *app) handOver(ctx context.Context, c contestFlags, to string, timeout time.Duration) error {
	cfg, err := c.config(a)
	if err != nil {
		return err
	}
	if timeout <= 0 {
		return &agent.InvalidError{Flag: "timeout", Value: timeout.String(), Problem: "is not longer than 0; give a time such as 30s"}
	}
	before, err := readContenders(ctx, cfg, c.path)
	if err != nil {
		return err
	}
	err = transfer(ctx, cfg, c.path, to, timeout)
	if err != nil && !errors.Is(err, election.ErrNotContending) {
		return err
	}
	now, readErr := readContenders(ctx, cfg, c.path)
	switch {
	case readErr != nil:
		return readErr
	case err != nil && len(now) == 0:
		return nobody(c)
	case err != nil:
		return notContending(now, to, c.path)
	case c.output == "json":
		return writeJSON(a.out, contenderList(now))
	}
	_, err = fmt.Fprintln(a.out, outcome(before, now))
	return err
}

// transfer makes a transfer over a session of its own, which it ends.
func transfer(ctx context.Context, cfg zookeeper.Config, latch, to string, timeout time.Duration) error {
	client, err := zookeeper.New(cfg)
	if err != nil {
		return err
	}
	driver, err := zk.New(zk.Config{Client: client, Latch: latch})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// The session outlives an interruption, so that the request is taken back.
	err = client.While(ctx, func(ctx context.Context) error { return driver.Transfer(ctx, to) })
	if errors.Is(err, context.DeadlineExceeded) {
		missing, _ := strings.CutSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())
		return fmt.Errorf("gave up after %s and took the request back: %s", timeout, missing)
	}
	return err
}

// notContending says who does contend.
func notContending(all []election.Participant, id, latch string) error {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = name(p)
	}
	return fmt.Errorf("%q does not contend at %s; these do: %s", id, latch, strings.Join(names, ", "))
}

// outcome says what came of a transfer.
func outcome(before, now []election.Participant) string {
	var former election.Participant
	if len(before) > 0 {
		former = before[0]
	}
	switch {
	case len(now) == 0:
		return name(former) + " gave way; nobody else contends"
	case former.Epoch == now[0].Epoch:
		return fmt.Sprintf("%s leads already, in epoch %d", name(now[0]), now[0].Epoch)
	default:
		return fmt.Sprintf("%s gave way; %s leads in epoch %d", name(former), name(now[0]), now[0].Epoch)
	}
}
