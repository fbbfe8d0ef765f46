package election

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Group is several components that are led together, under one latch and in one
// term: contenders by component name. It is a Contender itself.
//
// All members lead at the same time, each with a Term of its component. They
// publish each for itself; Status.Phase becomes ready when the last one is. When
// one member returns, with an error or without, the term ends for all of them:
// their context is cancelled, and leadership is released when all have returned.
// A Group must not change while it leads.
type Group map[string]Contender

var _ Contender = Group(nil)

// Lead runs all members until each has returned. It returns their errors, each
// with the name of its component, joined, without those that only repeat that
// the term ended. A Group without members, or one that names none, is fatal.
func (g Group) Lead(ctx context.Context, t *Term) error {
	if err := g.validate(); err != nil {
		return Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	names := slices.Sorted(maps.Keys(g))
	type result struct {
		member int
		err    error
	}
	results := make(chan result, len(names))
	for i, term := range t.split(names) {
		go func() { results <- result{i, g[names[i]].Lead(ctx, term)} }()
	}

	errs := make([]error, len(names))
	for range names {
		r := <-results
		over := context.Cause(ctx)
		if over == nil {
			// The elector must know, so that the others' stop grace begins.
			over = fmt.Errorf("%w, that of component %q", errReturned, names[r.member])
			cancel(over)
			t.grant.end(over)
		} else if r.err != nil && echoes(r.err, over) {
			continue
		}
		if r.err != nil {
			errs[r.member] = fmt.Errorf("component %q: %w", names[r.member], r.err)
		}
	}
	return errors.Join(errs...)
}

func (g Group) validate() error {
	if len(g) == 0 {
		return errors.New("election: the group has no members: give it at least one component")
	}
	for name, member := range g {
		switch {
		case name == "":
			return errors.New("election: a member of the group has no component name")
		case member == nil:
			return fmt.Errorf("election: component %q of the group has no contender", name)
		}
	}
	return nil
}
