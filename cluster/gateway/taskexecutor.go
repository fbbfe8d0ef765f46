package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// What callers of a worker decide upon.
var (
	// ErrNoSlot: the slot is not, or no longer, held by the job, or an attempt runs
	// in it; or the worker has not as many free slots.
	ErrNoSlot = errors.New("slot is not available")
	// ErrStopped: the callee has stopped or is stopping.
	ErrStopped = rpc.ErrStopped
	// ErrRefused: nothing listens at the callee's address. The process that did is gone.
	ErrRefused = rpc.ErrRefused
	// ErrUnreachable: there is no connection to the callee, or it was lost during the
	// call, which may have had its effect. ErrRefused is one, without an effect.
	ErrUnreachable = rpc.ErrUnreachable
	// ErrNoEndpoint: another process, or another term, has the callee's address.
	ErrNoEndpoint = rpc.ErrNoEndpoint
	// ErrNoLog: the worker has no output of this attempt.
	ErrNoLog = errors.New("no output is kept of this attempt")
)

// Worker names a worker process. Two processes of the same ID differ in Instance.
type Worker struct {
	ID       string
	Instance string
	// Address is where its RPC service listens.
	Address string
}

// TaskExecutor is the face of a worker, as the resource manager and job masters see
// it. Methods with a Term fail with ErrFencingToken when the worker knows of a newer
// one, and with ErrStopped when it stops. None waits for an attempt to end. All may
// be repeated after a lost answer.
type TaskExecutor interface {
	// RequestSlots has the worker allocate free slots to a job and offer them to its
	// master, which it finds by itself. It returns their names; fewer than asked for
	// when fewer are free. The resource manager calls it.
	RequestSlots(ctx context.Context, r SlotRequest) ([]Slot, error)
	// Deploy starts attempts, and returns those that were refused. Deploying an
	// attempt that runs, or has ended and is still kept, in the same slot is no
	// refusal and starts nothing. Nothing is started once ctx has ended: the caller may
	// take the end of such an attempt for settled then.
	Deploy(ctx context.Context, term leader.TermID, ds []Deployment) ([]Refusal, error)
	// CancelAttempts asks attempts to stop: TERM to their process groups, KILL after
	// the worker's grace. Their ends are reported as usual. Unknown ones are ignored.
	CancelAttempts(ctx context.Context, term leader.TermID, ids []AttemptID) error
	// FreeSlots gives slots back, each when its attempt has ended if one runs in it.
	// Unknown ones are ignored. The worker tells the resource manager.
	FreeSlots(ctx context.Context, term leader.TermID, slots []Slot) error
	// ReleaseJob removes what is left of a job that has its result: kept ends,
	// folders, slots; attempts that still run are killed. Unknown jobs are ignored.
	ReleaseJob(ctx context.Context, term leader.TermID, id job.ID) error
	// Drain has the worker take no new slot requests and end when it is empty, as its
	// report says from then on. There is no way back. The resource manager calls it.
	Drain(ctx context.Context, term leader.TermID) error
	// Heartbeat tells the worker that the caller is there, and returns what it does.
	// A caller that the worker is not registered at gets ErrNotRegistered.
	Heartbeat(ctx context.Context, from Peer) (WorkerReport, error)
	// Disconnect tells the worker that the caller regards it as gone, or goes itself;
	// the worker connects again if it should.
	Disconnect(ctx context.Context, from Peer, reason string) error
	// ReadLog returns output of an attempt. It waits, for r.Wait at most, while there
	// is nothing new and the attempt runs. Errors: ErrNoLog, or ctx's.
	ReadLog(ctx context.Context, r LogRequest) (LogChunk, error)
	// Metrics returns what the worker counts, as of now.
	Metrics(ctx context.Context) ([]Metric, error)
}

// ErrNotRegistered: the caller is not registered at the callee, or was forgotten; it
// should register again.
var ErrNotRegistered = errors.New("not registered here")

// Peer names who calls a worker: the resource manager, or a job's master.
type Peer struct {
	Term leader.TermID
	// Job is empty for the resource manager.
	Job job.ID
}

// SlotRequest asks for slots for a job.
type SlotRequest struct {
	Term leader.TermID
	Job  job.ID
	// Count is how many, at least 1.
	Count int
}

// WorkerReport is what a worker has and does.
type WorkerReport struct {
	// Slots is how many it has, Allocated which of them jobs hold.
	Slots     int
	Allocated []Allocation
	// Draining says that it takes no new slot requests and ends when it is empty.
	Draining bool
}

// Allocation is one slot of a worker that a job holds.
type Allocation struct {
	Slot Slot
	Job  job.ID
}

// LogRequest asks for a part of an attempt's output.
type LogRequest struct {
	Job     job.ID
	Task    string
	Subtask int
	// Offset is the first byte; a negative one counts from the end.
	Offset int64
	// Limit bounds the answer in bytes; zero means 256 KiB.
	Limit int
	// Wait bounds how long to wait for something new; zero does not wait.
	Wait time.Duration
}

// LogChunk is a part of the output of a subtask's newest attempt here.
type LogChunk struct {
	Attempt AttemptID
	// Offset is where Data begins: after the asked one when that was rotated away.
	Offset int64
	Data   []byte
	// Ended says that nothing comes after Data.
	Ended bool
}

// Metric is one figure of a component.
type Metric struct {
	// Name is in Prometheus's form, with unit; Labels tell figures of a name apart.
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  float64           `json:"value"`
}
