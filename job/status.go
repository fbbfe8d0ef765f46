package job

// Status is the state of a job. The names are Flink's.
type Status string

// The statuses of a job.
const (
	StatusInitializing Status = "INITIALIZING"
	StatusCreated      Status = "CREATED"
	StatusRunning      Status = "RUNNING"
	StatusFailing      Status = "FAILING"
	StatusFailed       Status = "FAILED"
	StatusCancelling   Status = "CANCELLING"
	StatusCanceled     Status = "CANCELED"
	StatusFinished     Status = "FINISHED"
	StatusRestarting   Status = "RESTARTING"
	StatusSuspended    Status = "SUSPENDED"
	StatusReconciling  Status = "RECONCILING"
)

// Terminal reports whether the status is final everywhere: FAILED, CANCELED or
// FINISHED. SUSPENDED ends a job for one leader only.
func (s Status) Terminal() bool {
	return s == StatusFailed || s == StatusCanceled || s == StatusFinished
}

// SubtaskStatus is the state of a subtask's newest attempt. The names are
// Flink's execution states.
type SubtaskStatus string

// The statuses of a subtask.
const (
	SubtaskCreated   SubtaskStatus = "CREATED"
	SubtaskScheduled SubtaskStatus = "SCHEDULED"
	SubtaskDeploying SubtaskStatus = "DEPLOYING"
	SubtaskRunning   SubtaskStatus = "RUNNING"
	SubtaskFinished  SubtaskStatus = "FINISHED"
	SubtaskCanceling SubtaskStatus = "CANCELING"
	SubtaskCanceled  SubtaskStatus = "CANCELED"
	SubtaskFailed    SubtaskStatus = "FAILED"
)
