package coordinator

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/leader"
)

// Gate is something that a term must pass before anything is read or written in
// it, because what it would read could mean something else, or be incomplete.
type Gate interface {
	// Pass returns nil when the term may go on. It may write, guarded, what the
	// first term of a cluster is to leave. Its error ends the term: it says what to
	// do about it, and another participant may pass.
	Pass(ctx context.Context, g leader.Guard) error
}

// pass goes through all gates in their order.
func (p *leaderProcess) pass(ctx context.Context, g leader.Guard) error {
	for _, gate := range p.cfg.Gates {
		if err := gate.Pass(ctx, g); err != nil {
			return fmt.Errorf("this participant cannot lead: %w", err)
		}
	}
	return nil
}
