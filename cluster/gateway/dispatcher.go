package gateway

import (
	"context"
	"errors"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc"
)

// What a dispatcher's caller decides upon; compare with errors.Is.
var (
	// ErrNoJob: no job has this ID.
	ErrNoJob = errors.New("no such job")
	// ErrConflict: the ID belongs to a job with another content.
	ErrConflict = errors.New("this ID belongs to a job with other content")
	// ErrTooLarge: the graph exceeds what can be stored, or a limit of the leader.
	ErrTooLarge = errors.New("job is too large")
	// ErrSingleJob: the cluster runs one job, which its participants bring, and takes
	// no other.
	ErrSingleJob = errors.New("this cluster runs one job of its own")
	// ErrNotLeader: the callee does not lead, or has stopped leading. The caller
	// should look for the leader and ask again; a submission is idempotent.
	ErrNotLeader = errors.New("this coordinator does not lead")
	// ErrFencingToken: the call carries the token of another term.
	ErrFencingToken = rpc.ErrFencingToken
)

// Dispatcher is the face of the component that accepts and runs jobs.
type Dispatcher interface {
	// Submit accepts a job durably: when it returns nil the job survives any
	// crash. created is false when a job with this ID and the same content was
	// there already, running or finished; nothing is run again then. Errors:
	// *job.InvalidError, ErrConflict, ErrTooLarge, ErrSingleJob, ErrBusy, ErrNotLeader, or ctx's
	// (the job may then have been accepted; submit again to find out).
	Submit(ctx context.Context, s Submission) (snap job.Snapshot, created bool, err error)
	// Jobs returns all known jobs, running and retained, by submission time.
	// Errors: ErrNotLeader, or ctx's.
	Jobs(ctx context.Context) ([]job.Snapshot, error)
	// Job returns one job. Errors: ErrNoJob, ErrNotLeader, or ctx's.
	Job(ctx context.Context, id job.ID) (job.Snapshot, error)
	// Cancel asks a job to stop and returns without waiting for its end.
	// Cancelling a job that has ended changes nothing and is no error. Errors:
	// ErrNoJob, ErrNotLeader, or ctx's.
	Cancel(ctx context.Context, id job.ID) (job.Snapshot, error)
}

// Submission is a job on its way in.
type Submission struct {
	// ID may be empty; the caller must then choose a random one before sending,
	// so that sending again after a lost answer does not run the job twice.
	ID    job.ID
	Graph job.Graph
}
