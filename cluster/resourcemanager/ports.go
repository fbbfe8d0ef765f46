package resourcemanager

import (
	"context"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
)

// Network reaches the processes of workers and job masters. All methods may be called by
// many goroutines at once and return soon after ctx ended. Gateways carry the term, and
// every call on them fails once it is not the callee's. close is called once, when no
// call on the gateway is under way that is not to be broken off; it does not block.
type Network interface {
	// TaskExecutor connects to a worker.
	TaskExecutor(ctx context.Context, w gateway.Worker, term leader.TermID) (e gateway.TaskExecutor, closeIt func(), err error)
	// JobMaster connects to a job's master.
	JobMaster(ctx context.Context, at gateway.MasterLocation, term leader.TermID) (m gateway.JobMaster, closeIt func(), err error)
	// Probe asks whether somebody listens at an address. Its error wraps
	// gateway.ErrRefused when the process that did is gone; any other says nothing.
	Probe(ctx context.Context, address string) error
}

// Leaders is what is known of the dispatcher's leader, as retrieved from the backend.
type Leaders interface {
	// Latest returns what is known now, and a channel that is closed when it changes.
	// It does not block.
	Latest() (retrieval.State, <-chan struct{})
}

// Driver is the backend's guarded storage; ha.Store is one. Paths are relative, without
// a leading slash.
type Driver interface {
	// Get returns the data at path. Errors: txn.ErrNotFound, leader.ErrFenced, or
	// ctx's. It blocks while the backend is away.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// List returns the names directly under path in no particular order, none when the
	// path does not exist. Errors: leader.ErrFenced, or ctx's.
	List(ctx context.Context, g leader.Guard, path string) ([]string, error)
	// Commit applies ops all together or not at all, while the guard's term leads.
	// Errors: txn.ErrExists, txn.ErrNotFound, leader.ErrFenced, or
	// txn.ErrUnknownOutcome when ctx or the session ended on the way.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// Term names the term of a Manager, with the proof that it writes with.
type Term struct {
	ID    leader.TermID
	Guard leader.Guard
}

// Hooks are told of what happens, for metrics. They are called by the goroutine that
// owns all state, so they must not block. Any may be nil.
type Hooks struct {
	// OnWorkerLost is called for each worker that was lost or superseded, not for one
	// that stopped.
	OnWorkerLost func()
	// OnMasterLost is called for each job master that was lost.
	OnMasterLost func()
	// OnDecision is called after each decision on slots, with the time that it took
	// and how many slots it had requested.
	OnDecision func(took time.Duration, slots int)
}

func (h Hooks) workerLost() {
	if h.OnWorkerLost != nil {
		h.OnWorkerLost()
	}
}

func (h Hooks) masterLost() {
	if h.OnMasterLost != nil {
		h.OnMasterLost()
	}
}

func (h Hooks) decision(took time.Duration, slots int) {
	if h.OnDecision != nil {
		h.OnDecision(took, slots)
	}
}

// electedTerm is what the contender needs of *election.Term.
type electedTerm interface {
	SessionID() leader.SessionID
	Epoch() leader.Epoch
	Guard() leader.Guard
	SetPhase(p leader.Phase)
	Publish(ctx context.Context, info leader.Info) error
}
