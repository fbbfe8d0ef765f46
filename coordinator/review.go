package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// RetryQuarantined implements gateway.Recovery. Whatever can be read now decides:
// a result, and then the job is not run again, or else the graph.
func (d *Dispatcher) RetryQuarantined(ctx context.Context, id job.ID) error {
	return d.review(ctx, "retry", id, d.retry)
}

// DropQuarantined implements gateway.Recovery. It returns when the result is
// recorded. A result that turns out to be readable is kept.
func (d *Dispatcher) DropQuarantined(ctx context.Context, id job.ID) error {
	return d.review(ctx, "drop", id, d.drop)
}

// order carries out what an operator asked for about a job in quarantine. It
// returns what the goroutine does afterwards, nil for nothing.
type order func(ctx context.Context, id job.ID) (then func(ctx context.Context), err error)

// review waits for its turn at the job and then for the order. That belongs to
// the term, not to the caller: a client that goes away leaves nothing half done.
func (d *Dispatcher) review(ctx context.Context, what string, id job.ID, do order) error {
	for {
		answers := make(chan error, 1)
		var others <-chan struct{}
		var refused error
		err := d.ask(ctx, func(st *state) { others, refused = d.beginReview(st, id, do, answers) })
		if err = cmp.Or(err, refused); err != nil {
			return fmt.Errorf("%s job %q: %w", what, id, err)
		}
		if others == nil {
			return d.reviewed(ctx, what, id, answers)
		}
		select {
		case <-others:
		case <-d.ended:
			return fmt.Errorf("%s job %q: %w", what, id, gateway.ErrNotLeader)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reviewed waits for the order's answer.
func (d *Dispatcher) reviewed(ctx context.Context, what string, id job.ID, answers <-chan error) error {
	select {
	case err, ok := <-answers:
		if !ok {
			err = gateway.ErrNotLeader
		}
		if err != nil {
			return fmt.Errorf("%s job %q: %w", what, id, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginReview starts the order, or returns what to wait for before asking again.
func (d *Dispatcher) beginReview(st *state, id job.ID, do order, answers chan<- error) (others <-chan struct{}, err error) {
	e := st.jobs[id]
	switch {
	case e == nil || e.state == accepting:
		return nil, gateway.ErrNoJob
	case e.aside != nil && e.aside.reviewing != nil:
		// Also of a job that is not in quarantine any more: until the order has been
		// carried out, the next leader could find it there.
		return e.aside.reviewing, nil
	case e.state != quarantined:
		return nil, gateway.ErrNotQuarantined
	}
	e.aside.reviewing = make(chan struct{})
	st.spawn(id, func(ctx context.Context) {
		defer close(answers)
		then, err := do(ctx, id)
		if err != nil && (ctx.Err() != nil || errors.Is(err, leader.ErrFenced)) {
			err = gateway.ErrNotLeader
		}
		d.update(id, func(e *entry) {
			close(e.aside.reviewing)
			e.aside.reviewing = nil
		})
		answers <- err
		if then != nil {
			then(ctx)
		}
	})
	return nil, nil
}

// retry reads the job once more. What cannot be read stays in quarantine.
func (d *Dispatcher) retry(ctx context.Context, id job.ID) (func(context.Context), error) {
	res, _, err := d.cfg.Results.Get(ctx, d.token.Guard, id)
	switch {
	case err == nil:
		return d.resumeEnded(id, res), nil
	case !errors.Is(err, resultstore.ErrNoResult):
		return nil, d.stillQuarantined(ctx, id, err)
	}
	j, err := d.cfg.Jobs.Get(ctx, d.token.Guard, id)
	if err != nil {
		return nil, d.stillQuarantined(ctx, id, err)
	}
	d.tell(func(st *state) {
		e := st.jobs[id]
		e.digest = j.Digest
		e.become(running, initial(j, d.token.Epoch))
		d.keepRecord(st, e)
	})
	d.log.Info("job can be read again", "job", id, "name", j.Graph.Name)
	return func(ctx context.Context) { d.live(ctx, j, true, func() {}) }, nil
}

// resumeEnded goes on with a job whose result can be read again. One that is clean
// is cleaned up once more, which finds nothing but the quarantine record.
func (d *Dispatcher) resumeEnded(id job.ID, res job.Result) func(context.Context) {
	d.log.Info("result can be read again", "job", id, "status", res.Snapshot.Status)
	d.update(id, func(e *entry) {
		e.digest = res.Digest
		e.become(dirty, res.Snapshot)
	})
	return func(ctx context.Context) { d.cleanUp(ctx, id) }
}

// stillQuarantined notes the newest reason. An error of the term is none.
func (d *Dispatcher) stillQuarantined(ctx context.Context, id job.ID, err error) error {
	if ctx.Err() != nil || errors.Is(err, leader.ErrFenced) {
		return err
	}
	d.tell(func(st *state) {
		e := st.jobs[id]
		e.setAside(e.snap, err, d.token.Epoch)
		d.keepRecord(st, e)
	})
	return err
}

// drop ends the job as FAILED. Its graph may be unreadable, so the result knows
// no tasks.
func (d *Dispatcher) drop(ctx context.Context, id job.ID) (func(context.Context), error) {
	var res job.Result
	alive := d.update(id, func(e *entry) {
		s := e.snap
		s.Status, s.FinishedAt, s.Epoch, s.Tasks = job.StatusFailed, time.Now().UTC(), int64(d.token.Epoch), []job.TaskSnapshot{}
		s.Error = "dropped from quarantine by an operator; it was there because: " + e.aside.reason
		res = job.Result{Snapshot: s, Digest: e.digest}
		e.become(ending, provisional(s))
	})
	if !alive || !d.record(ctx, res, d.cfg.Results.Replace) {
		return nil, gateway.ErrNotLeader
	}
	d.log.Warn("job was dropped from quarantine", "job", id)
	return func(ctx context.Context) { d.cleanUp(ctx, id) }, nil
}
