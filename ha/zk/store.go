package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper"
)

// Store is the cluster's guarded store: each path below the root is a znode.
// Everything runs in the session of the term whose guard comes with the call, so
// reads see what the term's grant was ordered after, and nothing of an old term
// reaches a later session.
type Store struct {
	root    string
	parents sync.Map // paths known to exist, so that they are made once
}

var _ ha.Store = (*Store)(nil)

// Get returns a znode's data. See ha.Store.
func (s *Store) Get(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	guard, err := open(g)
	if err != nil {
		return nil, storeError("get", path, err)
	}
	data, _, err := guard.Session().Get(ctx, s.full(path))
	return data, storeError("get", path, err)
}

// List returns the names below a path. See ha.Store.
func (s *Store) List(ctx context.Context, g leader.Guard, path string) ([]string, error) {
	guard, err := open(g)
	if err != nil {
		return nil, storeError("list", path, err)
	}
	names, _, err := guard.Session().Children(ctx, s.full(path))
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil, nil
	}
	return names, storeError("list", path, err)
}

// Commit applies a transaction as one guarded multi. See ha.Store.
func (s *Store) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	guard, err := open(g)
	if err != nil {
		return storeError("commit", "", err)
	}
	if err := s.makeParents(ctx, guard, ops, false); err != nil {
		return storeError("commit", ops[0].Path, err)
	}
	ops = slices.Clone(ops)
	again := false // the parents that were known to exist have been made again
	for {
		err := guard.Commit(ctx, s.requests(ops)...)
		var failed *zookeeper.MultiError
		if !errors.As(err, &failed) || failed.Index >= len(ops) {
			return storeError("commit", firstPath(ops), err)
		}
		op := ops[failed.Index]
		missing := errors.Is(err, zookeeper.ErrNoNode)
		switch {
		case missing && op.Kind == txn.Remove:
			ops = slices.Delete(ops, failed.Index, failed.Index+1)
		case missing && op.Kind == txn.Create && !again:
			again = true
			if err := s.makeParents(ctx, guard, ops, true); err != nil {
				return storeError("commit", op.Path, err)
			}
		default:
			return storeError(op.Kind.String(), op.Path, failed.Err)
		}
	}
}

// requests translates operations.
func (s *Store) requests(ops []txn.Op) []zookeeper.Op {
	out := make([]zookeeper.Op, len(ops))
	for i, op := range ops {
		switch full := s.full(op.Path); op.Kind {
		case txn.Create:
			out[i] = zookeeper.CreateOp(full, op.Data, zookeeper.Persistent)
		case txn.Put:
			out[i] = zookeeper.SetOp(full, op.Data, -1)
		default:
			out[i] = zookeeper.DeleteOp(full, -1)
		}
	}
	return out
}

// makeParents creates, guarded, the folders that the creates among ops need. With
// anew it does not trust what it remembers: somebody may have removed one.
func (s *Store) makeParents(ctx context.Context, guard zookeeper.Guard, ops []txn.Op, anew bool) error {
	for _, op := range ops {
		if op.Kind != txn.Create {
			continue
		}
		full := s.full(op.Path)
		for i := len(s.root); i < len(full); i++ {
			parent := full[:i]
			if full[i] != '/' || i == len(s.root) {
				continue
			}
			if _, known := s.parents.Load(parent); known && !anew {
				continue
			}
			err := guard.Commit(ctx, zookeeper.CreateOp(parent, nil, zookeeper.Persistent))
			if err != nil && !errors.Is(err, zookeeper.ErrNodeExists) {
				return err
			}
			s.parents.Store(parent, true)
		}
	}
	return nil
}

func (s *Store) full(path string) string { return s.root + "/" + strings.TrimPrefix(path, "/") }

// open returns what election/zk put into the guard, unless it is known to have fallen.
func open(g leader.Guard) (zookeeper.Guard, error) {
	guard, ok := leader.Token[zookeeper.Guard](g)
	if !ok {
		return guard, fmt.Errorf("%w: the guard is not of this backend", leader.ErrFenced)
	}
	return guard, guard.Err()
}

// storeError translates the client's errors into those that stores decide upon.
func storeError(op, path string, err error) error {
	var reason error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, zookeeper.ErrUnknownOutcome) && errors.Is(err, leader.ErrFenced):
		reason = fmt.Errorf("%w: %w", leader.ErrFenced, txn.ErrUnknownOutcome)
	case errors.Is(err, leader.ErrFenced):
		reason = leader.ErrFenced
	case errors.Is(err, zookeeper.ErrUnknownOutcome) && (errors.Is(err, zookeeper.ErrExpired) || errors.Is(err, zookeeper.ErrClosed)):
		reason = fmt.Errorf("%w: %w", leader.ErrFenced, txn.ErrUnknownOutcome)
	case errors.Is(err, zookeeper.ErrUnknownOutcome):
		reason = txn.ErrUnknownOutcome
	case errors.Is(err, zookeeper.ErrExpired), errors.Is(err, zookeeper.ErrClosed):
		reason = leader.ErrFenced // the session that held the term is over
	case errors.Is(err, zookeeper.ErrNodeExists):
		reason = txn.ErrExists
	case errors.Is(err, zookeeper.ErrNoNode):
		reason = txn.ErrNotFound
	case errors.Is(err, zookeeper.ErrTooLarge):
		reason = txn.ErrTooLarge
	default:
		return fmt.Errorf("store: %s %s: %w", op, path, err)
	}
	return fmt.Errorf("store: %s %s: %w (%w)", op, path, reason, err)
}

func firstPath(ops []txn.Op) string {
	if len(ops) == 0 {
		return ""
	}
	return ops[0].Path
}
