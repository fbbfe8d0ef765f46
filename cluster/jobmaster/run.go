package jobmaster

import (
	"context"
	"sync"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// cancelWait bounds what a local stop waits for the executor to take note.
const cancelWait = time.Second

// run is one call of Run: the I/O around the core. The goroutine of loop owns the
// core; every call that can block runs in a goroutine of its own, which puts its
// answer into the mailbox.
type run struct {
	*Master
	calls       sync.WaitGroup
	abandonSlot context.CancelFunc
}

func newRun(m *Master) *run { return &run{Master: m, abandonSlot: func() {}} }

func (r *run) loop(ctx context.Context) (job.Snapshot, error) {
	defer r.mail.close()
	calls, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	canceled := r.canceled
	r.core.step(begun{}, time.Now())
	for ctx.Err() == nil && r.core.fatal == nil {
		r.act(calls, r.core.plan(time.Now()))
		if r.core.ended() {
			r.calls.Wait()
			return r.Snapshot(), nil
		}
		timer.Reset(r.core.wake(time.Now()))
		select {
		case <-ctx.Done():
		case <-canceled:
			canceled = nil
			r.core.step(cancelRequested{}, time.Now())
		case <-timer.C:
			r.core.step(ticked{}, time.Now())
		case <-r.mail.filled:
			r.deliver()
		}
	}
	stop()
	return r.suspend(ctx)
}

// deliver steps through the events that have come.
func (r *run) deliver() {
	for _, e := range r.mail.take() {
		r.core.step(e, time.Now())
	}
}

// suspend stops locally: nothing of the job is left here, nothing is recorded.
func (r *run) suspend(ctx context.Context) (job.Snapshot, error) {
	r.calls.Wait()
	r.core.stopping = true
	r.deliver()
	wanted := r.core.suspend()
	// The term's context has ended, the attempts must learn of it all the same.
	cancel, done := context.WithTimeout(context.WithoutCancel(ctx), cancelWait)
	defer done()
	r.cancelAttempts(cancel, wanted.cancel)
	r.freeSlots(wanted.free)
	if err := ctx.Err(); err != nil {
		return r.Snapshot(), err
	}
	return r.Snapshot(), r.core.fatal
}

// act does what the core wants.
func (r *run) act(ctx context.Context, a actions) {
	if a.read {
		r.calls.Go(func() {
			p, err := r.cfg.Progress.Progress(ctx, r.cfg.Guard, r.cfg.Job.ID)
			r.mail.put(recordRead{progress: p, err: err})
		})
	}
	if a.write != nil {
		r.calls.Go(func() {
			r.mail.put(recordWritten{err: r.cfg.Progress.PutProgress(ctx, r.cfg.Guard, r.cfg.Job.ID, *a.write)})
		})
	}
	if a.abandonSlot {
		r.abandonSlot()
	}
	if a.requestSlot {
		r.requestSlot(ctx)
	}
	if a.deploy != nil {
		r.calls.Go(func() {
			err := r.cfg.Executor.Deploy(ctx, a.deploy.slot, a.deploy.what, r.Master)
			r.mail.put(deployed{attempt: a.deploy.what.Attempt, err: err})
		})
	}
	if len(a.cancel) > 0 {
		r.calls.Go(func() { r.cancelAttempts(ctx, a.cancel) })
	}
	r.freeSlots(a.free)
}

func (r *run) requestSlot(ctx context.Context) {
	asking, abandon := context.WithCancel(ctx)
	r.abandonSlot = abandon
	r.calls.Go(func() {
		defer abandon()
		slot, err := r.cfg.Executor.RequestSlot(asking, r.cfg.Job.ID)
		r.mail.put(slotGranted{slot: slot, err: err})
	})
}

func (r *run) cancelAttempts(ctx context.Context, attempts []gateway.AttemptID) {
	for _, id := range attempts {
		if err := r.cfg.Executor.CancelAttempt(ctx, id); err != nil {
			r.log.Warn("attempt could not be canceled", "task", id.Task, "subtask", id.Subtask, "attempt", id.N, "error", err)
		}
	}
}

func (r *run) freeSlots(slots []gateway.Slot) {
	for _, slot := range slots {
		r.cfg.Executor.FreeSlot(slot)
	}
}
