package electiontest

import (
	"context"
	"fmt"
	"slices"

	"github.com/coordd/coordd/election"
)

func (p *memoryParticipant) Participants(ctx context.Context) ([]election.Participant, error) {
	var all []election.Participant
	err := p.until(ctx, func() (bool, error) {
		if !p.connected {
			return false, nil
		}
		for _, n := range p.m.queue {
			epoch := n.epoch
			if n.tenure == nil && p.m.fault == "shown epochs are not led with" {
				epoch += 1000
			}
			all = append(all, election.Participant{ID: n.id, Epoch: epoch, Since: n.since})
		}
		if p.m.fault == "participants are not in order" {
			slices.Reverse(all)
		}
		return true, nil
	})
	return all, err
}

// Transfer makes one transfer at a time.
func (p *memoryParticipant) Transfer(ctx context.Context, to string) error {
	if p.m.fault == "nothing is transferred" {
		return nil
	}
	if err := p.until(ctx, func() (bool, error) {
		free := p.connected && !p.m.asking
		p.m.asking = p.m.asking || free
		return free, nil
	}); err != nil {
		return err
	}
	var from, target *node
	err := p.until(ctx, func() (_ bool, err error) {
		if from == nil {
			if from, target, err = p.m.plan(to); err != nil || from == target {
				return true, err
			}
		}
		return p.m.step(from, target)
	})
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	p.m.asking = false
	if p.m.fault == "requests outlive their context" && ctx.Err() != nil {
		p.m.forgotten = target
	}
	p.m.wake()
	return err
}

// until calls f, under the lock, at each change until it says that it is done.
func (p *memoryParticipant) until(ctx context.Context, f func() (bool, error)) error {
	for {
		p.m.mu.Lock()
		done, err := f()
		changed := p.m.changed
		p.m.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the backend or for others: %w", ctx.Err())
		}
	}
}

// plan finds who gives way to whom, nil for whoever is next.
func (m *memory) plan(to string) (from, target *node, err error) {
	at := slices.IndexFunc(m.queue, func(n *node) bool { return n.id == to })
	switch {
	case at < 0 && m.fault == "unknown targets are accepted":
		return nil, nil, nil
	case len(m.queue) == 0, to != "" && at < 0:
		return nil, nil, election.ErrNotContending
	case to == "":
		return m.queue[0], nil, nil
	case m.fault == "a transfer takes the next instead":
		at = min(at, 1)
	}
	return m.queue[0], m.queue[at], nil
}

// step lets those between queue again, and then tells the leader.
func (m *memory) step(from, target *node) (done bool, err error) {
	switch {
	case target != nil && target.gone:
		return true, election.ErrNotContending
	case from.gone:
		return true, nil
	}
	if target != nil {
		for _, n := range slices.Clone(m.queue[1:slices.Index(m.queue, target)]) {
			if !n.p.connected {
				return false, nil
			}
			m.queue = append(slices.DeleteFunc(m.queue, func(o *node) bool { return o == n }), n)
			m.epoch++
			n.epoch = m.epoch
		}
	}
	if from.tenure != nil && from.p.connected {
		reason := election.ErrResigned
		if m.fault == "a transfer is told as a loss" {
			reason = election.ErrLeaseExpired
		}
		from.tenure.lose(reason)
	}
	return false, nil
}
