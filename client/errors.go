package client

import (
	"errors"
	"fmt"
	"strings"

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
	// ErrConflict: the ID belongs to a job with other content.
	ErrConflict = errors.New("this ID belongs to a job with other content")
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
		return e.Code == "no_leader" || e.Code == "disconnected"
	case ErrNoJob:
		return e.Code == "no_such_job"
	case ErrConflict:
		return e.Code == "job_conflict"
	}
	return false
}

// roundError says that no node gave an answer to go by.
type roundError struct {
	addresses []string
	last      error
	answer    *Error
}

func (e *roundError) Error() string {
	if e.answer != nil {
		return e.answer.Error()
	}
	return fmt.Sprintf("no coordd answers at %s: %v", strings.Join(e.addresses, ", "), e.last)
}

func (e *roundError) Unwrap() []error {
	if e.answer != nil {
		return []error{e.answer}
	}
	return []error{ErrUnreachable, e.last}
}
