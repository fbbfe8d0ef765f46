package embedded

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// errTransfer is why a leader's term ends that was asked to give way.
var errTransfer = fmt.Errorf("%w: a transfer was asked for", election.ErrResigned)

// Participants returns who contends. Its error is ctx's, or ErrKilled.
func (d electionDriver) Participants(ctx context.Context) ([]election.Participant, error) {
	var all []election.Participant
	err := d.p.reach(ctx, func() error {
		for _, c := range d.p.backend.latch {
			all = append(all, election.Participant{ID: c.id, Epoch: c.epoch, Since: c.since})
		}
		return nil
	})
	return all, err
}

// Transfer has the leader give way. Those who are cut off can neither queue again
// nor resign: it waits for them, or for the end of their sessions. One transfer is
// made at a time; that of a participant which is cut off holds up no other.
func (d electionDriver) Transfer(ctx context.Context, to string) error {
	r := &request{by: d.p, to: to}
	err := d.p.until(ctx, r.step)
	d.p.backend.finish(r)
	switch {
	case err == nil:
		return nil
	case r.missing != "" && ctx.Err() != nil:
		return fmt.Errorf("transfer to %q: %w: %s", to, err, r.missing)
	default:
		return fmt.Errorf("transfer to %q: %w", to, err)
	}
}

// request is one transfer that was asked for. The backend's lock guards it.
type request struct {
	by *Participant
	to string
	// from is the leader that gives way when anybody may follow.
	from *candidacy
	// missing says what is waited for.
	missing string
}

// step does what can be done now, and reports whether all is done.
func (r *request) step() (done bool, err error) {
	b := r.by.backend
	if b.request != r {
		if b.request != nil && b.request.by.reachable() {
			r.missing = fmt.Sprintf("participant %q makes another transfer", b.request.by.id)
			return false, nil
		}
		b.request = r
	}
	if r.to == "" {
		return r.toNext(b.latch)
	}
	at := slices.IndexFunc(b.latch, func(c *candidacy) bool { return c.id == r.to })
	switch at {
	case -1:
		return true, election.ErrNotContending
	case 0:
		return true, nil
	}
	target := b.latch[at]
	for _, c := range slices.Clone(b.latch[1:at]) {
		if c.session.participant.reachable() {
			b.queueAgain(c)
		}
	}
	if between := b.latch[1]; between != target {
		r.missing = fmt.Sprintf("%q, who stands between, is out of reach", between.id)
		return false, nil
	}
	r.ask(b.latch[0])
	return false, nil
}

// toNext has the first one give way, whoever is next.
func (r *request) toNext(latch []*candidacy) (done bool, err error) {
	switch {
	case r.from != nil && !slices.Contains(latch, r.from):
		return true, nil
	case len(latch) == 0:
		return true, election.ErrNotContending
	case r.from == nil:
		r.from = latch[0]
	}
	r.ask(r.from)
	return false, nil
}

// ask tells the leader to give way, when it can be told.
func (r *request) ask(from *candidacy) {
	r.missing = fmt.Sprintf("%q has not given way", from.id)
	if from.session.participant.reachable() {
		from.tenure.lose(errTransfer)
	}
}

// finish lets the next transfer begin.
func (b *Backend) finish(r *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.request == r {
		b.request = nil
		b.broadcast()
	}
}

// queueAgain puts a waiting candidacy at the end. It requires the lock.
func (b *Backend) queueAgain(c *candidacy) {
	b.drop(c)
	c.epoch, c.since = leader.Epoch(b.next()), time.Now().UTC()
	b.latch = append(b.latch, c)
	b.broadcast()
}
