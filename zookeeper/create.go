package zookeeper

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"
)

// EnsurePath creates a node and its ancestors, all persistent and empty, as far as
// they are missing; with Container as mode the last one is a container. Errors: as
// Create, without ErrNodeExists.
func (s *Session) EnsurePath(ctx context.Context, path string, mode Mode) error {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if err := s.ensure(ctx, path[:i], Persistent); err != nil {
			return err
		}
	}
	return s.ensure(ctx, path, mode)
}

// ensure creates one node if it is missing. Repeating it is harmless, so a lost
// reply is answered by another try.
func (s *Session) ensure(ctx context.Context, path string, mode Mode) error {
	for {
		_, exists, err := s.Exists(ctx, path)
		if err != nil || exists {
			return err
		}
		err = s.Create(ctx, path, nil, mode)
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
// and Stat. The parent is made as a container if it is missing. When a reply was
// lost the node is looked for by its uuid, after a write of this session was
// acknowledged on the new connection, so that nothing sent before it can still
// arrive; what is found is adopted only if this session owns it.
//
// Errors: ErrNoAuth, ErrExpired, ErrClosed; ErrUnknownOutcome when ctx or the
// session ended meanwhile, in which case the node may exist until the session ends.
func (s *Session) CreateProtected(ctx context.Context, parent, suffix string, data []byte) (string, Stat, error) {
	prefix := "_c_" + uuid.NewString() + "-"
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

// doubtful says of the error that stopped a call after its create was sent that the
// node may exist. The reason itself (a read that failed) does not tell.
func doubtful(parent string, err error) error {
	if errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	return &Error{Op: "create", Path: parent, Err: ErrUnknownOutcome, Cause: err}
}

// find returns the session's own child of parent with the prefix, "" for none.
func (s *Session) find(ctx context.Context, parent, prefix string) (string, Stat, error) {
	if err := s.barrier(ctx, parent); err != nil {
		return "", Stat{}, err
	}
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
