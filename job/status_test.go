package job_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/coordd/coordd/job"
)

// TestStatusTransitions goes through the whole matrix, written here a second
// time: a changed transition must be meant.
func TestStatusTransitions(t *testing.T) {
	allowed := map[job.Status]string{
		job.StatusInitializing: "CREATED RECONCILING CANCELLING FAILED CANCELED SUSPENDED",
		job.StatusCreated:      "RUNNING FAILING CANCELLING SUSPENDED",
		job.StatusReconciling:  "CREATED RUNNING FAILING CANCELLING FINISHED SUSPENDED",
		job.StatusRunning:      "FINISHED RESTARTING FAILING CANCELLING SUSPENDED",
		job.StatusRestarting:   "CREATED RUNNING FAILING CANCELLING SUSPENDED",
		job.StatusFailing:      "FAILED RESTARTING CANCELLING SUSPENDED",
		job.StatusCancelling:   "CANCELED FAILING FAILED SUSPENDED",
		job.StatusSuspended:    "",
		job.StatusFailed:       "",
		job.StatusCanceled:     "",
		job.StatusFinished:     "",
	}
	if len(allowed) != 11 {
		t.Fatalf("the table has %d statuses, want 11", len(allowed))
	}
	for from, list := range allowed {
		for to := range allowed {
			want := slices.Contains(strings.Fields(list), string(to))
			if got := from.CanBecome(to); got != want {
				t.Errorf("%s.CanBecome(%s) = %v, want %v", from, to, got, want)
			}
		}
		if want := list == "" && from != job.StatusSuspended; from.Terminal() != want {
			t.Errorf("%s.Terminal() = %v, want %v", from, from.Terminal(), want)
		}
		if from.CanBecome("") || job.Status("").CanBecome(from) {
			t.Errorf("the empty status takes part in a transition with %s", from)
		}
	}
}

// TestSubtaskStatusTransitions is the same for the attempts of a subtask.
func TestSubtaskStatusTransitions(t *testing.T) {
	allowed := map[job.SubtaskStatus]string{
		job.SubtaskCreated:   "SCHEDULED CANCELED FAILED",
		job.SubtaskScheduled: "DEPLOYING CANCELED FAILED",
		job.SubtaskDeploying: "RUNNING FINISHED CANCELING CANCELED FAILED",
		job.SubtaskRunning:   "FINISHED CANCELING CANCELED FAILED",
		job.SubtaskCanceling: "CANCELED FAILED",
		job.SubtaskFinished:  "",
		job.SubtaskCanceled:  "",
		job.SubtaskFailed:    "",
	}
	for from, list := range allowed {
		for to := range allowed {
			want := slices.Contains(strings.Fields(list), string(to))
			if got := from.CanBecome(to); got != want {
				t.Errorf("%s.CanBecome(%s) = %v, want %v", from, to, got, want)
			}
		}
		if want := list == ""; from.Terminal() != want {
			t.Errorf("%s.Terminal() = %v, want %v", from, from.Terminal(), want)
		}
	}
}
