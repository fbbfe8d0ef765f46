package coordinator

import (
	"context"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/txn"
)

// Token is a term as the fencing token of everything that acts in it.
type Token struct {
	// SessionID and Epoch name the term.
	SessionID leader.SessionID
	Epoch     leader.Epoch
	// Guard goes into every read and write of the term.
	Guard leader.Guard
}

// JobStore is what the coordinator needs of the store of accepted graphs;
// *jobstore.Store is one. All methods fail with an error that wraps
// leader.ErrFenced once the guard's term is over.
type JobStore interface {
	// Put stores an accepted job durably. Errors: jobstore.ErrExists when a graph
	// with this ID is there, jobstore.ErrInvalidID, txn.ErrTooLarge,
	// txn.ErrUnknownOutcome, or ctx's.
	Put(ctx context.Context, g leader.Guard, j jobstore.Job) error
	// Get reads one job. Errors: jobstore.ErrNotFound, jobstore.ErrNewerFormat, or
	// ctx's; any other concerns this job alone.
	Get(ctx context.Context, g leader.Guard, id job.ID) (jobstore.Job, error)
	// IDs lists all accepted jobs, in no particular order.
	IDs(ctx context.Context, g leader.Guard) ([]job.ID, error)
	// DeleteOutputs removes the outputs of a job's tasks. It may be repeated.
	DeleteOutputs(ctx context.Context, g leader.Guard, id job.ID) error
	// DeleteBlob removes what of a job is kept outside the backend. It may be
	// repeated.
	DeleteBlob(ctx context.Context, g leader.Guard, id job.ID) error
	QuarantineRecords
}

// QuarantineRecords is the part of JobStore that says why jobs are kept and not
// run. Writes of one ID's record do not overlap.
type QuarantineRecords interface {
	// Quarantined returns all records. What is wrong with one stands in its entry.
	Quarantined(ctx context.Context, g leader.Guard) ([]jobstore.QuarantineEntry, error)
	// PutQuarantine stores a record in place of the one that is there.
	PutQuarantine(ctx context.Context, g leader.Guard, q jobstore.Quarantine) error
	// DeleteQuarantine removes a record, if there is one.
	DeleteQuarantine(ctx context.Context, g leader.Guard, id job.ID) error
}

var _ JobStore = (*jobstore.Store)(nil)

// ResultStore is what the coordinator needs of the store of results;
// *resultstore.Store is one. All methods fail with an error that wraps
// leader.ErrFenced once the guard's term is over. Calls that write the result of
// one ID do not overlap.
type ResultStore interface {
	// CreateDirty records the one result of a job. Errors: resultstore.ErrExists
	// when the job has a result already, txn.ErrTooLarge, txn.ErrUnknownOutcome, or
	// ctx's.
	CreateDirty(ctx context.Context, g leader.Guard, r job.Result) error
	// MarkClean turns a dirty result into a clean one and applies also, all in one
	// transaction. A result that is clean already is no error.
	MarkClean(ctx context.Context, g leader.Guard, id job.ID, also ...txn.Op) error
	// Dirty returns all dirty results. What is wrong with one of them stands in
	// its entry.
	Dirty(ctx context.Context, g leader.Guard) ([]resultstore.Entry, error)
	// Clean returns all clean results that are retained, as Dirty does.
	Clean(ctx context.Context, g leader.Guard) ([]resultstore.Entry, error)
	// Get returns a job's result, and whether it is clean. Errors:
	// resultstore.ErrNoResult, and others about this result alone.
	Get(ctx context.Context, g leader.Guard, id job.ID) (res job.Result, clean bool, err error)
	ResultRemover
}

// ResultRemover is the part of ResultStore that gives results up.
type ResultRemover interface {
	// Replace is CreateDirty, and takes the place of a result that cannot be read.
	Replace(ctx context.Context, g leader.Guard, r job.Result) error
	// Forget deletes clean results, and never a dirty one. It may be repeated.
	Forget(ctx context.Context, g leader.Guard, ids ...job.ID) error
}

var _ ResultStore = (*resultstore.Store)(nil)

// Assignment is a job to be run in one term.
type Assignment struct {
	// Guard, Epoch and SessionID are the term's; every write for the job carries
	// the guard.
	Guard     leader.Guard
	Epoch     leader.Epoch
	SessionID leader.SessionID
	// Job is the accepted graph.
	Job jobstore.Job
	// Recovered says that the graph was there before this submission or this
	// term, so that there may be progress to resume from.
	Recovered bool
}

// JobRunnerFactory makes the runners of jobs.
type JobRunnerFactory interface {
	// NewJobRunner returns a runner that has started nothing. Its error is about
	// this job alone: a submitted job ends FAILED with it, a recovered one is put
	// aside for the next leader. It may be called by many goroutines at once, and must
	// not block: only some of the recovered jobs are started at a time.
	NewJobRunner(a Assignment) (JobRunner, error)
}

// JobRunner is one job's life in one term.
type JobRunner interface {
	// Run is called once, at the most. It runs the job and returns its terminal
	// snapshot. When ctx ends it stops locally, leaves store and workers as they
	// are, and returns ctx's error well within the elector's stop grace. Any other error says that the job cannot go on
	// in this term though it has not failed; it is put aside for the next leader.
	// When Run has returned, all that it started has ended.
	Run(ctx context.Context) (job.Snapshot, error)
	// Snapshot returns the job as it is now, at any time, without waiting.
	Snapshot() job.Snapshot
	// Cancel asks the job to stop and does not wait for it. It may come at any
	// time, also before and after Run, and more than once.
	Cancel()
}

// Cleaner removes what a finished job left outside the stores.
type Cleaner interface {
	// Name says what is cleaned, in one or two lower-case words, for logs and
	// metrics.
	Name() string
	// Clean removes everything of the job, and succeeds when there is nothing. It
	// is called again after an error, also by another leader, and returns soon
	// after ctx ended. It may be called for several jobs at once.
	Clean(ctx context.Context, id job.ID) error
}

// DispatcherFactory makes the dispatcher of a term once recovery is complete.
type DispatcherFactory interface {
	// NewDispatcher returns a dispatcher that has started nothing. Its error ends
	// the term.
	NewDispatcher(t Token, r Recovery) (Service, error)
}

// Service is a dispatcher as the leader process runs it.
type Service interface {
	gateway.Dispatcher
	// Run serves until ctx ends, and returns when all that it started has ended.
	// Returning earlier, with or without an error, ends the term: with
	// ErrDispatcherEnded, or with the error itself when that is ErrJobDone.
	Run(ctx context.Context) error
	// Started is closed when clean-ups and recovered jobs were started and the
	// gateway answers.
	Started() <-chan struct{}
}

// term is what the leader process needs of *election.Term.
type term interface {
	SessionID() leader.SessionID
	Epoch() leader.Epoch
	Guard() leader.Guard
	SetPhase(p leader.Phase)
	Publish(ctx context.Context, info leader.Info) error
}
