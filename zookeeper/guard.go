package zookeeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Guard makes writes that only the owner of a node can make: every one is a multi
// whose first operation checks that the node exists. While the node stands for
// leadership (it is the lowest of its latch as long as it exists), the check
// passes exactly while the owner leads, decided by ZooKeeper's order and not by
// anybody's clock. The node's version is not checked: a stray change of its data
// must not disarm an owner that still leads.
type Guard struct {
	session *Session
	path    string
	fallen  *atomic.Bool
}

// Guard returns the guard of a node that this session owns.
func (s *Session) Guard(path string) Guard {
	return Guard{session: s, path: path, fallen: new(atomic.Bool)}
}

// Session returns the session to which everything guarded is pinned.
func (g Guard) Session() *Session { return g.session }

// Path returns the guarding node.
func (g Guard) Path() string { return g.path }

// Fall notes that the owner has given the node up. Everything done with the guard
// fails from then on, without a request.
func (g Guard) Fall() { g.fallen.Store(true) }

// Err returns an error that wraps ErrFenced once it is known here that the guard's
// node is gone or its session has ended, and nil before. Reads under a guard ask it
// first; it is no substitute for a guarded write.
func (g Guard) Err() error {
	if g.fallen.Load() {
		return &Error{Op: "guard", Path: g.path, Err: ErrFenced}
	}
	if err := g.session.Err(); err != nil {
		return &Error{Op: "guard", Path: g.path, Err: ErrFenced, Cause: err}
	}
	return nil
}

// Check makes one check-only multi and blocks until it is acknowledged: a quorum
// of the ensemble has then confirmed that the guard's node existed after Check was
// called, and every later read of this session sees at least all that was written
// before. Errors: ErrFenced, with the session's end when that is why; or
// ErrUnknownOutcome when no answer came.
func (g Guard) Check(ctx context.Context) error {
	if err := g.Err(); err != nil {
		return err
	}
	return g.fenced("check", g.session.Multi(ctx, CheckOp(g.path, -1)))
}

// Commit applies all operations or none, while the guard's node exists. A lost
// reply is resolved by issuing the same multi again, never by a bare read: the
// first one may still be on its way. When the repeated multi finds an operation
// already done, and what is there is what this call wrote, it succeeds; so data
// written by a create must differ from anything another writer would put there.
//
// Errors: *MultiError whose Index counts from the first of ops, ErrFenced,
// ErrTooLarge; ErrUnknownOutcome with ErrExpired, ErrClosed or ctx's error when the
// session or ctx ended before the outcome was known; and ErrFenced with
// ErrUnknownOutcome when the guard fell after a lost reply.
func (g Guard) Commit(ctx context.Context, ops ...Op) error {
	if err := g.Err(); err != nil {
		return err
	}
	all := append([]Op{CheckOp(g.path, -1)}, ops...)
	var lost error // the first attempt whose outcome is unknown
	for {
		err := g.session.Multi(ctx, all...)
		if errors.Is(err, ErrUnknownOutcome) {
			lost = err
			if waitErr := g.session.await(ctx); waitErr != nil {
				return &Error{Op: "commit", Path: g.path, Err: ErrUnknownOutcome, Cause: waitErr}
			}
			continue
		}
		if lost == nil {
			return g.renumber(g.fenced("commit", err))
		}
		return g.settle(ctx, all, lost, err)
	}
}

// settle interprets the answer to a repeated multi.
func (g Guard) settle(ctx context.Context, all []Op, lost, err error) error {
	if err == nil {
		return nil
	}
	index, reason, ok := opFailure(err)
	switch {
	case ok && index == 0 && errors.Is(reason, ErrNoNode):
		g.Fall()
		return &Error{Op: "commit", Path: g.path, Err: ErrFenced, Cause: lost}
	case ok:
		applied, readErr := g.applied(ctx, all[1:])
		if readErr != nil {
			return &Error{Op: "commit", Path: all[index].path, Err: ErrUnknownOutcome, Cause: readErr}
		}
		if applied {
			return nil
		}
		return g.renumber(err)
	default: // the session or ctx ended before the repetition was answered
		return &Error{Op: "commit", Path: g.path, Err: ErrUnknownOutcome, Cause: err}
	}
}

// applied reports whether all that the operations would do is done, which is so if
// the first try was applied. The failed repetition was ordered by the ensemble after
// its check had passed, so these reads see what the first try left, and it will
// not arrive any more. Checks leave nothing: where there is nothing else, the answer
// to the repetition is the answer.
func (g Guard) applied(ctx context.Context, ops []Op) (bool, error) {
	done := false
	for _, op := range ops {
		done = done || op.kind != "check"
		data, stat, err := g.session.Get(ctx, op.path)
		gone := errors.Is(err, ErrNoNode)
		switch {
		case err != nil && !gone:
			return false, err
		case op.kind == "delete" && !gone,
			op.kind != "delete" && gone,
			(op.kind == "create" || op.kind == "set") && !bytes.Equal(data, op.data),
			op.mode == Ephemeral && stat.EphemeralOwner != g.session.ID():
			return false, nil
		}
	}
	return done, nil
}

// fenced turns the failure of the check into ErrFenced.
func (g Guard) fenced(op string, err error) error {
	if index, reason, ok := opFailure(err); ok && index == 0 && errors.Is(reason, ErrNoNode) {
		g.Fall()
		return &Error{Op: op, Path: g.path, Err: ErrFenced}
	}
	return err
}

// renumber counts the failed operation from the caller's first.
func (g Guard) renumber(err error) error {
	if index, reason, ok := opFailure(err); ok && index > 0 {
		return &MultiError{Index: index - 1, Err: reason}
	}
	return err
}

// String returns the guard for logs.
func (g Guard) String() string { return fmt.Sprintf("guard(%s)", g.path) }
