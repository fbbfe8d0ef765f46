package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coordd/coordd/job"
)

// What a caller decides upon; compare with errors.Is.
var (
	// ErrNoLeader: nodes answered, and none of them knows a leader that is ready.
	ErrNoLeader = errors.New("no leader is known")
	// ErrUnreachable: no node answered.
	ErrUnreachable = errors.New("no coordd answers")
	// ErrNoJob: no job has this ID.
	ErrNoJob = errors.New("no such job")
	// ErrNoTask: the job has no such task, or the task no such subtask.
	ErrNoTask = errors.New("no such task")
	// ErrNoWorker: no worker has this ID.
	ErrNoWorker = errors.New("no such worker")
	// ErrNoLog: no output is kept of this subtask, or not of this attempt, or not all
	// that was still to be read.
	ErrNoLog = errors.New("output is not kept")
	// ErrNotQuarantined: the job is there, and not in quarantine.
	ErrNotQuarantined = errors.New("job is not in quarantine")
	// ErrConflict: the ID belongs to a job with other content.
	ErrConflict = errors.New("this ID belongs to a job with other content")
	// ErrBusy: the leader has as many jobs or submissions as it allows. Nothing was
	// stored.
	ErrBusy = errors.New("the leader is busy")
)

// Error is an answer of a node that is a problem.
type Error struct {
	// Status is the HTTP status and Code the stable code of the problem.
	Status int    `json:"status"`
	Code   string `json:"code"`
	// Detail says what is wrong in one line.
	Detail string `json:"detail"`
	// Problems lists what is wrong with a job file.
	Problems []job.Problem `json:"problems"`
	// Address is the node that answered.
	Address string `json:"-"`
	// RetryAfter is when a busy leader wants to be asked again, zero when it says
	// nothing.
	RetryAfter time.Duration `json:"-"`
}

// Error returns the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s answered with status %d", e.Address, e.Status)
	}
	return e.Detail
}

// Is compares with the errors of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrNoLeader:
		return e.Code == "no_leader" || e.Code == "unconfirmed" || e.Code == "disconnected"
	case ErrNoJob:
		return e.Code == "no_such_job"
	case ErrNoTask:
		return e.Code == "no_such_task"
	case ErrNoWorker:
		return e.Code == "no_such_worker"
	case ErrNoLog:
		return e.Code == "no_log"
	case ErrNotQuarantined:
		return e.Code == "not_quarantined"
	case ErrConflict:
		return e.Code == "job_conflict"
	case ErrBusy:
		return e.Code == "busy"
	}
	return false
}

// temporary reports whether the cluster may answer otherwise in a moment.
func temporary(err error) bool {
	if answer, ok := errors.AsType[*Error](err); ok {
		return answer.Status == http.StatusServiceUnavailable || answer.Status == http.StatusTooManyRequests
	}
	return errors.Is(err, ErrNoLeader) || errors.Is(err, ErrUnreachable)
}

// roundError says that no node gave an answer to go by.
type roundError struct {
	targets []target
	last    error
	answer  *Error
}

func (e *roundError) Error() string {
	switch {
	case e.answer != nil:
		return e.answer.Error()
	case len(e.targets) == 0:
		return ErrNoLeader.Error()
	}
	addresses := make([]string, len(e.targets))
	for i, t := range e.targets {
		addresses[i] = t.address
	}
	return fmt.Sprintf("no coordd answers at %s: %v", strings.Join(addresses, ", "), e.last)
}

func (e *roundError) Unwrap() []error {
	switch {
	case e.answer != nil:
		return []error{e.answer}
	case len(e.targets) == 0:
		return []error{ErrNoLeader}
	}
	return []error{ErrUnreachable, e.last}
}
