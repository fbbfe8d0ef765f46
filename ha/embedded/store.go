package embedded

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

type store struct{ p *Participant }

var _ ha.Store = store{}

// Get returns a copy of the data at path.
func (s store) Get(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	var data []byte
	err := s.guarded(ctx, g, call{ops: []string{OpGet}, paths: []string{path}}, func() error {
		var ok bool
		if data, ok = s.p.backend.tree.get(path); !ok {
			return txn.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	return data, nil
}

// List returns the names directly under path.
func (s store) List(ctx context.Context, g leader.Guard, path string) ([]string, error) {
	if err := checkPath(path); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var names []string
	err := s.guarded(ctx, g, call{ops: []string{OpList}, paths: []string{path}}, func() error {
		names = s.p.backend.tree.list(path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	return names, nil
}

// Commit applies the operations all together or not at all. A transaction that
// is malformed (an unknown kind, a bad path, a path twice) is refused with an
// error of its own.
func (s store) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	b := s.p.backend
	if err := checkOps(ops, b.cfg.MaxTransaction); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	c := call{ops: []string{OpCommit}}
	for _, op := range ops {
		c.ops = append(c.ops, op.Kind.String())
		c.paths = append(c.paths, op.Path)
	}
	err := s.faulty(g, c, func(cand *candidacy) error { return s.write(ctx, cand, ops) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()), errors.Is(err, ErrKilled):
		return fmt.Errorf("commit %s: %w: %w", strings.Join(c.paths, ", "), txn.ErrUnknownOutcome, err)
	default:
		return fmt.Errorf("commit %s: %w", strings.Join(c.paths, ", "), err)
	}
}

// guarded calls do under the backend's lock while the guard's term leads, with
// the faults that were injected for the call.
func (s store) guarded(ctx context.Context, g leader.Guard, c call, do func() error) error {
	return s.faulty(g, c, func(cand *candidacy) error {
		return s.p.reach(ctx, func() error {
			if !s.p.backend.leads(cand) {
				return fmt.Errorf("%w (epoch %s)", leader.ErrFenced, g.Epoch())
			}
			return do()
		})
	})
}

// faulty calls do with the guard's candidacy, and with the faults that were injected
// for the call.
func (s store) faulty(g leader.Guard, c call, do func(*candidacy) error) error {
	b := s.p.backend
	c.participant = s.p.id
	hit := b.faults.hit(c)
	if err := hit.before(); err != nil {
		return err
	}
	cand, ok := leader.Token[*candidacy](g)
	if !ok || cand.backend != b {
		return fmt.Errorf("%w: the guard is not of this backend", leader.ErrFenced)
	}
	err := do(cand)
	if errors.Is(err, errStopped) {
		return fmt.Errorf("%w: %w", leader.ErrFenced, err)
	}
	if err != nil {
		return err
	}
	return hit.after()
}
