package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// publishPause is the pause between two tries to publish.
const publishPause = 20 * time.Millisecond

// tenure is one term. The backend's lock guards what changes in it.
type tenure struct {
	candidacy *candidacy
	// lease is how long the term outlives the last contact with the backend.
	lease time.Duration
	// lost is closed when err is set.
	lost chan struct{}
	err  error
	// expiry ends the term when the lease runs out; it runs while the participant
	// is cut off.
	expiry   *time.Timer
	released bool
}

var _ election.Tenure = (*tenure)(nil)

// Guard returns the proof of leadership.
func (t *tenure) Guard() leader.Guard { return leader.NewGuard(t.candidacy.epoch, t.candidacy) }

// Lost is closed when the term has ended, or must.
func (t *tenure) Lost() <-chan struct{} { return t.lost }

// Err returns why, after Lost was closed.
func (t *tenure) Err() error {
	b := t.candidacy.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	return t.err
}

// lose ends the term, if there is one and it has not ended. It requires the lock.
func (t *tenure) lose(reason error) {
	if t == nil || t.err != nil || t.released {
		return
	}
	t.err = reason
	if t.expiry != nil {
		t.expiry.Stop()
	}
	close(t.lost)
}

// runOut lets the lease run, from now, when the participant was cut off. It
// requires the lock.
func (t *tenure) runOut(p *Participant) {
	if t == nil || t.err != nil || t.released {
		return
	}
	b, outage := p.backend, p.outage
	t.expiry = time.AfterFunc(t.lease, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		// A timer of an outage that is over may have waited for the lock.
		if p.outage == outage {
			t.lose(fmt.Errorf("%w: the backend was out of reach for %s", election.ErrLeaseExpired, t.lease))
		}
	})
}

// Publish makes the infos visible, all at once. It goes on trying through
// injected faults.
func (t *tenure) Publish(ctx context.Context, infos ...leader.Info) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-t.lost:
			cancel(fmt.Errorf("%w: %w", leader.ErrFenced, t.Err()))
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel(nil)
		<-watching
	}()
	for {
		err := t.tryPublish(ctx, infos)
		if err == nil || errors.Is(err, leader.ErrFenced) {
			return err
		}
		pause := time.NewTimer(publishPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("publish: %w", ended(ctx))
		}
	}
}

// ended returns why a publication ended: the end of the term before the caller's
// own.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, leader.ErrFenced) {
		return cause
	}
	return ctx.Err()
}

func (t *tenure) tryPublish(ctx context.Context, infos []leader.Info) error {
	c := t.candidacy
	b, p := c.backend, c.session.participant
	paths := make([]string, len(infos))
	for i, info := range infos {
		paths[i] = "leader/" + info.Component
	}
	hit := b.faults.hit(call{participant: p.id, ops: []string{OpPublish}, paths: paths})
	if err := hit.before(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	err := p.reach(ctx, func() error {
		if !b.leads(c) || t.err != nil {
			return leader.ErrFenced
		}
		index := b.next()
		for _, info := range infos {
			b.published[info.Component] = publication{info: info, by: c, index: index}
		}
		b.publishedAt = index
		b.broadcast()
		return nil
	})
	if errors.Is(err, ErrKilled) || errors.Is(err, errStopped) {
		err = fmt.Errorf("%w: %w", leader.ErrFenced, err)
	}
	if err == nil {
		err = hit.after()
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Release removes the candidacy and what it published, as one change. When it
// cannot before ctx ends, the session is ended as soon as the participant is back.
func (t *tenure) Release(ctx context.Context) error {
	for {
		changed, done, err := t.tryRelease()
		if done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return t.abandon(ctx.Err())
		}
	}
}

func (t *tenure) tryRelease() (changed <-chan struct{}, done bool, err error) {
	c := t.candidacy
	b, s := c.backend, c.session
	b.mu.Lock()
	defer b.mu.Unlock()
	t.released = true
	if t.expiry != nil {
		t.expiry.Stop()
	}
	switch p := s.participant; {
	case s.ended:
		return nil, true, nil
	case p.killed:
		return nil, true, fmt.Errorf("release: %w: leadership ends with the session", ErrKilled)
	case p.session != s:
		return nil, true, errors.New("release: the participant was stopped while cut off: leadership ends with the session")
	case !p.connected:
		return b.changed, false, nil
	}
	b.drop(c)
	b.unpublish(c)
	s.forget(c)
	b.broadcast()
	return nil, true, nil
}

func (t *tenure) abandon(reason error) error {
	b := t.candidacy.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	t.candidacy.session.abandoned = true
	return fmt.Errorf("release: %w: leadership ends with the session", reason)
}
