package taskexecutor

import (
	"context"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

var _ gateway.TaskExecutor = (*Executor)(nil)

const (
	// defaultChunk and maxChunk bound one answer of ReadLog.
	defaultChunk = 256 << 10
	maxChunk     = 4 << 20
)

// RequestSlots implements gateway.TaskExecutor. A worker that drains refuses with
// ErrStopped.
func (e *Executor) RequestSlots(ctx context.Context, r gateway.SlotRequest) ([]gateway.Slot, error) {
	slots, err := ask(ctx, e, func(s *state) ([]gateway.Slot, error) { return s.request(r) })
	if err != nil {
		return nil, fmt.Errorf("request %d slots for job %s at worker %s: %w", r.Count, r.Job, e.cfg.ID, err)
	}
	return slots, nil
}

// Deploy implements gateway.TaskExecutor. An attempt that was here before and is no
// longer kept is refused with an error that is none of those of Refusal.Err.
func (e *Executor) Deploy(ctx context.Context, term leader.TermID, ds []gateway.Deployment) ([]gateway.Refusal, error) {
	refused, err := ask(ctx, e, func(s *state) ([]gateway.Refusal, error) { return s.deploy(term, ds) })
	if err != nil {
		return nil, fmt.Errorf("deploy %d attempts at worker %s: %w", len(ds), e.cfg.ID, err)
	}
	return refused, nil
}

// CancelAttempts implements gateway.TaskExecutor.
func (e *Executor) CancelAttempts(ctx context.Context, term leader.TermID, ids []gateway.AttemptID) error {
	err := e.fenced(ctx, term, func(s *state) { s.cancel(ids) })
	if err != nil {
		return fmt.Errorf("cancel %d attempts at worker %s: %w", len(ids), e.cfg.ID, err)
	}
	return nil
}

// FreeSlots implements gateway.TaskExecutor.
func (e *Executor) FreeSlots(ctx context.Context, term leader.TermID, slots []gateway.Slot) error {
	err := e.fenced(ctx, term, func(s *state) { s.freeNamed(slots) })
	if err != nil {
		return fmt.Errorf("free %d slots at worker %s: %w", len(slots), e.cfg.ID, err)
	}
	return nil
}

// ReleaseJob implements gateway.TaskExecutor. When attempts still run, the folders are
// removed as soon as they have ended, after the call.
func (e *Executor) ReleaseJob(ctx context.Context, term leader.TermID, id job.ID) error {
	removable, err := ask(ctx, e, func(s *state) (bool, error) { return s.release(term, id) })
	if err == nil && removable {
		err = e.folders.removeJob(id)
	}
	if err != nil {
		return fmt.Errorf("release job %s at worker %s: %w", id, e.cfg.ID, err)
	}
	return nil
}

// Drain implements gateway.TaskExecutor. Slots that are empty go back at once, and
// others when the attempt in them has ended.
func (e *Executor) Drain(ctx context.Context, term leader.TermID) error {
	if err := e.fenced(ctx, term, (*state).drain); err != nil {
		return fmt.Errorf("drain worker %s: %w", e.cfg.ID, err)
	}
	return nil
}

// fenced makes a call for a term.
func (e *Executor) fenced(ctx context.Context, term leader.TermID, call func(*state)) error {
	_, err := ask(ctx, e, func(s *state) (struct{}, error) {
		err := s.fence.admit(term)
		if err == nil {
			call(s)
		}
		return struct{}{}, err
	})
	return err
}

// Heartbeat implements gateway.TaskExecutor. A job's master is told of its own slots
// only.
func (e *Executor) Heartbeat(ctx context.Context, from gateway.Peer) (gateway.WorkerReport, error) {
	report, err := ask(ctx, e, func(s *state) (gateway.WorkerReport, error) { return s.heartbeat(from) })
	if err != nil {
		return gateway.WorkerReport{}, fmt.Errorf("heartbeat at worker %s: %w", e.cfg.ID, err)
	}
	return report, nil
}

// Disconnect implements gateway.TaskExecutor.
func (e *Executor) Disconnect(ctx context.Context, from gateway.Peer, reason string) error {
	_, err := ask(ctx, e, func(s *state) (struct{}, error) { return struct{}{}, s.disconnect(from, reason) })
	if err != nil {
		return fmt.Errorf("disconnect from worker %s: %w", e.cfg.ID, err)
	}
	return nil
}

// ReadLog implements gateway.TaskExecutor. An offset beyond the end is answered at
// once with an empty chunk at the end: it was probably that of a former attempt. One
// answer has at most 4 MiB.
func (e *Executor) ReadLog(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	chunk, err := e.readLog(ctx, r)
	if err != nil {
		return gateway.LogChunk{}, fmt.Errorf("read the output of job %s, task %s, subtask %d at worker %s: %w",
			r.Job, r.Task, r.Subtask, e.cfg.ID, err)
	}
	return chunk, nil
}

func (e *Executor) readLog(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	type source struct {
		id      gateway.AttemptID
		journal *journal
	}
	from, err := ask(ctx, e, func(s *state) (source, error) {
		id, j, err := s.newestAttempt(r.Job, subtask{r.Task, r.Subtask})
		return source{id, j}, err
	})
	if err != nil {
		return gateway.LogChunk{}, err
	}
	if from.journal == nil {
		return gateway.LogChunk{Attempt: from.id, Ended: true}, nil
	}
	limit := defaultChunk
	if r.Limit > 0 {
		limit = min(r.Limit, maxChunk)
	}
	patience := time.NewTimer(r.Wait)
	defer patience.Stop()
	for {
		chunk, news, err := from.journal.read(r.Offset, limit)
		if err != nil || r.Wait <= 0 || len(chunk.Data) > 0 || chunk.Ended || r.Offset > chunk.Offset {
			return chunk, err
		}
		select {
		case <-news:
		case <-patience.C:
			return chunk, nil
		case <-ctx.Done():
			return gateway.LogChunk{}, ctx.Err()
		case <-e.endpoint.Done():
			return gateway.LogChunk{}, gateway.ErrStopped
		}
	}
}

// Metrics implements gateway.TaskExecutor.
func (e *Executor) Metrics(ctx context.Context) ([]gateway.Metric, error) {
	metrics, err := ask(ctx, e, func(s *state) ([]gateway.Metric, error) { return s.metrics(), nil })
	if err != nil {
		return nil, fmt.Errorf("metrics of worker %s: %w", e.cfg.ID, err)
	}
	return metrics, nil
}
