package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/election"
	hazk "github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

const (
	// codeNothing: there is no such cluster.
	codeNothing = 2
	// deleterID is what a deletion is called among the contenders.
	deleterID = "coordd cluster delete"
	// leadWithin is how long a deletion may wait until it leads; nobody else contends.
	leadWithin = 30 * time.Second
)

// inUseError says who keeps a cluster from being deleted.
type inUseError struct {
	root       string
	contenders []string
}

// Error names them and says what to do.
func (e *inUseError) Error() string {
	remedy := "stop them first"
	if slices.Contains(e.contenders, deleterID) {
		remedy = "that is a deletion; if it was killed, its session ends within seconds"
	}
	return fmt.Sprintf("%s is in use; these contend there: %s; %s", e.root, strings.Join(e.contenders, ", "), remedy)
}

// clusterFlags say which cluster of which ensemble.
type clusterFlags struct {
	ensemble        ensembleFlags
	clusterID, root string
	output          string
	yes             bool
}

func (c *clusterFlags) add(f *pflag.FlagSet) {
	c.ensemble.add(f)
	f.StringVar(&c.clusterID, "cluster-id", "", "the cluster")
	f.StringVar(&c.root, "root", agent.DefaultRoot, "`path` in ZooKeeper below which clusters live")
	f.StringVarP(&c.output, "output", "o", "table", "table or json")
	f.BoolVar(&c.yes, "yes", false, "do not ask")
}

// config returns the cluster's path and what a client of its ensemble needs.
func (c *clusterFlags) config(notice io.Writer) (string, zookeeper.Config, error) {
	if err := (&remote{output: c.output}).checkOutput(); err != nil {
		return "", zookeeper.Config{}, err
	}
	if c.clusterID == "" {
		return "", zookeeper.Config{}, &agent.InvalidError{Flag: "cluster-id", Problem: "is missing; name the cluster, as its agents do"}
	}
	cluster := agent.Config{Dev: true, ClusterID: c.clusterID, Root: c.root}
	if err := cluster.Validate(); err != nil {
		return "", zookeeper.Config{}, err
	}
	cfg, err := c.ensemble.config(notice)
	return cluster.ClusterPath(), cfg, err
}

func (a *app) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "Delete a cluster that is not needed any more"}
	asGroup(cmd)
	cmd.AddCommand(a.clusterDeleteCommand())
	return cmd
}

func (a *app) clusterDeleteCommand() *cobra.Command {
	var c clusterFlags
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete all that a cluster keeps in ZooKeeper",
		Long: "Shows what a cluster keeps in ZooKeeper, asks, and deletes it: jobs, finished or not,\n" +
			"their results, and everything else below the cluster's node. What is in a folder of\n" +
			"large values (--blob-dir) stays, and can be deleted with the folder.\n\n" +
			"It refuses while anybody contends for the cluster's leadership: stop its agents\n" +
			"first. Then it contends itself, so that no agent can lead meanwhile. A deletion that\n" +
			"was cut short can be repeated; no job runs again that had ended.\n\n" +
			"Exits with 0 when all is deleted, 2 when there is nothing, and 1 on an error.",
		Example: "  coordd cluster delete --zookeeper 127.0.0.1:2181 --cluster-id staging",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.deleteCluster(cmd.Context(), c) },
	}
	c.add(cmd.Flags())
	return cmd
}

// deleteCluster shows, asks and deletes.
func (a *app) deleteCluster(ctx context.Context, c clusterFlags) error {
	root, cfg, err := c.config(a.err)
	if err != nil {
		return err
	}
	found, err := idleCluster(ctx, cfg, root)
	if err != nil {
		return err
	}
	if c.output != "json" {
		if err := a.showInventory(found); err != nil {
			return err
		}
	}
	if err := a.confirm(ctx, c); err != nil {
		return err
	}
	if found.Deleted, err = deleteTree(ctx, cfg, root); err != nil {
		return err
	}
	if c.output == "json" {
		return writeJSON(a.out, found)
	}
	_, err = fmt.Fprintf(a.out, "%s is deleted, %s\n", root, plural(found.Deleted, "node"))
	return err
}

// idleCluster returns what is there. Its error says that there is nothing, or who
// contends.
func idleCluster(ctx context.Context, cfg zookeeper.Config, root string) (inventory, error) {
	try, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	session, err := zookeeper.Open(try, cfg)
	if err != nil {
		return inventory{}, fmt.Errorf("ZooKeeper at %s does not answer: %w", strings.Join(cfg.Servers, ","), err)
	}
	defer func() { _ = session.Close() }() // nothing of it stays but the session
	tree := clusterTree{session: session, root: root}
	if err := tree.contending(ctx, ""); err != nil {
		return inventory{}, err
	}
	found, exists, err := tree.inventory(ctx)
	if err == nil && !exists {
		err = &exitError{code: codeNothing, cause: fmt.Errorf("there is nothing at %s", root)}
	}
	return found, err
}

