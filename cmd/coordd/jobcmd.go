package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
)

func (a *app) jobCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "job", Short: "Submit jobs, and follow them"}
	asGroup(cmd)
	cmd.AddCommand(a.submitCommand(), a.listCommand(), a.statusCommand(), a.waitCommand(), a.cancelCommand(), a.logsCommand())
	return cmd
}

const waitCodes = "Exits with 0 when the job FINISHED, 2 when it FAILED, 3 when it was CANCELED,\n" +
	"124 when --timeout is over, and 1 on an error."

func (a *app) submitCommand() *cobra.Command {
	var r remote
	var id string
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Submit a job file, YAML or JSON; - reads standard input",
		Long: "Submits a job file, YAML or JSON. When the command returns the job is stored\n" +
			"durably and survives any crash.\n\n" +
			"The same file under the same --id is accepted once: submitting again answers with\n" +
			"the job that is there and runs nothing.\n\nWith --wait: " + waitCodes,
		Example: "  coordd job submit etl.yaml --id etl-2026-11-21 --wait",
		Args:    oneArgument("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout != 0 && !wait {
				return errors.New("--timeout says how long to --wait; give both")
			}
			return a.submit(cmd.Context(), r, submission{file: args[0], id: job.ID(id), wait: wait, timeout: timeout})
		},
	}
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "the job's `ID` (default a random one)")
	// COORDD_ID names an agent, and an agent's tasks inherit its variables.
	setVariable(f, "id", "COORDD_SUBMIT_ID")
	f.BoolVar(&wait, "wait", false, "wait for the job's end")
	f.DurationVar(&timeout, "timeout", 0, "with --wait, how long (default for ever)")
	r.add(f)
	return cmd
}

type submission struct {
	file    string
	id      job.ID
	wait    bool
	timeout time.Duration
}

func (a *app) submit(ctx context.Context, r remote, s submission) error {
	if s.id == "" {
		s.id = job.NewID()
	} else if err := s.id.Validate(); err != nil {
		return fmt.Errorf("--id: %w", err)
	}
	data, err := a.readJob(s.file)
	if err != nil {
		return err
	}
	c, err := a.patient(r)
	if err != nil {
		return err
	}
	defer c.Close()
	snap, created, err := c.Submit(ctx, s.id, data)
	if err != nil {
		return a.hint(err)
	}
	if s.wait {
		return a.wait(ctx, r, c, s.id, s.timeout)
	}
	if r.output == "json" {
		return writeJSON(a.out, snap)
	}
	what := "accepted"
	if !created {
		what = fmt.Sprintf("was there already: %s", snap.Status)
	}
	_, err = fmt.Fprintf(a.out, "job %s %s\n", snap.ID, what)
	return err
}

// readJob reads a job file and checks it, so that its errors name the file and
// need no agent.
func (a *app) readJob(file string) ([]byte, error) {
	name, data, err := a.read(file)
	if err != nil {
		return nil, fmt.Errorf("read the job: %w", err)
	}
	if _, err := job.Parse(name, data); err != nil {
		return nil, err
	}
	return data, nil
}

// read returns the content of a file, "-" being standard input, and its name for
// people. It stops when the file is too large to be a job.
func (a *app) read(file string) (name string, data []byte, err error) {
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(a.in, job.MaxJSONSize+1))
		return "standard input", data, err
	}
	f, err := os.Open(file)
	if err != nil {
		return file, nil, err
	}
	data, err = io.ReadAll(io.LimitReader(f, job.MaxJSONSize+1))
	return file, data, errors.Join(err, f.Close())
}

// patient returns a client that goes on asking through a hand-over, and says so
// once.
func (a *app) patient(r remote) (*client.Client, error) {
	said := false
	return r.client(client.Config{OnRetry: func(reason error) {
		if !said {
			said = true
			fmt.Fprintf(a.err, "coordd: %s; trying for %s\n", oneLine(reason.Error()), client.DefaultPatience)
		}
	}})
}

func (a *app) listCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all known jobs",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.client(client.Config{Patience: -1})
			if err != nil {
				return err
			}
			defer c.Close()
			jobs, err := c.Jobs(cmd.Context())
			if err != nil {
				return a.hint(err)
			}
			if r.output == "json" {
				return writeJSON(a.out, map[string]any{"jobs": jobs})
			}
			return writeTable(a.out, jobRows(jobs))
		},
	}
	r.add(cmd.Flags())
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "status ID",
		Short: "Show a job and its tasks",
		Args:  oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client(client.Config{Patience: -1})
			if err != nil {
				return err
			}
			defer c.Close()
			snap, err := c.Job(cmd.Context(), job.ID(args[0]))
			if err != nil {
				return a.hint(err)
			}
			return a.show(r, snap)
		},
	}
	r.add(cmd.Flags())
	return cmd
}

func (a *app) waitCommand() *cobra.Command {
	var r remote
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "Wait for a job's end",
		Long:  "Waits for a job's end, also through the loss of agents.\n\n" + waitCodes,
		Args:  oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.patient(r)
			if err != nil {
				return err
			}
			defer c.Close()
			return a.wait(cmd.Context(), r, c, job.ID(args[0]), timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait (default for ever)")
	r.add(cmd.Flags())
	return cmd
}

// wait waits for the job's end, shows it, and returns the exit code as an error.
func (a *app) wait(ctx context.Context, r remote, c *client.Client, id job.ID, timeout time.Duration) error {
	parent := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	snap, err := c.Wait(ctx, id, nil)
	switch {
	case err != nil && parent.Err() == nil && ctx.Err() != nil:
		cause := fmt.Errorf("job %s has not ended within %s; it goes on", id, timeout)
		if snap.Status != "" {
			cause = fmt.Errorf("job %s is %s after %s; it goes on", id, snap.Status, timeout)
		}
		return &exitError{code: codeTimeout, cause: cause}
	case err != nil:
		return a.hint(err)
	}
	if err := a.show(r, snap); err != nil {
		return err
	}
	return endCode(snap.Status)
}

func (a *app) cancelCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask a job to stop, without waiting for its end",
		Args:  oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.patient(r)
			if err != nil {
				return err
			}
			defer c.Close()
			snap, err := c.Cancel(cmd.Context(), job.ID(args[0]))
			if err != nil {
				return a.hint(err)
			}
			if r.output == "json" {
				return writeJSON(a.out, snap)
			}
			_, err = fmt.Fprintf(a.out, "job %s is %s\n", snap.ID, snap.Status)
			return err
		},
	}
	r.add(cmd.Flags())
	return cmd
}
