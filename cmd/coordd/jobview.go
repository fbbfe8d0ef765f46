package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/job"
)

// jobRows returns a table of jobs.
func jobRows(jobs []job.Snapshot) [][]string {
	rows := [][]string{{"ID", "NAME", "STATUS", "EPOCH", "SUBMITTED", "TOOK", "SUBTASKS"}}
	for _, j := range jobs {
		finished, all := 0, 0
		for _, t := range j.Tasks {
			finished, all = finished+count(t, job.SubtaskFinished), all+len(t.Subtasks)
		}
		rows = append(rows, []string{
			string(j.ID), j.Name, string(j.Status), strconv.FormatInt(j.Epoch, 10),
			j.SubmittedAt.Local().Format(time.DateTime), took(j), fmt.Sprintf("%d/%d", finished, all),
		})
	}
	return rows
}

func took(j job.Snapshot) string {
	if j.StartedAt.IsZero() {
		return "-"
	}
	end := j.FinishedAt
	if end.IsZero() {
		end = time.Now()
	}
	return age(end.Sub(j.StartedAt))
}

func count(t job.TaskSnapshot, s job.SubtaskStatus) int {
	n := 0
	for _, sub := range t.Subtasks {
		if sub.Status == s {
			n++
		}
	}
	return n
}

// show prints a job with its tasks, its errors, and what its last tasks wrote.
func (a *app) show(r remote, j job.Snapshot) error {
	if r.output == "json" {
		return writeJSON(a.out, j)
	}
	if err := writeTable(a.out, jobRows([]job.Snapshot{j})); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if err := writeTable(a.out, taskRows(j)); err != nil {
		return err
	}
	if j.Error != "" {
		fmt.Fprintf(a.out, "\nerror: %s\n", j.Error)
	}
	for _, t := range j.Tasks {
		for _, sub := range t.Subtasks {
			if sub.Output == "" {
				continue
			}
			fmt.Fprintf(a.out, "\noutput of %s:\n%s\n", subtaskName(t, sub), strings.TrimRight(sub.Output, "\n"))
		}
	}
	return nil
}

// taskRows returns a table of a job's tasks.
func taskRows(j job.Snapshot) [][]string {
	rows := [][]string{{"TASK", "FINISHED", "STATUS", "ATTEMPTS", "EPOCHS"}}
	for _, t := range j.Tasks {
		attempts, newest, oldest := 0, int64(0), int64(0)
		for _, sub := range t.Subtasks {
			attempts += sub.Attempt
			newest = max(newest, sub.Epoch)
			if sub.Epoch > 0 && (oldest == 0 || sub.Epoch < oldest) {
				oldest = sub.Epoch
			}
		}
		epochs := "-"
		switch {
		case newest != oldest:
			epochs = fmt.Sprintf("%d to %d", oldest, newest)
		case newest > 0:
			epochs = strconv.FormatInt(newest, 10)
		}
		rows = append(rows, []string{
			t.ID, fmt.Sprintf("%d/%d", count(t, job.SubtaskFinished), len(t.Subtasks)),
			taskStatus(t), strconv.Itoa(attempts), epochs,
		})
	}
	return rows
}

// taskStatus sums a task's subtasks up: the most telling status of any.
func taskStatus(t job.TaskSnapshot) string {
	for _, s := range []job.SubtaskStatus{
		job.SubtaskFailed, job.SubtaskCanceling, job.SubtaskCanceled, job.SubtaskRunning,
		job.SubtaskDeploying, job.SubtaskScheduled, job.SubtaskCreated,
	} {
		if count(t, s) > 0 {
			return string(s)
		}
	}
	return string(job.SubtaskFinished)
}

func subtaskName(t job.TaskSnapshot, sub job.SubtaskSnapshot) string {
	if len(t.Subtasks) == 1 {
		return t.ID
	}
	return fmt.Sprintf("%s[%d]", t.ID, sub.Index)
}
