package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// What an operator's call to Recovery decides upon, besides ErrNoJob and
// ErrNotLeader.
var (
	// ErrNotQuarantined: the job is there, and not in quarantine.
	ErrNotQuarantined = errors.New("job is not in quarantine")
	// ErrBusy: the leader has as many submissions, jobs or bytes under way as it
	// allows. Nothing was stored; ask again later.
	ErrBusy = errors.New("the leader is busy")
)

// Recovery is the dispatcher's face for operators: what the leader found of its
// predecessors, and what is still to be put in order.
type Recovery interface {
	// Recovery returns what is in order and what is not, as of now. It reads nothing
	// from the backend. Errors: ErrNotLeader, or ctx's.
	Recovery(ctx context.Context) (RecoveryReport, error)
	// RetryQuarantined reads a quarantined job once more and runs it if it can be
	// read. Its error says why it still cannot; ErrNoJob, ErrNotQuarantined,
	// ErrNotLeader, or ctx's.
	RetryQuarantined(ctx context.Context, id job.ID) error
	// DropQuarantined gives a quarantined job up: it ends as FAILED, with a result
	// that says so, and is cleaned up like every other. Errors: ErrNoJob,
	// ErrNotQuarantined, ErrNotLeader, or ctx's.
	DropQuarantined(ctx context.Context, id job.ID) error
	// Leftovers returns what stands in the backend and belongs to nothing that
	// lives, and deletes it when remove is set, guarded, in bounded batches. It
	// reads all names of the cluster. Errors: ErrNotLeader, or ctx's.
	Leftovers(ctx context.Context, remove bool) ([]Leftover, error)
}

// RecoveryReport is the state of recovery and clean-up of the term that leads. Its
// JSON is the API's.
type RecoveryReport struct {
	Epoch leader.Epoch `json:"epoch"`
	// Dirty are the jobs that have a result and whose resources are not gone yet,
	// oldest first.
	Dirty []DirtyJob `json:"dirty" nullable:"false"`
	// Quarantine are the jobs that could not be read, by ID.
	Quarantine []QuarantinedJob `json:"quarantine" nullable:"false"`
}

// DirtyJob is a job whose clean-up is under way.
type DirtyJob struct {
	ID         job.ID     `json:"id"`
	Status     job.Status `json:"status"`
	FinishedAt time.Time  `json:"finished_at"`
	// Resources are what is still to be removed, by name.
	Resources []Resource `json:"resources" nullable:"false"`
}

// Resource is one kind of thing that a finished job leaves behind.
type Resource struct {
	// Name says what it is, in one or two lower-case words.
	Name string `json:"name"`
	// Failures counts the failed tries of this leader.
	Failures int `json:"failures"`
	// Error is the newest failure, empty when there was none.
	Error string `json:"error,omitempty"`
	// NextTry is when the next try is due, zero while one is under way.
	NextTry time.Time `json:"next_try,omitzero"`
}

// QuarantinedJob is a job that is kept and not run.
type QuarantinedJob struct {
	ID job.ID `json:"id"`
	// Reason says what could not be read.
	Reason string `json:"reason"`
	// Since is when it was first found so, and SinceEpoch the term that did.
	Since      time.Time    `json:"since"`
	SinceEpoch leader.Epoch `json:"since_epoch"`
}

// Leftover is something in the backend that belongs to nothing that lives.
type Leftover struct {
	// Kind is "progress", "output", "quarantine" or "blob".
	Kind string `json:"kind"`
	// Path is its exact path in the store, or the name of the blob.
	Path string `json:"path"`
	// Reason says why nothing needs it.
	Reason string `json:"reason"`
	// Removed says whether it was deleted by this call.
	Removed bool `json:"removed"`
}
