package gateway

import (
	"context"
	"time"

	"github.com/coordd/coordd/job"
)

// JobMaster is the face of a job's master, as workers and the resource manager see
// it. It is fenced by its term: a call for another one fails with ErrFencingToken.
// Before the master runs every call fails with rpc.ErrNotStarted, and after the job's end
// with ErrStopped.
type JobMaster interface {
	// RegisterWorker makes a worker known that holds slots of the job, or has attempts
	// of it. The worker calls it first, after each loss of the connection, and
	// whenever the job gets another leader. The master connects back to w.Address.
	RegisterWorker(ctx context.Context, w Worker, has JobReport) (JobReply, error)
	// OfferSlots offers slots that were allocated since, and returns those that the
	// master takes. The worker frees the others. Errors: ErrNotRegistered.
	OfferSlots(ctx context.Context, w Worker, slots []Slot) (taken []Slot, err error)
	// AttemptsEnded reports ends of attempts. It returns nil when all of them are
	// settled: their effect is recorded, or they count no more; the worker need not
	// keep them. It may take as long as the store does. The worker calls it again,
	// there or at the next master, until it returns nil. Errors: ErrNotRegistered.
	AttemptsEnded(ctx context.Context, w Worker, ends []AttemptEnd) error
	// DisconnectWorker says that a worker is gone, or goes: what ran there runs
	// elsewhere. Worker and resource manager call it.
	DisconnectWorker(ctx context.Context, w Worker, reason string) error
	// Heartbeat comes from the resource manager. Errors: ErrNotRegistered when the
	// master is not registered there.
	Heartbeat(ctx context.Context, from Peer) error
	// DisconnectResourceManager says that the resource manager goes, or regards the
	// master as gone; the master connects again.
	DisconnectResourceManager(ctx context.Context, reason string) error
	// GiveBack asks the master to free n.Count slots on workers that have the labels
	// n.Requires, as soon as attempts in them end, because other jobs have less than
	// their share. Slots elsewhere would not help them. A later call for the same labels
	// replaces an earlier one. The master asks for more by its needs as before.
	GiveBack(ctx context.Context, n Need) error
	// Metrics returns what the master counts, as of now.
	Metrics(ctx context.Context) ([]Metric, error)
}

// JobReport is what a worker has of one job.
type JobReport struct {
	// Labels are the worker's: the master deploys into its slots what requires no
	// other.
	Labels map[string]string
	// Slots are all that the job holds there.
	Slots []Slot
	// Running are the attempts under way, each with its slot.
	Running []RunningAttempt
	// Ended are the ends that were not settled yet.
	Ended []AttemptEnd
	// Age is how long ago the first attempt of the job was deployed there, zero for never.
	Age time.Duration
}

// RunningAttempt is an attempt in its slot.
type RunningAttempt struct {
	Attempt AttemptID
	Slot    Slot
}

// JobReply is a master's answer to a worker that registers.
type JobReply struct {
	// Unwanted are attempts of the report that the worker stops and forgets: what
	// they did was done elsewhere meanwhile, or is not needed.
	Unwanted []AttemptID
	// Settled are ends of the report that the worker need not keep or report. It
	// reports the others with AttemptsEnded.
	Settled []AttemptID
	// Refused are slots of the report that the worker frees.
	Refused []Slot
}

// Need is a number of slots with the same demands.
type Need struct {
	// Requires are the labels that a worker must have, with their values.
	Requires map[string]string
	Count    int
}

// MasterLocation is where a job's master is.
type MasterLocation struct {
	Job     job.ID
	Address string
}