func (a *app) showInventory(found inventory) error {
	rows := [][]string{{"FOLDER", "JOBS"}}
	for _, f := range found.Folders {
		rows = append(rows, []string{f.Name, strconv.Itoa(f.Jobs)})
	}
	if _, err := fmt.Fprintf(a.out, "%s\n\n", found.Path); err != nil {
		return err
	}
	if err := writeTable(a.out, rows); err != nil {
		return err
	}
	if len(found.Other) > 0 {
		fmt.Fprintf(a.out, "\nalso: %s\n", strings.Join(found.Other, ", "))
	}
	what := "every job has a result"
	switch {
	case found.Unfinished == 1:
		what = "1 job has not finished"
	case found.Unfinished > 1:
		what = fmt.Sprintf("%d jobs have not finished", found.Unfinished)
	}
	_, err := fmt.Fprintf(a.out, "\n%s\n\n", what)
	return err
}

// confirm asks on a terminal for the cluster's ID. Its error says that the answer
// was another, or that nobody can be asked.
func (a *app) confirm(ctx context.Context, c clusterFlags) error {
	if c.yes {
		return nil
	}
	if !asks(a.in) || c.output == "json" {
		return &agent.InvalidError{Flag: "yes", Problem: "is missing; nothing is deleted without it when nobody can be asked"}
	}
	fmt.Fprintf(a.out, "Type the cluster's ID (%s) to delete all of this: ", c.clusterID)
	answers := make(chan string, 1)
	// A read of a terminal cannot be ended; after an interruption the process does.
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answers <- strings.TrimSpace(line)
	}()
	select {
	case answer := <-answers:
		if answer != c.clusterID {
			return errors.New("nothing was deleted: that is not the cluster's ID")
		}
		return nil
	case <-ctx.Done():
		fmt.Fprintln(a.out)
		return errors.New("nothing was deleted: interrupted")
	}
}

// asks reports whether somebody can be asked.
func asks(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	const terminal = os.ModeDevice | os.ModeCharDevice
	return err == nil && info.Mode()&terminal == terminal && !isNull(info)
}

// isNull reports whether it is the null device, which is a character device too.
func isNull(info os.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(info, null)
}

// deleteTree leads the cluster for as long as it takes to delete it, and returns
// how many nodes that were.
func deleteTree(ctx context.Context, cfg zookeeper.Config, root string) (int, error) {
	services, err := hazk.New(hazk.Config{Servers: cfg.Servers, Chroot: cfg.Chroot, Security: cfg.Security, Root: root})
	if err != nil {
		return 0, err
	}
	// The session outlives an interruption, so that leadership is given up.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = services.Run(running) // it only ends with its context
	}()
	defer func() {
		stop()
		<-ended
	}()
	tenure, err := campaign(ctx, services, root)
	if err != nil {
		return 0, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(running, election.DefaultReleaseTimeout)
		defer cancel()
		_ = tenure.Release(ctx) // what it cannot remove goes with the session
	}()
	guard, ok := leader.Token[zookeeper.Guard](tenure.Guard())
	if !ok {
		return 0, errors.New("the guard is not one of ZooKeeper")
	}
	d := &deletion{clusterTree: clusterTree{session: guard.Session(), root: root}, guard: guard}
	if err := d.contending(ctx, guard.Path()); err != nil {
		return 0, err
	}
	if err := d.run(ctx); err != nil {
		return d.nodes, fmt.Errorf("deleted %s below %s, and then: %w; repeat the command to go on", plural(d.nodes, "node"), root, err)
	}
	return d.nodes, nil
}

// campaign contends until it leads.
func campaign(ctx context.Context, services *hazk.Services, root string) (election.Tenure, error) {
	try, cancel := context.WithTimeout(ctx, leadWithin)
	defer cancel()
	tenure, err := services.Election().Campaign(try, election.Candidate{ID: deleterID, StopGrace: time.Second})
	if err == nil {
		return tenure, nil
	}
	if ctx.Err() == nil && try.Err() != nil { // somebody was faster
		session, sessionErr := services.Client().Session(ctx)
		if sessionErr == nil {
			sessionErr = clusterTree{session: session, root: root}.contending(ctx, "")
		}
		err = cmp.Or(sessionErr, err)
	}
	return nil, fmt.Errorf("lead %s: %w", root, err)
}
