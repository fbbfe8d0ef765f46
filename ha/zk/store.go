package zk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	electionzk "github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper"
)

const (
	// atOnce bounds the requests of one transaction that are under way at once.
	atOnce = 32
	// maxReads bounds the reads of the store that are under way at once: enough to
	// hide the round trip. What a session asks is answered in its order, so more of
	// them make the leader's renewals and its publication wait: ten thousand jobs that
	// read their progress at the start of a term held both up for seconds.
	maxReads = 64
)

// Store is the cluster's guarded store: each path below the root is a znode.
// Everything runs in the session of the term whose guard comes with the call, so
// reads see what the term's grant was ordered after, and nothing of an old term
// reaches a later session.
type Store struct {
	root    string
	parents sync.Map      // paths known to exist, so that they are made once
	reads   chan struct{} // holds a value for each read under way
}

var _ ha.Store = (*Store)(nil)

func newStore(root string) *Store {
	return &Store{root: root, reads: make(chan struct{}, maxReads)}
}

// Get returns a znode's data. See ha.Store.
func (s *Store) Get(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	guard, err := open(g)
	if err != nil {
		return nil, storeError("get", path, err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, storeError("get", path, err)
	}
	defer s.leave()
	data, _, err := guard.Session().Get(ctx, s.full(path))
	return data, storeError("get", path, err)
}

// List returns the names below a path. See ha.Store.
func (s *Store) List(ctx context.Context, g leader.Guard, path string) ([]string, error) {
	guard, err := open(g)
	if err != nil {
		return nil, storeError("list", path, err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, storeError("list", path, err)
	}
	defer s.leave()
	names, _, err := guard.Session().Children(ctx, s.full(path))
	if errors.Is(err, zookeeper.ErrNoNode) {
		return nil, nil
	}
	return names, storeError("list", path, err)
}

// enter waits until a read may be sent; its error is ctx's.
func (s *Store) enter(ctx context.Context) error {
	select {
	case s.reads <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) leave() { <-s.reads }

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
		if err == nil {
			s.forget(ops)
			return nil
		}
		if !errors.As(err, &failed) || failed.Index >= len(ops) {
			return storeError("commit", firstPath(ops), err)
		}
		op := ops[failed.Index]
		missing := errors.Is(err, zookeeper.ErrNoNode)
		switch {
		case missing && op.Kind == txn.Remove:
			// The ensemble has ordered this, so that reads from here on see all that was
			// written before, and it says nothing of the removes that follow.
			ops = slices.Delete(ops, failed.Index, failed.Index+1)
			if ops, err = s.dropAbsent(ctx, guard, ops, failed.Index); err != nil {
				return storeError("commit", op.Path, err)
			}
		case missing && op.Kind == txn.Create && !again:
			again = true
			if err := s.makeParents(ctx, guard, ops, true); err != nil {
				return storeError("commit", op.Path, err)
			}
		default:
			return refused(op, failed.Err)
		}
	}
}

// forget drops what was removed from the folders that are known to exist: each job
// with outputs has one.
func (s *Store) forget(ops []txn.Op) {
	for _, op := range ops {
		if op.Kind == txn.Delete || op.Kind == txn.Remove {
			s.parents.Delete(s.full(op.Path))
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

// dropAbsent returns ops without the removes, from the given one on, of what is not
// there. In a batch there may be hundreds, and each would fail a multi of its own.
func (s *Store) dropAbsent(ctx context.Context, guard zookeeper.Guard, ops []txn.Op, from int) ([]txn.Op, error) {
	absent := make([]bool, len(ops))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(atOnce)
	for i := from; i < len(ops); i++ {
		if ops[i].Kind != txn.Remove {
			continue
		}
		reads.Go(func() error {
			_, there, err := guard.Session().Exists(ctx, s.full(ops[i].Path))
			absent[i] = !there
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return ops, err
	}
	kept := ops[:0]
	for i, op := range ops {
		if !absent[i] {
			kept = append(kept, op)
		}
	}
	return kept, nil
}

// makeParents creates, guarded, the folders that the creates among ops need: those
// of one depth at once, the upper ones first. With anew it does not trust what it
// remembers: somebody may have removed one.
func (s *Store) makeParents(ctx context.Context, guard zookeeper.Guard, ops []txn.Op, anew bool) error {
	for _, level := range s.missingParents(ops, anew) {
		writes, ctx := errgroup.WithContext(ctx)
		writes.SetLimit(atOnce)
		for parent := range level {
			writes.Go(func() error {
				err := guard.Commit(ctx, zookeeper.CreateOp(parent, nil, zookeeper.Persistent))
				if err != nil && !errors.Is(err, zookeeper.ErrNodeExists) {
					return err
				}
				s.parents.Store(parent, true)
				return nil
			})
		}
		if err := writes.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// missingParents returns the folders below the root that the creates among ops need
// and that are not known to exist, or with anew all of them, by their depth.
func (s *Store) missingParents(ops []txn.Op, anew bool) []map[string]bool {
	var levels []map[string]bool
	for _, op := range ops {
		if op.Kind != txn.Create {
			continue
		}
		full, depth := s.full(op.Path), 0
		for i := len(s.root) + 1; i < len(full); i++ {
			if full[i] != '/' {
				continue
			}
			if depth++; depth > len(levels) {
				levels = append(levels, map[string]bool{})
			}
			if _, known := s.parents.Load(full[:i]); !known || anew {
				levels[depth-1][full[:i]] = true
			}
		}
	}
	return levels
}

func (s *Store) full(path string) string { return s.root + "/" + strings.TrimPrefix(path, "/") }

// open returns what election/zk put into the guard, unless it is known to have fallen.
func open(g leader.Guard) (zookeeper.Guard, error) {
	guard, err := electionzk.GuardOf(g)
	if err != nil {
		return guard, fmt.Errorf("%w: %w", leader.ErrFenced, err)
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
	case errors.Is(err, zookeeper.ErrNoNode):
		reason = txn.ErrNotFound
	case errors.Is(err, zookeeper.ErrTooLarge):
		reason = txn.ErrTooLarge
	default:
		return fmt.Errorf("store: %s %s: %w", op, path, err)
	}
	return fmt.Errorf("store: %s %s: %w (%w)", op, path, reason, err)
}

// refused returns the error of a transaction of which one operation could not be
// done.
func refused(op txn.Op, err error) error {
	switch {
	case errors.Is(err, zookeeper.ErrNodeExists):
		err = fmt.Errorf("%w (%w)", txn.ErrExists, err)
	case errors.Is(err, zookeeper.ErrNoNode):
		err = fmt.Errorf("%w (%w)", txn.ErrNotFound, err)
	default:
		return storeError(op.Kind.String(), op.Path, err)
	}
	return fmt.Errorf("store: %w", &txn.OpError{Kind: op.Kind, Path: op.Path, Err: err})
}

func firstPath(ops []txn.Op) string {
	if len(ops) == 0 {
		return ""
	}
	return ops[0].Path
}
