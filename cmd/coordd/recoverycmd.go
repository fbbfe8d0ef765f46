package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func (a *app) recoveryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "See what is still to be put in order, and do it",
		Long: "Shows what the leader found of its predecessors and has still to put in order: jobs\n" +
			"that have ended and still leave something behind, jobs that cannot be read, and\n" +
			"what is stored and belongs to no job.",
	}
	asGroup(cmd)
	cmd.AddCommand(a.recoveryStatusCommand(), a.quarantineCommand(), a.gcCommand())
	return cmd
}

func (a *app) recoveryStatusCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show clean-ups that are not done, and jobs in quarantine",
		Long: "Shows the jobs that have ended and still leave something behind, with what that is,\n" +
			"how often it could not be removed and when it is tried again; and the jobs that\n" +
			"cannot be read and are kept in quarantine.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := a.report(cmd.Context(), r)
			if err != nil {
				return err
			}
			if r.output == "json" {
				return writeJSON(a.out, report)
			}
			return a.showReport(report)
		},
	}
	r.add(cmd.Flags())
	return cmd
}

// report asks for the leader's report once.
func (a *app) report(ctx context.Context, r remote) (gateway.RecoveryReport, error) {
	c, err := r.client(client.Config{Patience: -1})
	if err != nil {
		return gateway.RecoveryReport{}, err
	}
	defer c.Close()
	report, err := c.Recovery(ctx)
	if err != nil {
		return gateway.RecoveryReport{}, a.hint(err)
	}
	return report, nil
}

func (a *app) showReport(report gateway.RecoveryReport) error {
	_, err := fmt.Fprintf(a.out, "epoch %d: %s to clean up after, %d in quarantine\n",
		report.Epoch, plural(len(report.Dirty), "job"), len(report.Quarantine))
	if err != nil {
		return err
	}
	if err := a.showDirty(report.Dirty); err != nil {
		return err
	}
	return a.showQuarantine(report.Quarantine)
}

// showDirty prints a table of what is to be removed, and below it why it could
// not be: an error may be longer than a line.
func (a *app) showDirty(jobs []gateway.DirtyJob) error {
	if len(jobs) == 0 {
		return nil
	}
	rows := [][]string{{"JOB", "STATUS", "RESOURCE", "FAILURES", "NEXT TRY"}}
	var failures [][2]string
	for _, j := range jobs {
		for _, res := range j.Resources {
			next := "-"
			if !res.NextTry.IsZero() {
				next = "in " + age(time.Until(res.NextTry))
			}
			rows = append(rows, []string{string(j.ID), string(j.Status), res.Name, strconv.Itoa(res.Failures), next})
			if res.Error != "" {
				failures = append(failures, [2]string{fmt.Sprintf("%s, %s", j.ID, res.Name), res.Error})
			}
		}
	}
	return a.tableAndNotes(rows, failures)
}

func (a *app) showQuarantine(jobs []gateway.QuarantinedJob) error {
	if len(jobs) == 0 {
		return nil
	}
	rows := [][]string{{"QUARANTINED", "SINCE", "EPOCH"}}
	var reasons [][2]string
	for _, j := range jobs {
		rows = append(rows, []string{string(j.ID), age(time.Since(j.Since)) + " ago", j.SinceEpoch.String()})
		reasons = append(reasons, [2]string{string(j.ID), j.Reason})
	}
	return a.tableAndNotes(rows, reasons)
}

