package gateway

import (
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// AttemptID names one try of one subtask. A later attempt of a subtask has a
// larger Epoch, or the same and a larger N. N counts from 1 over all terms, but
// not what a term did not live to record: a new term goes on from the failures
// that were, so it may use an N again, under its own Epoch.
type AttemptID struct {
	Job     job.ID
	Task    string
	Subtask int
	Epoch   leader.Epoch
	N       int
}

// Slot names a slot that a worker has allocated to a job. A worker never uses a name
// again, not even after a restart.
type Slot string

// Deployment is what a worker needs to run an attempt.
type Deployment struct {
	Attempt AttemptID
	// Slot is where it runs: one that the worker has offered to the job, and that is
	// empty. It stays the job's when the attempt has ended.
	Slot        Slot
	Parallelism int
	// Command is what runs, or Func the name of a function that the worker knows.
	Command []string
	Func    string
	Env     map[string]string
	Dir     string
	// Timeout bounds the attempt; zero means no bound.
	Timeout time.Duration
	// Inputs are the results of the subtasks that this one needs; those without a
	// result are absent.
	Inputs []Input
}

// Input is the result of a subtask, on its way to one that needs it.
type Input struct {
	Task    string
	Subtask int
	Data    []byte
}

// Refusal says why a deployment was not started; nothing will be reported of it.
type Refusal struct {
	Attempt AttemptID
	// Err is ErrNoSlot, ErrStopped, ErrFencingToken for an epoch older than one seen
	// for this job, or another.
	Err error
}

// Outcome says how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	// OutcomeFinished: the command exited with code 0, the function returned nil.
	OutcomeFinished Outcome = "finished"
	// OutcomeFailed: it ended otherwise, was killed, timed out, or did not start.
	OutcomeFailed Outcome = "failed"
	// OutcomeCanceled: it ended after CancelAttempts or the worker's stop.
	OutcomeCanceled Outcome = "canceled"
)

// AttemptEnd is the report of an attempt's end.
type AttemptEnd struct {
	Attempt AttemptID
	Outcome Outcome
	// ExitCode is nil when the command did not start or was ended by a signal.
	ExitCode *int
	// Output is the tail of stdout and stderr.
	Output string
	// Reason says in one line why the attempt did not finish.
	Reason string
	// Result is what the attempt wrote to the file named by COORDD_OUTPUT, at most
	// job.MaxResult bytes; nil when it wrote nothing, or did not finish.
	Result []byte
}
