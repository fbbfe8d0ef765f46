package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/coordd/coordd/agent/minicluster"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/testdata"
)

// The demo's cluster. Its session time-out is what the crash costs.
const (
	demoNodes   = 3
	demoWorkers = 2
	demoSlots   = 2
	demoSession = 2 * time.Second
)

// How long the subtasks of the demo's own job wait, in seconds. The stage in which the
// leader is killed outlasts the change of leaders.
const (
	demoPause     = "1"
	demoLongPause = "4"
	demoLongTask  = "count"
)

func (a *app) demoCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Three coordinators and two workers in one process, a job, and a crash of the leader",
		Long: "Runs three coordinators and two workers in this process, without ZooKeeper, submits\n" +
			"a job to a standby, kills the leader when the second stage has begun, and shows how\n" +
			"another coordinator takes over what runs on the workers and finishes the job.\n\n" +
			"Without FILE the job finds the most frequent longer words of a poem.\n\n" +
			"Exits like 'job wait'.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return noArguments(cmd, args[1:])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return a.demo(cmd.Context(), file, verbose)
		},
	}
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the logs of coordinators and workers as well")
	return cmd
}

func (a *app) demo(ctx context.Context, file string, verbose bool) (err error) {
	dir, err := os.MkdirTemp("", "coordd-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	logs, err := os.Create(filepath.Join(dir, "demo.log"))
	if err != nil {
		return fmt.Errorf("make the demo's log: %w", err)
	}
	defer func() {
		err = errors.Join(err, logs.Close())
		if exit, ok := errors.AsType[*exitError](err); err == nil || ok && exit.cause == nil || ctx.Err() != nil {
			err = errors.Join(err, os.RemoveAll(dir))
			return
		}
		err = fmt.Errorf("%w (the log is in %s)", err, logs.Name())
	}()
	name, data, err := a.demoJob(file, dir)
	if err != nil {
		return err
	}
	out := io.Writer(logs)
	if verbose {
		out = a.err
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "coordd", Level: hclog.Debug, Output: out})
	cluster, err := minicluster.New(minicluster.Config{
		Size: demoNodes, Workers: demoWorkers, WorkerSlots: demoSlots, SessionTimeout: demoSession, Version: version(),
		Logger: func(id string) hclog.Logger { return logger.Named(id) },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- cluster.Run(ctx) }()
	snap, err := a.tell(ctx, cluster, name, data)
	cancel()
	if err := errors.Join(err, <-ran); err != nil {
		return err
	}
	return endCode(snap.Status)
}

// tell waits for the cluster and plays the story.
func (a *app) tell(ctx context.Context, cluster *minicluster.Cluster, name string, data []byte) (job.Snapshot, error) {
	began := time.Now()
	select {
	case <-cluster.Started():
	case <-ctx.Done():
		return job.Snapshot{}, ctx.Err()
	}
	c, err := client.New(client.Config{Addresses: cluster.URLs()})
	if err != nil {
		return job.Snapshot{}, err
	}
	defer c.Close()
	return newStory(cluster, c, newPrinter(a.out, began)).play(ctx, name, data)
}

// demoJob returns the job to run: the file, or the one that comes with the binary,
// told where its text and its folder are.
func (a *app) demoJob(file, dir string) (name string, data []byte, err error) {
	if file != "" {
		data, err := a.readJob(file)
		if err != nil {
			return "", nil, err
		}
		graph, err := job.Parse(file, data)
		return graph.Name, data, err
	}
	const builtin = "jobs/etl.yaml"
	data, err = testdata.Jobs.ReadFile(builtin)
	if err != nil {
		return "", nil, err
	}
	graph, err := job.Parse(builtin, data)
	if err != nil {
		return "", nil, err
	}
	text := filepath.Join(dir, "text.txt")
	const private = 0o600
	if err := os.WriteFile(text, []byte(testdata.Text), private); err != nil {
		return "", nil, fmt.Errorf("write the demo's text: %w", err)
	}
	for i := range graph.Tasks {
		pause := demoPause
		if graph.Tasks[i].ID == demoLongTask {
			pause = demoLongPause
		}
		graph.Tasks[i].Env = map[string]string{"TEXT": text, "WORK": filepath.Join(dir, "work"), "PAUSE": pause}
	}
	data, err = json.Marshal(graph)
	return graph.Name, data, err
}

// endCode returns the exit code of a job's end as an error.
func endCode(s job.Status) error {
	switch s {
	case job.StatusFailed:
		return &exitError{code: codeFailed}
	case job.StatusCanceled:
		return &exitError{code: codeCanceled}
	default:
		return nil
	}
}