// tableAndNotes prints a table, and paragraphs about some of its rows.
func (a *app) tableAndNotes(rows [][]string, notes [][2]string) error {
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	if err := writeTable(a.out, rows); err != nil {
		return err
	}
	for _, n := range notes {
		if _, err := fmt.Fprintf(a.out, "\n%s:\n  %s\n", n[0], oneLine(n[1])); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) quarantineCommand() *cobra.Command {
	var r remote
	var retry, drop string
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "List the jobs in quarantine, try one again, or give one up",
		Long: "Lists the jobs that cannot be read, with the reason. They are kept as they are, and\n" +
			"every new leader tries them again.\n\n" +
			"--retry has one tried now, for example after what is stored of it was repaired. It\n" +
			"fails with the reason when the job still cannot be read. --drop gives one up: it\n" +
			"ends as FAILED, and what is stored of it is deleted.",
		Example: "  coordd recovery quarantine\n" +
			"  coordd recovery quarantine --retry etl-2026-11-21",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if retry != "" && drop != "" {
				return errors.New("--retry and --drop exclude each other; give one of them")
			}
			switch {
			case retry != "":
				return a.order(cmd.Context(), r, job.ID(retry), (*client.Client).RetryQuarantined, "was read and is")
			case drop != "":
				return a.order(cmd.Context(), r, job.ID(drop), (*client.Client).DropQuarantined, "was given up and is")
			}
			return a.listQuarantine(cmd.Context(), r)
		},
	}
	r.add(cmd.Flags())
	cmd.Flags().StringVar(&retry, "retry", "", "`ID` of a job to try again")
	cmd.Flags().StringVar(&drop, "drop", "", "`ID` of a job to give up")
	return cmd
}

func (a *app) listQuarantine(ctx context.Context, r remote) error {
	report, err := a.report(ctx, r)
	switch {
	case err != nil:
		return err
	case r.output == "json":
		return writeJSON(a.out, map[string]any{"quarantine": report.Quarantine})
	case len(report.Quarantine) == 0:
		_, err := fmt.Fprintln(a.out, "no job is in quarantine")
		return err
	}
	return a.showQuarantine(report.Quarantine)
}

// order has the leader do something about a job in quarantine, and shows the job.
func (a *app) order(ctx context.Context, r remote, id job.ID,
	do func(*client.Client, context.Context, job.ID) (job.Snapshot, error), what string,
) error {
	c, err := a.patient(r)
	if err != nil {
		return err
	}
	defer c.Close()
	snap, err := do(c, ctx, id)
	if err != nil {
		return a.hint(err)
	}
	if r.output == "json" {
		return writeJSON(a.out, snap)
	}
	_, err = fmt.Fprintf(a.out, "job %s %s %s\n", snap.ID, what, snap.Status)
	return err
}

func (a *app) gcCommand() *cobra.Command {
	var r remote
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete what is stored and belongs to no job",
		Long: "Lists what is stored and belongs to no job, as crashes and other hands can leave it,\n" +
			"and deletes it: nodes by their path below the cluster's, blobs by their name. With\n" +
			"--dry-run it deletes nothing.\n\n" +
			"It may run at any time. The leader deletes nothing of a job that is being accepted,\n" +
			"and no blob that is less than an hour old.",
		Example: "  coordd recovery gc --dry-run",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.patient(r)
			if err != nil {
				return err
			}
			defer c.Close()
			found, err := c.Leftovers(cmd.Context(), !dryRun)
			if err != nil {
				return a.hint(err)
			}
			if r.output == "json" {
				return writeJSON(a.out, map[string]any{"leftovers": found})
			}
			return a.showLeftovers(found, dryRun)
		},
	}
	r.add(cmd.Flags())
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "delete nothing")
	return cmd
}

func (a *app) showLeftovers(found []gateway.Leftover, dryRun bool) error {
	if len(found) > 0 {
		rows := [][]string{{"KIND", "PATH"}}
		for _, l := range found {
			rows = append(rows, []string{l.Kind, l.Path})
		}
		if err := writeTable(a.out, append(rows, []string{})); err != nil {
			return err
		}
	}
	var err error
	switch {
	case len(found) == 0:
		_, err = fmt.Fprintln(a.out, "no leftovers")
	case dryRun:
		_, err = fmt.Fprintf(a.out, "%s; without --dry-run they are deleted\n", plural(len(found), "leftover"))
	default:
		_, err = fmt.Fprintf(a.out, "%s deleted\n", plural(len(found), "leftover"))
	}
	return err
}
