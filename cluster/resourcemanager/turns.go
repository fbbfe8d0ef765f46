package resourcemanager

import (
	"context"
	"errors"
	"sync"
)

// errSuperseded: something newer is to be done for the same worker or job.
var errSuperseded = errors.New("superseded by a newer call")

// turns has what is done for one name happen one after another. The zero turns is ready
// for use.
type turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

// turn is held by whoever does something for a name.
type turn struct {
	ended  chan struct{}
	cancel context.CancelCauseFunc // nil: it is not to be disturbed
}

// take waits for the name's turn, at most until ctx ends, and returns what gives it back.
// cancel, if it is not nil, is called with errSuperseded by whoever supersedes this.
// With supersede, take does so to whoever has the turn.
func (t *turns) take(ctx context.Context, name string, supersede bool, cancel context.CancelCauseFunc) (give func(), err error) {
	mine := &turn{ended: make(chan struct{}), cancel: cancel}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		other := t.try(name, mine)
		if other == nil {
			return func() { t.give(name, mine) }, nil
		}
		if supersede && other.cancel != nil {
			other.cancel(errSuperseded)
		}
		select {
		case <-other.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// try takes the turn if nobody has it, and returns whoever does.
func (t *turns) try(name string, mine *turn) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.held[name]; other != nil {
		return other
	}
	if t.held == nil {
		t.held = make(map[string]*turn)
	}
	t.held[name] = mine
	return nil
}

func (t *turns) give(name string, mine *turn) {
	t.mu.Lock()
	delete(t.held, name)
	t.mu.Unlock()
	close(mine.ended)
}
