package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// ErrNoSlot: the allocation is not, or no longer, held by the job, or an attempt
// runs in it.
var ErrNoSlot = errors.New("slot is not available")

// ErrStopped: the executor has stopped or is stopping.
var ErrStopped = errors.New("task executor has stopped")

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

// Slot names an allocated slot of an executor.
type Slot string

// TaskExecutor is the face of a worker, as a job master sees it.
type TaskExecutor interface {
	// RequestSlot waits until a slot is free and allocates it to the job; waiting
	// requests are served in order. Errors: ErrStopped, or ctx's.
	RequestSlot(ctx context.Context, id job.ID) (Slot, error)
	// FreeSlot gives a slot back. Freeing one that is not allocated does nothing.
	FreeSlot(slot Slot)
	// Deploy starts an attempt in the slot and returns without waiting for its
	// end, which is reported to master exactly once. Errors (nothing was started
	// and nothing will be reported): ErrNoSlot, ErrStopped, ErrFencingToken for an
	// epoch older than one seen for this job, or ctx's.
	Deploy(ctx context.Context, slot Slot, d Deployment, master JobMaster) error
	// CancelAttempt asks an attempt to stop: TERM to its process group, KILL after
	// the executor's grace. Its end is reported as usual. An unknown attempt is
	// ignored.
	CancelAttempt(ctx context.Context, id AttemptID) error
}

// Deployment is what an executor needs to run an attempt.
type Deployment struct {
	Attempt     AttemptID
	Parallelism int
	Command     []string
	Env         map[string]string
	Dir         string
	// Timeout bounds the attempt; zero means no bound.
	Timeout time.Duration
}

// JobMaster is the face of a job's master, as a worker sees it.
type JobMaster interface {
	// AttemptEnded reports the end of an attempt. It does not block; a master that
	// has stopped, or knows of a newer attempt, ignores it.
	AttemptEnded(end AttemptEnd)
}

// Outcome says how an attempt ended.
type Outcome string

// The outcomes of an attempt.
const (
	// OutcomeFinished: the command exited with code 0.
	OutcomeFinished Outcome = "finished"
	// OutcomeFailed: it exited otherwise, was killed, timed out, or did not start.
	OutcomeFailed Outcome = "failed"
	// OutcomeCanceled: it ended after CancelAttempt or the executor's stop.
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
}
