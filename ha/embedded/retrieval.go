package embedded

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/retrieval"
)

type retrievalDriver struct{ p *Participant }

var _ retrieval.Driver = retrievalDriver{}

// Follow reports what the backend knows about the component's leader. It returns
// ErrKilled, wrapped, when the participant was killed.
func (d retrievalDriver) Follow(ctx context.Context, component string, observe func(retrieval.Observation)) error {
	var last *retrieval.Observation
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, changed, err := d.look(component)
		if err != nil {
			return fmt.Errorf("follow %s: %w", component, err)
		}
		if last == nil || now != *last {
			last = &now
			observe(now)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d retrievalDriver) look(component string) (now retrieval.Observation, changed <-chan struct{}, err error) {
	b, p := d.p.backend, d.p
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.killed {
		return now, nil, ErrKilled
	}
	fixed, isFixed := b.fixed[component]
	switch published, ok := b.published[component]; {
	case isFixed && !ok:
		// Fixed addresses come from the configuration: nothing must be asked for them.
		now = retrieval.Observation{Status: retrieval.StatusKnown, Info: fixed, Index: int64(fixedEpoch)}
	case !p.running || !p.connected:
		now = retrieval.Observation{Status: retrieval.StatusUnknown}
	case ok:
		now = retrieval.Observation{Status: retrieval.StatusKnown, Info: published.info, Index: published.index}
	default:
		now = retrieval.Observation{Status: retrieval.StatusNone, Index: b.publishedAt}
	}
	return now, b.changed, nil
}
