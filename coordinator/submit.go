package coordinator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// answer is what a submission ends with.
type answer struct {
	snap    job.Snapshot
	created bool
	err     error
}

// Submit implements gateway.Dispatcher. Submissions of the same ID come one
// after the other. Besides the documented errors it may return one that wraps
// txn.ErrUnknownOutcome: the job may have been accepted, submit again.
func (d *Dispatcher) Submit(ctx context.Context, s gateway.Submission) (job.Snapshot, bool, error) {
	if err := s.ID.Validate(); err != nil {
		return job.Snapshot{}, false, err
	}
	if err := s.Graph.Validate(); err != nil {
		return job.Snapshot{}, false, err
	}
	if err := d.cfg.Limits.graph(s.ID, s.Graph, len(s.Graph.Encode())); err != nil {
		return job.Snapshot{}, false, err
	}
	j := jobstore.Job{ID: s.ID, Graph: s.Graph, SubmittedAt: time.Now().UTC(), Digest: s.Graph.Digest()}
	for {
		var turn turn
		if err := d.ask(ctx, func(st *state) { turn = d.enter(st, j) }); err != nil {
			return job.Snapshot{}, false, err
		}
		a, again := turn.wait(ctx, d.ended)
		if !again {
			return a.snap, a.created, a.err
		}
	}
}

// turn is what a submission has to do next: exactly one field is set.
type turn struct {
	refused  error           // nothing was done
	known    *known          // compare with the job that is there
	accepted <-chan answer   // wait for the answer; closed without one when there will be none
	other    <-chan struct{} // wait for another submission or hold of this ID, then enter again
}

// known is the job that a submission met under its ID.
type known struct {
	view
	same bool
}

// enter looks the ID up and, when it is free, begins to accept the job. The
// goroutine that accepts belongs to the term, not to the caller: a client that
// goes away must not leave a job half accepted.
func (d *Dispatcher) enter(st *state, j jobstore.Job) turn {
	e := st.jobs[j.ID]
	switch {
	case st.held[j.ID] != nil:
		return turn{other: st.held[j.ID]}
	case e == nil:
		if err := d.cfg.Limits.admit(st.registry, j, d.accepting); err != nil {
			return turn{refused: err}
		}
		d.accepting++
		e = st.accept(j, d.token.Epoch)
		answers := make(chan answer, 1)
		st.spawn(j.ID, func(ctx context.Context) { d.accept(ctx, e, j, answers) })
		return turn{accepted: answers}
	case e.state == accepting:
		return turn{other: e.settled}
	default:
		return turn{known: &known{view: e.view(), same: e.digest == j.Digest}}
	}
}

// wait returns the answer, or again when the submission has to enter once more.
func (t turn) wait(ctx context.Context, ended <-chan struct{}) (a answer, again bool) {
	switch {
	case t.refused != nil:
		return answer{err: t.refused}, false
	case t.known != nil:
		return t.known.answer(), false
	}
	select {
	case a, ok := <-t.accepted:
		if !ok {
			return answer{err: gateway.ErrNotLeader}, false
		}
		return a, false
	case <-t.other:
		return answer{}, true
	case <-t.untilEnded(ended):
		return answer{err: gateway.ErrNotLeader}, false
	case <-ctx.Done():
		return answer{err: ctx.Err()}, false
	}
}

// untilEnded is the end of the term for those who wait for another submission.
// The one that accepts hears from its own goroutine, which knows more.
func (t turn) untilEnded(ended <-chan struct{}) <-chan struct{} {
	if t.other == nil {
		return nil
	}
	return ended
}

// answer compares the submission with the job that is there.
func (k *known) answer() answer {
	switch {
	case k.same:
		return answer{snap: k.snapshot()}
	case k.state == quarantined:
		return answer{err: fmt.Errorf("submit job %q: %w: it is %s", k.snap.ID, gateway.ErrConflict, k.snap.Error)}
	default:
		return answer{err: fmt.Errorf("submit job %q: %w: choose another ID", k.snap.ID, gateway.ErrConflict)}
	}
}

// accept stores the job, answers the submitter, and runs the job.
func (d *Dispatcher) accept(ctx context.Context, e *entry, j jobstore.Job, answers chan<- answer) {
	defer close(answers)
	err := d.cfg.Jobs.Put(ctx, d.token.Guard, j)
	there := errors.Is(err, jobstore.ErrExists)
	if there {
		j, err = d.adopt(ctx, j)
	}
	stored := err == nil
	alive := d.tell(func(st *state) {
		d.accepting--
		st.settle(e, j, d.token.Epoch, stored)
	})
	if !stored {
		answers <- answer{err: d.refusal(ctx, j.ID, err)}
		return
	}
	// The job is durable, so this is the truth also when the term ended meanwhile:
	// then the next leader runs it.
	answers <- answer{snap: initial(j, d.token.Epoch), created: !there}
	if alive {
		d.log.Info("job accepted", "job", j.ID, "name", j.Graph.Name)
		d.live(ctx, j, there, func() {})
	}
}

// adopt returns the stored job of an ID that the registry does not know: an
// earlier submission of this term whose outcome stayed unknown.
func (d *Dispatcher) adopt(ctx context.Context, j jobstore.Job) (jobstore.Job, error) {
	there, err := d.cfg.Jobs.Get(ctx, d.token.Guard, j.ID)
	if err != nil {
		return j, err
	}
	if there.Digest != j.Digest {
		return j, fmt.Errorf("%w: choose another ID", gateway.ErrConflict)
	}
	return there, nil
}

// refusal says in the gateway's words why a job was not accepted.
func (d *Dispatcher) refusal(ctx context.Context, id job.ID, err error) error {
	switch {
	case errors.Is(err, txn.ErrUnknownOutcome):
		return fmt.Errorf("submit job %q: %w", id, err)
	case errors.Is(err, leader.ErrFenced), ctx.Err() != nil:
		return fmt.Errorf("submit job %q: %w", id, gateway.ErrNotLeader)
	case errors.Is(err, txn.ErrFull):
		return fmt.Errorf("submit job %q: %w: %w", id, gateway.ErrBusy, err)
	case errors.Is(err, txn.ErrTooLarge):
		return fmt.Errorf("submit job %q: %w: %w", id, gateway.ErrTooLarge, err)
	default:
		return fmt.Errorf("submit job %q: %w", id, err)
	}
}
