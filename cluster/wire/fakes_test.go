package wire

import (
	"context"
	"reflect"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// recorder is what an implementation was called with, and what it answers.
type recorder struct {
	method  string
	args    []any
	seen    [][]any // the args of all calls
	results []any   // by type
	err     error
}

func (r *recorder) record(method string, args ...any) error {
	r.method, r.args, r.seen = method, args, append(r.seen, args)
	return r.err
}

// answer returns the result of type T, unless there is an error.
func answer[T any](r *recorder) (value T) {
	for _, result := range r.results {
		if result, ok := result.(T); ok && r.err == nil && reflect.TypeFor[T]() == reflect.TypeOf(result) {
			return result
		}
	}
	return value
}

// worker is a gateway.TaskExecutor.
type worker struct{ *recorder }

func (f worker) RequestSlots(_ context.Context, r gateway.SlotRequest) ([]gateway.Slot, error) {
	return answer[[]gateway.Slot](f.recorder), f.record("RequestSlots", r)
}

func (f worker) Deploy(_ context.Context, term leader.TermID, ds []gateway.Deployment) ([]gateway.Refusal, error) {
	return answer[[]gateway.Refusal](f.recorder), f.record("Deploy", term, ds)
}

func (f worker) CancelAttempts(_ context.Context, term leader.TermID, ids []gateway.AttemptID) error {
	return f.record("CancelAttempts", term, ids)
}

func (f worker) FreeSlots(_ context.Context, term leader.TermID, all []gateway.Slot) error {
	return f.record("FreeSlots", term, all)
}

func (f worker) ReleaseJob(_ context.Context, term leader.TermID, id job.ID) error {
	return f.record("ReleaseJob", term, id)
}

func (f worker) Drain(_ context.Context, term leader.TermID) error { return f.record("Drain", term) }

func (f worker) Heartbeat(_ context.Context, from gateway.Peer) (gateway.WorkerReport, error) {
	return answer[gateway.WorkerReport](f.recorder), f.record("Heartbeat", from)
}

func (f worker) Disconnect(_ context.Context, from gateway.Peer, reason string) error {
	return f.record("Disconnect", from, reason)
}

func (f worker) ReadLog(_ context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	return answer[gateway.LogChunk](f.recorder), f.record("ReadLog", r)
}

func (f worker) Metrics(context.Context) ([]gateway.Metric, error) {
	return answer[[]gateway.Metric](f.recorder), f.record("Metrics")
}

// master is a gateway.JobMaster.
type master struct{ *recorder }

func (f master) RegisterWorker(_ context.Context, w gateway.Worker, has gateway.JobReport) (gateway.JobReply, error) {
	return answer[gateway.JobReply](f.recorder), f.record("RegisterWorker", w, has)
}

func (f master) OfferSlots(_ context.Context, w gateway.Worker, all []gateway.Slot) ([]gateway.Slot, error) {
	return answer[[]gateway.Slot](f.recorder), f.record("OfferSlots", w, all)
}

func (f master) AttemptsEnded(_ context.Context, w gateway.Worker, ends []gateway.AttemptEnd) error {
	return f.record("AttemptsEnded", w, ends)
}

func (f master) DisconnectWorker(_ context.Context, w gateway.Worker, reason string) error {
	return f.record("DisconnectWorker", w, reason)
}

func (f master) Heartbeat(_ context.Context, from gateway.Peer) error {
	return f.record("Heartbeat", from)
}

func (f master) DisconnectResourceManager(_ context.Context, reason string) error {
	return f.record("DisconnectResourceManager", reason)
}

func (f master) GiveBack(_ context.Context, n gateway.Need) error { return f.record("GiveBack", n) }

func (f master) Metrics(context.Context) ([]gateway.Metric, error) {
	return answer[[]gateway.Metric](f.recorder), f.record("Metrics")
}

// manager is a gateway.ResourceManager.
type manager struct{ *recorder }

func (f manager) RegisterWorker(_ context.Context, w gateway.WorkerRegistration) (gateway.WorkerReply, error) {
	return answer[gateway.WorkerReply](f.recorder), f.record("RegisterWorker", w)
}

func (f manager) DisconnectWorker(_ context.Context, w gateway.Worker, reason string, stopped bool) error {
	return f.record("DisconnectWorker", w, reason, stopped)
}

func (f manager) SlotsFreed(_ context.Context, w gateway.Worker, all []gateway.Slot) error {
	return f.record("SlotsFreed", w, all)
}

func (f manager) RegisterJobMaster(_ context.Context, m gateway.MasterRegistration) error {
	return f.record("RegisterJobMaster", m)
}

func (f manager) DisconnectJobMaster(_ context.Context, term leader.TermID, id job.ID, reason string) error {
	return f.record("DisconnectJobMaster", term, id, reason)
}

func (f manager) DeclareNeeds(_ context.Context, term leader.TermID, id job.ID, needs []gateway.Need) error {
	return f.record("DeclareNeeds", term, id, needs)
}

func (f manager) Holders(_ context.Context, id job.ID) ([]gateway.Worker, error) {
	return answer[[]gateway.Worker](f.recorder), f.record("Holders", id)
}

func (f manager) Workers(context.Context) ([]gateway.WorkerStatus, error) {
	return answer[[]gateway.WorkerStatus](f.recorder), f.record("Workers")
}

func (f manager) Drain(_ context.Context, worker string) error { return f.record("Drain", worker) }

func (f manager) ReleaseJob(_ context.Context, id job.ID) error { return f.record("ReleaseJob", id) }

// dispatcher is a gateway.Dispatcher and a gateway.Recovery.
type dispatcher struct{ *recorder }

func (f dispatcher) Submit(_ context.Context, s gateway.Submission) (job.Snapshot, bool, error) {
	return answer[job.Snapshot](f.recorder), answer[bool](f.recorder), f.record("Submit", s)
}

func (f dispatcher) Jobs(context.Context) ([]job.Snapshot, error) {
	return answer[[]job.Snapshot](f.recorder), f.record("Jobs")
}

func (f dispatcher) Job(_ context.Context, id job.ID) (job.Snapshot, error) {
	return answer[job.Snapshot](f.recorder), f.record("Job", id)
}

func (f dispatcher) Cancel(_ context.Context, id job.ID) (job.Snapshot, error) {
	return answer[job.Snapshot](f.recorder), f.record("Cancel", id)
}

func (f dispatcher) Recovery(context.Context) (gateway.RecoveryReport, error) {
	return answer[gateway.RecoveryReport](f.recorder), f.record("Recovery")
}

func (f dispatcher) RetryQuarantined(_ context.Context, id job.ID) error {
	return f.record("RetryQuarantined", id)
}

func (f dispatcher) DropQuarantined(_ context.Context, id job.ID) error {
	return f.record("DropQuarantined", id)
}

func (f dispatcher) Leftovers(_ context.Context, remove bool) ([]gateway.Leftover, error) {
	return answer[[]gateway.Leftover](f.recorder), f.record("Leftovers", remove)
}
