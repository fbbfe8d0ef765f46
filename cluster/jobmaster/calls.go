package jobmaster

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/rpc"
)

// RegisterWorker implements gateway.JobMaster. It connects back before the master
// learns of the worker, and waits until a recovered job's record was read.
func (m *Master) RegisterWorker(ctx context.Context, w gateway.Worker, has gateway.JobReport) (gateway.JobReply, error) {
	executor, hangUp, err := m.cfg.Workers.TaskExecutor(ctx, w, m.cfg.Term)
	if err != nil {
		return gateway.JobReply{}, fmt.Errorf("job %s: connect back to worker %s at %s: %w", m.cfg.Job.ID, w.ID, w.Address, err)
	}
	reply := make(chan answer[gateway.JobReply], 1)
	e := workerRegistered{who: w, has: has, executor: executor, hangUp: hangUp, reply: reply, over: ctx.Done()}
	if err := m.tell(e); err != nil {
		hangUp()
		return gateway.JobReply{}, err
	}
	return await(ctx, m, reply)
}

// OfferSlots implements gateway.JobMaster.
func (m *Master) OfferSlots(ctx context.Context, w gateway.Worker, slots []gateway.Slot) ([]gateway.Slot, error) {
	reply := make(chan answer[[]gateway.Slot], 1)
	return ask(ctx, m, slotsOffered{who: w, slots: slots, reply: reply}, reply)
}

// AttemptsEnded implements gateway.JobMaster. Ends that nothing will be recorded of,
// because the job itself comes to its end, are never settled: the call fails with
// gateway.ErrStopped when Run returns, and the worker keeps them, for the next leader
// or until the job's result is recorded.
func (m *Master) AttemptsEnded(ctx context.Context, w gateway.Worker, ends []gateway.AttemptEnd) error {
	reply := make(chan answer[none], 1)
	_, err := ask(ctx, m, attemptsEnded{who: w, ends: ends, reply: reply}, reply)
	return err
}

// DisconnectWorker implements gateway.JobMaster.
func (m *Master) DisconnectWorker(_ context.Context, w gateway.Worker, reason string) error {
	return m.tell(workerGone{who: w, reason: reason})
}

// Heartbeat implements gateway.JobMaster. It does not wait for anything but the
// master's own work.
func (m *Master) Heartbeat(ctx context.Context, from gateway.Peer) error {
	if from.Term != m.cfg.Term {
		return fmt.Errorf("job %s: heartbeat of %s: %w", m.cfg.Job.ID, from.Term, gateway.ErrFencingToken)
	}
	_, err := rpc.Ask(ctx, m.endpoint, func() (none, error) { return none{}, m.heard() })
	return err
}

// DisconnectResourceManager implements gateway.JobMaster.
func (m *Master) DisconnectResourceManager(_ context.Context, reason string) error {
	return m.endpoint.Tell(func() { m.link.Reconnect(fmt.Errorf("it has disconnected: %s", reason)) })
}

// GiveBack implements gateway.JobMaster. Of those with the same labels the newest call
// counts: it takes the place of what an earlier one has not got yet.
func (m *Master) GiveBack(_ context.Context, n gateway.Need) error {
	return m.tell(slotsWanted{need: n})
}

// Metrics implements gateway.JobMaster. It answers after the job's end, too.
func (m *Master) Metrics(context.Context) ([]gateway.Metric, error) {
	return m.stats.metrics(m.view.count()), nil
}
