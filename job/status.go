package job

import "slices"

// Status is the state of a job. The names are Flink's; CanBecome says which
// follows which.
type Status string

// The statuses of a job.
const (
	// StatusInitializing: accepted, its master does not run yet.
	StatusInitializing Status = "INITIALIZING"
	// StatusCreated: its master runs, no task has been scheduled.
	StatusCreated Status = "CREATED"
	// StatusRunning: tasks are scheduled, run, or have finished.
	StatusRunning Status = "RUNNING"
	// StatusFailing: a task has failed for good, the others are being stopped.
	StatusFailing Status = "FAILING"
	// StatusFailed: ended, and at least one task has failed. Terminal.
	StatusFailed Status = "FAILED"
	// StatusCancelling: somebody asked for its end, tasks are being stopped.
	StatusCancelling Status = "CANCELLING"
	// StatusCanceled: ended as somebody asked. Terminal.
	StatusCanceled Status = "CANCELED"
	// StatusFinished: ended, and every task has finished. Terminal.
	StatusFinished Status = "FINISHED"
	// StatusRestarting: a task has failed and waits for its next attempt.
	StatusRestarting Status = "RESTARTING"
	// StatusSuspended: this leader has stopped following the job, because it lost
	// leadership or stops. The next leader begins again at INITIALIZING.
	StatusSuspended Status = "SUSPENDED"
	// StatusReconciling: recovered by a new leader, which still learns from the
	// record and from workers how far the job is.
	StatusReconciling Status = "RECONCILING"
)

// Terminal reports whether the status is final everywhere: FAILED, CANCELED or
// FINISHED. SUSPENDED ends a job for one leader only.
func (s Status) Terminal() bool {
	return s == StatusFailed || s == StatusCanceled || s == StatusFinished
}

// CanBecome reports whether next may directly follow s. Nothing follows a
// terminal status or SUSPENDED, and no status follows itself. The package's
// documentation shows the table as a diagram.
func (s Status) CanBecome(next Status) bool { return slices.Contains(s.successors(), next) }

// successors is the table of transitions.
func (s Status) successors() []Status {
	switch s {
	case StatusInitializing:
		// A job whose master cannot be made fails at once, and one that is
		// cancelled before it has a master has nothing to stop.
		return []Status{
			StatusCreated, StatusReconciling, StatusCancelling, StatusFailed, StatusCanceled, StatusSuspended,
		}
	case StatusCreated:
		return []Status{StatusRunning, StatusFailing, StatusCancelling, StatusSuspended}
	case StatusReconciling:
		// The record may say that the predecessor had everything finished, or was
		// about to stop the job.
		return []Status{
			StatusCreated, StatusRunning, StatusFailing, StatusCancelling, StatusFinished, StatusSuspended,
		}
	case StatusRunning:
		return []Status{StatusFinished, StatusRestarting, StatusFailing, StatusCancelling, StatusSuspended}
	case StatusRestarting:
		return []Status{StatusCreated, StatusRunning, StatusFailing, StatusCancelling, StatusSuspended}
	case StatusFailing:
		return []Status{StatusFailed, StatusRestarting, StatusCancelling, StatusSuspended}
	case StatusCancelling:
		// A job that cannot be cancelled in order fails.
		return []Status{StatusCanceled, StatusFailing, StatusFailed, StatusSuspended}
	default:
		return nil
	}
}

// SubtaskStatus is the state of a subtask's newest attempt. The names are
// Flink's execution states. A further attempt begins again at CREATED.
type SubtaskStatus string

// The statuses of a subtask.
const (
	// SubtaskCreated: what it needs has not finished.
	SubtaskCreated SubtaskStatus = "CREATED"
	// SubtaskScheduled: waits for a slot.
	SubtaskScheduled SubtaskStatus = "SCHEDULED"
	// SubtaskDeploying: has a slot, its start has been asked for.
	SubtaskDeploying SubtaskStatus = "DEPLOYING"
	// SubtaskRunning: its command runs.
	SubtaskRunning SubtaskStatus = "RUNNING"
	// SubtaskFinished: its command has exited with 0. Terminal.
	SubtaskFinished SubtaskStatus = "FINISHED"
	// SubtaskCanceling: its command has been told to stop.
	SubtaskCanceling SubtaskStatus = "CANCELING"
	// SubtaskCanceled: its command has stopped because it was told to, or never
	// started. Terminal.
	SubtaskCanceled SubtaskStatus = "CANCELED"
	// SubtaskFailed: its command has ended otherwise, or could not be started.
	// Terminal for the attempt.
	SubtaskFailed SubtaskStatus = "FAILED"
)

// Terminal reports whether the attempt has ended: FINISHED, CANCELED or FAILED.
func (s SubtaskStatus) Terminal() bool {
	return s == SubtaskFinished || s == SubtaskCanceled || s == SubtaskFailed
}

// CanBecome reports whether next may directly follow s within one attempt.
// Nothing follows a terminal status, and no status follows itself.
func (s SubtaskStatus) CanBecome(next SubtaskStatus) bool {
	return slices.Contains(s.successors(), next)
}

// successors is the table of transitions.
func (s SubtaskStatus) successors() []SubtaskStatus {
	switch s {
	case SubtaskCreated:
		return []SubtaskStatus{SubtaskScheduled, SubtaskCanceled, SubtaskFailed}
	case SubtaskScheduled:
		return []SubtaskStatus{SubtaskDeploying, SubtaskCanceled, SubtaskFailed}
	case SubtaskDeploying:
		// The report of a short command's end may arrive before that of its start,
		// and a worker that stops cancels by itself.
		return []SubtaskStatus{
			SubtaskRunning, SubtaskFinished, SubtaskCanceling, SubtaskCanceled, SubtaskFailed,
		}
	case SubtaskRunning:
		return []SubtaskStatus{SubtaskFinished, SubtaskCanceling, SubtaskCanceled, SubtaskFailed}
	case SubtaskCanceling:
		// Whatever ended the command, it ended after it was told to: CANCELED. It
		// is FAILED when nobody can tell whether it has ended.
		return []SubtaskStatus{SubtaskCanceled, SubtaskFailed}
	default:
		return nil
	}
}
