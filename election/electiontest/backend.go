package electiontest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// stageBackend is the driver of a Stage: it grants what the test hands it.
type stageBackend struct {
	grants chan *stageTenure

	mu    sync.Mutex
	epoch leader.Epoch
	// who contends or leads; the zero one is nobody.
	who   election.Participant
	infos map[string]leader.Info
}

var (
	_ election.Driver = (*stageBackend)(nil)
	_ election.Tenure = (*stageTenure)(nil)
)

func newStageBackend() *stageBackend {
	return &stageBackend{grants: make(chan *stageTenure), infos: make(map[string]leader.Info)}
}

// next returns the tenure of the term that the test begins next.
func (b *stageBackend) next() *stageTenure {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	return &stageTenure{
		backend: b, epoch: b.epoch,
		begun: make(chan struct{}), returned: make(chan struct{}), lost: make(chan struct{}),
	}
}

// observed is c, of which the tenure learns when Lead is called and what it returns.
func (b *stageBackend) observed(c election.Contender) election.Contender {
	return election.ContenderFunc(func(ctx context.Context, t *election.Term) error {
		tenure, ok := leader.Token[*stageTenure](t.Guard())
		if !ok {
			return fmt.Errorf("epoch %d is not of this stage", t.Epoch())
		}
		close(tenure.begun)
		defer close(tenure.returned)
		tenure.result = c.Lead(ctx, t)
		return tenure.result
	})
}

// Campaign waits for a grant of the test.
func (b *stageBackend) Campaign(ctx context.Context, c election.Candidate) (election.Tenure, error) {
	b.mu.Lock()
	b.who = election.Participant{ID: c.ID, Epoch: b.epoch + 1, Since: time.Now()}
	b.mu.Unlock()
	select {
	case t := <-b.grants:
		return t, nil
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.who = election.Participant{}
		return nil, ctx.Err()
	}
}

// Participants returns the one that contends or leads.
func (b *stageBackend) Participants(context.Context) ([]election.Participant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.who.ID == "" {
		return nil, nil
	}
	return []election.Participant{b.who}, nil
}

// Transfer does nothing for the one that is there, and refuses any other.
func (b *stageBackend) Transfer(_ context.Context, to string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.who.ID == "" || to != b.who.ID {
		return fmt.Errorf("transfer to %q: %w on this stage", to, election.ErrNotContending)
	}
	return nil
}

// stageTenure is a term as the Elector sees it.
type stageTenure struct {
	backend *stageBackend
	epoch   leader.Epoch
	// begun is closed when Lead is called, returned after result was set.
	begun, returned chan struct{}
	result          error

	lost chan struct{}
	// The backend's lock guards both. fallen: the backend counts it no more.
	fallen bool
	cause  error
}

// Guard returns a guard that Stage.Check reads.
func (t *stageTenure) Guard() leader.Guard { return leader.NewGuard(t.epoch, t) }

// Lost is closed when the test has ended the term.
func (t *stageTenure) Lost() <-chan struct{} { return t.lost }

// Err returns why it has.
func (t *stageTenure) Err() error {
	t.backend.mu.Lock()
	defer t.backend.mu.Unlock()
	return t.cause
}

// Publish shows the infos to Stage.Published.
func (t *stageTenure) Publish(_ context.Context, infos ...leader.Info) error {
	t.backend.mu.Lock()
	defer t.backend.mu.Unlock()
	if err := t.checkLocked(); err != nil {
		return err
	}
	for _, info := range infos {
		t.backend.infos[info.Component] = info
	}
	return nil
}

// Release ends what is left of the term.
func (t *stageTenure) Release(context.Context) error {
	t.fall()
	return nil
}

func (t *stageTenure) check() error {
	t.backend.mu.Lock()
	defer t.backend.mu.Unlock()
	return t.checkLocked()
}

func (t *stageTenure) checkLocked() error {
	if t.fallen {
		return fmt.Errorf("a write in epoch %d: %w", t.epoch, leader.ErrFenced)
	}
	return nil
}

// fall has the backend forget the term, and what it has published. What a later term
// has is left alone.
func (t *stageTenure) fall() {
	t.backend.mu.Lock()
	defer t.backend.mu.Unlock()
	if !t.fallen {
		t.fallen = true
		t.backend.who = election.Participant{}
		clear(t.backend.infos)
	}
}

// lose tells the Elector, once.
func (t *stageTenure) lose(cause error) {
	t.backend.mu.Lock()
	defer t.backend.mu.Unlock()
	select {
	case <-t.lost:
	default:
		t.cause = cause
		close(t.lost)
	}
}
