package zookeeper

import (
	"context"
	"errors"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/google/uuid"
)

// EnsurePath creates a node and its ancestors, all persistent and empty, as far as
// they are missing; with Container as mode the last one is a container. A missing
// chroot is created, too. Errors: as Create, without ErrNodeExists.
func (s *Session) EnsurePath(ctx context.Context, path string, mode Mode) error {
	err := s.ensureBelow(ctx, len(s.cfg.Chroot), path, mode)
	if errors.Is(err, ErrNoNode) && s.cfg.Chroot != "" {
		return s.ensureBelow(ctx, 0, path, mode)
	}
	return err
}

// ensureBelow is EnsurePath for what stands behind the first bytes of the full path.
func (s *Session) ensureBelow(ctx context.Context, first int, path string, mode Mode) error {
	full := s.full(path)
	for i := first + 1; i < len(full); i++ {
		if full[i] != '/' {
			continue
		}
		if err := s.ensure(ctx, full[:i], Persistent); err != nil {
			return err
		}
	}
	return s.ensure(ctx, full, mode)
}

// ensure creates one node if it is missing. Repeating it is harmless, so a lost
// reply is answered by another try.
func (s *Session) ensure(ctx context.Context, full string, mode Mode) error {
	for {
		exists, err := read(ctx, s, "exists", full, func(c *zk.Conn, _ string) (bool, error) {
			exists, _, err := c.Exists(full)
			return exists, err
		})
		if err != nil || exists {
			return err
		}
		s.vet(ctx, full)
		_, err = call(ctx, s, "create", full, func(c *zk.Conn, _ string) (string, error) {
			return s.make(c, full, nil, mode)
		})
		switch {
		case err == nil || errors.Is(err, ErrNodeExists):
			return nil
		case !errors.Is(err, ErrUnknownOutcome) || s.await(ctx) != nil:
			return err
		}
	}
}

// CreateProtected creates an ephemeral sequential child of parent that this
// session is sure to own, named _c_<uuid>-<suffix><sequence>, and returns its path
// and Stat. The UUID is of version 8; see OwnMark. The parent is made as a container
// if it is missing. When a reply was lost the node is looked for by its uuid, after a
// write of this session was acknowledged on the new connection, so that nothing sent
// before it can still arrive; what is found is adopted only if this session owns it.
//
// Errors: ErrNoAuth, ErrExpired, ErrClosed; ErrUnknownOutcome when ctx or the
// session ended meanwhile, in which case the node may exist until the session ends.
func (s *Session) CreateProtected(ctx context.Context, parent, suffix string, data []byte) (string, Stat, error) {
	prefix := "_c_" + newMark().String() + "-"
	for {
		path, err := s.create(ctx, parent+"/"+prefix+suffix, data, ephemeralSequential)
		switch {
		case err == nil:
			stat, exists, err := s.Exists(ctx, path)
			if err != nil {
				return "", Stat{}, doubtful(parent, err)
			}
			if exists {
				return path, stat, nil
			} // deleted by somebody meanwhile: once more
		case errors.Is(err, ErrNoNode):
			if err := s.EnsurePath(ctx, parent, Container); err != nil {
				return "", Stat{}, err
			}
		case errors.Is(err, ErrUnknownOutcome):
			if waitErr := s.await(ctx); waitErr != nil {
				return "", Stat{}, err
			}
			path, stat, err := s.find(ctx, parent, prefix)
			if err != nil {
				return "", Stat{}, doubtful(parent, err)
			}
			if path != "" {
				return path, stat, nil
			}
		default:
			return "", Stat{}, err
		}
	}
}

// ReplaceProtected deletes a node that CreateProtected made in this session and makes
// another one beside it, behind all others, in one transaction: at no time are there
// both or neither. It returns the new node's path and Stat. A lost reply is resolved
// as by CreateProtected; then, if the new node is not there, the transaction is
// issued again.
//
// Errors: ErrNoNode when the old node, or already the new one, was deleted by somebody
// else; ErrNoAuth, ErrExpired, ErrClosed; ErrUnknownOutcome when ctx or the session
// ended meanwhile, in which case the new node may exist until the session ends.
func (s *Session) ReplaceProtected(ctx context.Context, old, suffix string, data []byte) (string, Stat, error) {
	parent := old[:max(0, strings.LastIndexByte(old, '/'))]
	prefix := "_c_" + newMark().String() + "-"
	for {
		err := s.Multi(ctx, DeleteOp(old, -1), CreateOp(parent+"/"+prefix+suffix, data, ephemeralSequential))
		search := s.own
		switch {
		case errors.Is(err, ErrUnknownOutcome):
			if s.await(ctx) != nil {
				return "", Stat{}, err
			}
			search = s.find
		case err != nil:
			return "", Stat{}, err
		}
		path, stat, searchErr := search(ctx, parent, prefix)
		switch {
		case searchErr != nil:
			return "", Stat{}, doubtful(parent, searchErr)
		case path != "":
			return path, stat, nil
		case err == nil:
			return "", Stat{}, &Error{Op: "replace", Path: old, Err: ErrNoNode}
		}
	}
}

// newMark returns a random UUID of version 8, which RFC 9562 leaves to those who use
// it. Curator's are of version 4; OwnMark tells them apart.
func newMark() uuid.UUID {
	mark := uuid.New()
	mark[6] = mark[6]&0x0f | 0x80
	return mark
}

// OwnMark reports whether a node's name is one that CreateProtected of this package
// gave, and not another implementation of the same protocol.
func OwnMark(name string) bool {
	const from, length = len("_c_"), 36
	if len(name) < from+length || name[:from] != "_c_" {
		return false
	}
	mark, err := uuid.Parse(name[from : from+length])
	return err == nil && mark.Version() == 8
}

// doubtful says of the error that stopped a call after its create was sent that the
// node may exist. The reason itself (a read that failed) does not tell.
func doubtful(parent string, err error) error {
	if errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	return &Error{Op: "create", Path: parent, Err: ErrUnknownOutcome, Cause: err}
}

// find is own after a barrier: what was sent before has been applied or never will.
func (s *Session) find(ctx context.Context, parent, prefix string) (string, Stat, error) {
	if err := s.barrier(ctx, parent); err != nil {
		return "", Stat{}, err
	}
	return s.own(ctx, parent, prefix)
}

// own returns the session's own child of parent with the prefix, "" for none.
func (s *Session) own(ctx context.Context, parent, prefix string) (string, Stat, error) {
	names, _, err := s.Children(ctx, parent)
	if errors.Is(err, ErrNoNode) {
		return "", Stat{}, nil
	}
	if err != nil {
		return "", Stat{}, err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		path := parent + "/" + name
		stat, exists, err := s.Exists(ctx, path)
		if err != nil {
			return "", Stat{}, err
		}
		if exists && stat.EphemeralOwner == s.ID() {
			return path, stat, nil
		}
	}
	return "", Stat{}, nil
}

// barrier makes a write without effect and waits for its acknowledgement. It is
// ordered after everything this session sent before: the ensemble refuses requests
// of a session through a server that it has moved away from.
func (s *Session) barrier(ctx context.Context, path string) error {
	for {
		err := s.Multi(ctx, CheckOp(path, -1))
		if _, _, failed := opFailure(err); err == nil || failed {
			return nil // also the failure of the check is ordered
		}
		if !errors.Is(err, ErrUnknownOutcome) || s.await(ctx) != nil {
			return err
		}
	}
}
