package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
)

func (a *app) logsCommand() *cobra.Command {
	var r remote
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs ID TASK[/SUBTASK]",
		Short: "Show what a subtask writes",
		Long: "Shows what the newest attempt of a subtask has written to stdout and stderr, from its\n" +
			"worker. SUBTASK is an index, from 0; a task with one subtask needs none.\n\n" +
			"With --follow it waits until the subtask is started, and goes on until the attempt\n" +
			"ends, also through the loss of agents.",
		Example: "  coordd job logs etl-2026-11-21 extract/2 -f",
		Args: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 0, 1:
				return fmt.Errorf("%s is missing; see '%s --help'", []string{"ID", "TASK"}[len(args)], cmd.CommandPath())
			case 2:
				return nil
			}
			return noArguments(cmd, args[2:])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < 0 {
				return fmt.Errorf("--tail %d: is not a number of bytes", tail)
			}
			c, err := a.patient(r)
			if err != nil {
				return err
			}
			defer c.Close()
			request, err := a.logRequest(cmd.Context(), c, job.ID(args[0]), args[1], follow)
			if err != nil {
				return a.hint(err)
			}
			request.Offset, request.Follow = -int64(tail), follow
			if err := c.Logs(cmd.Context(), request, a.out); err != nil {
				return a.hint(err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written, until the attempt ends")
	cmd.Flags().IntVar(&tail, "tail", 0, "begin with the last `bytes` (default with the first)")
	r.addAddress(cmd.Flags())
	return cmd
}

// logRequest finds the subtask that is named TASK or TASK/SUBTASK. With wait it returns
// when that was started.
func (a *app) logRequest(ctx context.Context, c *client.Client, id job.ID, name string, wait bool) (client.LogRequest, error) {
	task, index, given := strings.Cut(name, "/")
	request := client.LogRequest{Job: id, Task: task}
	if given {
		n, err := strconv.Atoi(index)
		if err != nil || n < 0 {
			return request, fmt.Errorf("subtask %q of %q is not an index such as %s/0", index, name, task)
		}
		request.Subtask = n
	}
	var wrong error
	_, err := c.WaitFor(ctx, id, func(snap job.Snapshot) bool {
		var sub job.SubtaskSnapshot
		sub, wrong = subtaskOf(snap, request, given)
		return wrong != nil || !wait || sub.Worker != ""
	})
	return request, errors.Join(err, wrong)
}

// subtaskOf returns the subtask of a job, or an error that says which there are.
func subtaskOf(snap job.Snapshot, r client.LogRequest, given bool) (job.SubtaskSnapshot, error) {
	var names []string
	for _, t := range snap.Tasks {
		names = append(names, t.ID)
		if t.ID != r.Task {
			continue
		}
		last := len(t.Subtasks) - 1
		switch {
		case !given && last > 0:
			return job.SubtaskSnapshot{}, fmt.Errorf("task %q of job %s has %d subtasks; name one: %s/0 to %s/%d",
				t.ID, snap.ID, len(t.Subtasks), t.ID, t.ID, last)
		case r.Subtask > last:
			return job.SubtaskSnapshot{}, fmt.Errorf("task %q of job %s has no subtask %d; the last one is %s/%d",
				t.ID, snap.ID, r.Subtask, t.ID, last)
		}
		return t.Subtasks[r.Subtask], nil
	}
	hint := "see 'coordd job status " + string(snap.ID) + "'"
	if near := nearest(r.Task, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	return job.SubtaskSnapshot{}, fmt.Errorf("job %s has no task %q; %s", snap.ID, r.Task, hint)
}
