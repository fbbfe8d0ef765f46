package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// candidacy is one place in the latch. The backend's lock guards it.
type candidacy struct {
	backend *Backend
	// id names the candidate to people.
	id string
	// epoch and since are of its present place: it may be asked to queue again.
	epoch   leader.Epoch
	since   time.Time
	session *session
	// tenure is set when leadership was granted.
	tenure *tenure
	// removed: an operator took it out of the latch.
	removed bool
}

type electionDriver struct{ p *Participant }

var _ election.Driver = electionDriver{}

// Campaign joins the latch and waits until the candidate leads. It returns
// ErrKilled or ErrStandalone, wrapped, when contending is in vain, and an error
// that names the values when the stop grace leaves no lease.
func (d electionDriver) Campaign(ctx context.Context, c election.Candidate) (election.Tenure, error) {
	lease := d.p.backend.lease(c.StopGrace)
	if lease <= 0 {
		return nil, fmt.Errorf("contend as %q: a stop grace of %s leaves nothing of the session time-out of %s: make it shorter",
			c.ID, c.StopGrace, d.p.backend.cfg.SessionTimeout)
	}
	for {
		t, err := d.contend(ctx, c, lease)
		if err != nil {
			return nil, fmt.Errorf("contend as %q: %w", c.ID, err)
		}
		if t != nil {
			d.p.log.Debug("leadership granted", "epoch", int64(t.candidacy.epoch))
			return t, nil
		}
	}
}

// lease is how long a term outlives the last contact with the backend.
func (b *Backend) lease(grace time.Duration) time.Duration {
	return b.cfg.SessionTimeout - b.cfg.SessionTimeout/marginDivisor - grace
}

// contend takes one candidacy to its grant. It returns nil when the candidacy was
// lost before that.
func (d electionDriver) contend(ctx context.Context, c election.Candidate, lease time.Duration) (*tenure, error) {
	cand, err := d.join(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	b := d.p.backend
	for {
		if err := ctx.Err(); err != nil {
			b.withdraw(cand)
			return nil, err
		}
		t, changed, gone := b.grant(cand, lease)
		if t != nil || gone {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// join waits for a session and puts a candidacy at the end of the latch.
func (d electionDriver) join(ctx context.Context, id string) (*candidacy, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		changed, cand, err := d.tryJoin(id)
		if cand != nil || err != nil {
			return cand, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (d electionDriver) tryJoin(id string) (changed <-chan struct{}, cand *candidacy, err error) {
	b, p := d.p.backend, d.p
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.killed:
		return nil, nil, ErrKilled
	case b.cfg.Standalone && b.sole != nil && b.sole != p && b.sole.running:
		return nil, nil, fmt.Errorf("%w (%q is running)", ErrStandalone, b.sole.id)
	case !p.running || !p.connected:
		return b.changed, nil, nil
	case b.cfg.Standalone && len(b.latch) > 0:
		return nil, nil, fmt.Errorf("%w (%q contends already)", ErrStandalone, p.id)
	}
	cand = &candidacy{backend: b, id: id, epoch: leader.Epoch(b.next()), since: time.Now().UTC(), session: p.session}
	p.session.candidacies = append(p.session.candidacies, cand)
	b.latch = append(b.latch, cand)
	b.broadcast()
	return nil, cand, nil
}

// grant makes the candidate leader when it is first and can be reached. Otherwise
// it returns what to wait for, or that the candidacy is gone.
func (b *Backend) grant(c *candidacy, lease time.Duration) (t *tenure, changed <-chan struct{}, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := c.session.participant
	switch {
	case p.killed, p.session != c.session:
		return nil, nil, true
	case !p.connected, !b.leads(c), b.writing:
		return nil, b.changed, false
	}
	c.tenure = &tenure{
		candidacy: c, lease: lease, lost: make(chan struct{}),
	}
	b.broadcast() // a transfer may wait for it
	return c.tenure, nil, false
}

// withdraw takes a candidacy back whose campaign was ended. When the backend
// cannot be reached the session must not live on.
func (b *Backend) withdraw(c *candidacy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := c.session.participant; !p.connected || p.killed {
		c.session.abandoned = true
		return
	}
	b.drop(c)
	c.session.forget(c)
}
