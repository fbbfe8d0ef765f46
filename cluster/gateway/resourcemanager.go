package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// ErrNoWorker: no worker has this ID.
var ErrNoWorker = errors.New("no such worker")

// ErrNotLeaderYet: who registers is not, or not yet, the leader that the callee knows
// of; it should try again.
var ErrNotLeaderYet = errors.New("not the leader that is known here")

// ResourceManager is the face of the component that knows workers and gives their
// slots to jobs. It is fenced by its term.
type ResourceManager interface {
	// RegisterWorker makes a worker known, durably: the next leader expects it. A
	// former instance of the same ID is regarded as gone. The manager connects back to
	// w.Worker.Address before it answers. Errors: one that wraps ErrRejected when the
	// worker can never be accepted, and others, after which it tries again.
	RegisterWorker(ctx context.Context, w WorkerRegistration) (WorkerReply, error)
	// DisconnectWorker says that a worker goes, for good reason or because it regards
	// the manager as gone. A worker that stopped is forgotten, durably.
	DisconnectWorker(ctx context.Context, w Worker, reason string, stopped bool) error
	// SlotsFreed says that slots belong to no job any more.
	SlotsFreed(ctx context.Context, w Worker, slots []Slot) error

	// RegisterJobMaster makes a job's master known; the manager connects back. It waits
	// a bounded time for a leader of the job to be known. Errors: ErrNotLeaderYet when
	// m.Term is not the retrieved leader's.
	RegisterJobMaster(ctx context.Context, m MasterRegistration) error
	// DisconnectJobMaster says that a master goes; its needs end. Its slots stay
	// allocated until it or the workers free them.
	DisconnectJobMaster(ctx context.Context, term leader.TermID, id job.ID, reason string) error
	// DeclareNeeds replaces the number of slots that a job can use, those that it
	// holds included. Errors: ErrNotRegistered.
	DeclareNeeds(ctx context.Context, term leader.TermID, id job.ID, needs []Need) error
	// Holders returns the workers that hold slots of the job, once every worker that
	// the former leader knew has registered or is known to be gone. It blocks until
	// then, at most about a heartbeat time-out from the manager's start.
	Holders(ctx context.Context, id job.ID) ([]Worker, error)

	// Workers returns all workers, by ID.
	Workers(ctx context.Context) ([]WorkerStatus, error)
	// Drain has a worker take nothing new and end when it is empty. Errors:
	// ErrNoWorker.
	Drain(ctx context.Context, worker string) error
	// ReleaseJob has every worker remove what is left of a job that has its result. It
	// returns nil when all known workers have. A job's clean-up calls it.
	ReleaseJob(ctx context.Context, id job.ID) error
}

// ErrRejected: the callee will never accept the registration; trying again is vain.
var ErrRejected = rpc.ErrRejected

// WorkerRegistration is what a worker tells of itself.
type WorkerRegistration struct {
	Worker  Worker
	Labels  map[string]string
	Release string // of coordd
	Report  WorkerReport
}

// WorkerReply is the resource manager's answer.
type WorkerReply struct {
	// HeartbeatTimeout is after how long without a heartbeat the worker should regard
	// the manager as gone.
	HeartbeatTimeout time.Duration
	// Drain says that the worker was told to drain by this ID before.
	Drain bool
}

// MasterRegistration is what a job's master tells of itself.
type MasterRegistration struct {
	Term leader.TermID
	MasterLocation
}

// WorkerState says what the resource manager knows of a worker.
type WorkerState string

// The states of a worker.
const (
	// WorkerExpected: the former leader knew it; it has not registered yet.
	WorkerExpected WorkerState = "EXPECTED"
	// WorkerReady: it is registered and takes work.
	WorkerReady WorkerState = "READY"
	// WorkerDraining: it is registered and ends when it is empty.
	WorkerDraining WorkerState = "DRAINING"
)

// WorkerStatus describes a worker. Its JSON is the API's.
type WorkerStatus struct {
	ID        string            `json:"id"`
	Instance  string            `json:"instance,omitempty"`
	Address   string            `json:"rpc_address"`
	State     WorkerState       `json:"state"`
	Labels    map[string]string `json:"labels,omitempty"`
	Slots     int               `json:"slots"`
	FreeSlots int               `json:"free_slots"`
	Since     time.Time         `json:"since,omitzero"`
	// LastHeartbeat is when the worker answered last.
	LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
	Release       string    `json:"release,omitempty"`
}
