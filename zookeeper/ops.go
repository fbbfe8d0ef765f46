package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// Stat is what ZooKeeper knows of a znode besides its data.
type Stat struct {
	// Czxid, Mzxid and Pzxid are the transactions that created the node, last
	// changed its data, and last changed its list of children.
	Czxid, Mzxid, Pzxid int64
	// Version counts changes of the data.
	Version int32
	// EphemeralOwner is the session that owns an ephemeral node, zero otherwise.
	EphemeralOwner int64
	// Created and Modified are by the server's clock.
	Created, Modified time.Time
	// NumChildren is the number of children.
	NumChildren int
}

func newStat(s *zk.Stat) Stat {
	if s == nil {
		return Stat{}
	}
	return Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Pzxid: s.Pzxid, Version: s.Version,
		EphemeralOwner: s.EphemeralOwner, NumChildren: int(s.NumChildren),
		Created: time.UnixMilli(s.Ctime), Modified: time.UnixMilli(s.Mtime),
	}
}

// Mode says what kind of znode to create.
type Mode int

// The modes of a create.
const (
	// Persistent nodes stay until they are deleted.
	Persistent Mode = iota
	// Ephemeral nodes vanish with the session.
	Ephemeral
	// Container nodes are removed by the server some time after their last child.
	Container
	// ephemeralSequential is used through CreateProtected only, as no plain create
	// can tell its own node after a lost reply.
	ephemeralSequential
)

// Get returns a node's data and Stat. Errors: ErrNoNode, ErrNoAuth, ErrExpired,
// ErrClosed, or ErrSuspended with ctx's. While the connection is lost it waits
// and asks again, as all reads do.
func (s *Session) Get(ctx context.Context, path string) ([]byte, Stat, error) {
	type reply struct {
		data []byte
		stat Stat
	}
	r, err := read(ctx, s, "get", path, func(c *zk.Conn, full string) (reply, error) {
		data, stat, err := c.Get(full)
		return reply{data, newStat(stat)}, err
	})
	return r.data, r.stat, err
}

// Exists returns a node's Stat and whether it exists. Errors: as Get, without
// ErrNoNode.
func (s *Session) Exists(ctx context.Context, path string) (Stat, bool, error) {
	type reply struct {
		stat   Stat
		exists bool
	}
	r, err := read(ctx, s, "exists", path, func(c *zk.Conn, full string) (reply, error) {
		exists, stat, err := c.Exists(full)
		return reply{newStat(stat), exists}, err
	})
	return r.stat, r.exists, err
}

// Children returns the names of a node's children in no particular order. Errors:
// as Get.
func (s *Session) Children(ctx context.Context, path string) ([]string, Stat, error) {
	type reply struct {
		names []string
		stat  Stat
	}
	r, err := read(ctx, s, "children", path, func(c *zk.Conn, full string) (reply, error) {
		names, stat, err := c.Children(full)
		return reply{names, newStat(stat)}, err
	})
	return r.names, r.stat, err
}

// read runs a request without effect, again and again until it is answered, the
// session has ended, or ctx has.
func read[T any](ctx context.Context, s *Session, op, path string, do func(*zk.Conn, string) (T, error)) (T, error) {
	for {
		v, err := call(ctx, s, op, path, do)
		if !errors.Is(err, ErrUnknownOutcome) || ctx.Err() != nil || s.Err() != nil {
			return v, s.asRead(ctx, err)
		}
		if err := s.await(ctx); err != nil {
			var zero T
			return zero, &Error{Op: op, Path: path, Err: err}
		}
	}
}

// asRead takes the doubt out of an error: a read whose outcome is unknown has
// simply failed.
func (s *Session) asRead(ctx context.Context, err error) error {
	var e *Error
	if !errors.As(err, &e) || !errors.Is(e.Err, ErrUnknownOutcome) {
		return err
	}
	if ended := s.Err(); ended != nil {
		return &Error{Op: e.Op, Path: e.Path, Err: ended}
	}
	return &Error{Op: e.Op, Path: e.Path, Err: ErrSuspended, Cause: context.Cause(ctx)}
}

// call runs one request in this session and blocks until it is answered, the
// session has ended, or ctx has. In the last two cases the request may be on its
// way: the error wraps ErrUnknownOutcome.
func call[T any](ctx context.Context, s *Session, op, path string, do func(*zk.Conn, string) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, &Error{Op: op, Path: path, Err: context.Cause(ctx)}
	}
	if n := len(s.cfg.Chroot) + len(path); n > maxPath {
		cause := fmt.Errorf("the path has %d bytes, the limit is %d", n, maxPath)
		return zero, &Error{Op: op, Path: path[:min(64, len(path))] + "...", Err: ErrTooLarge, Cause: cause}
	}
	if err := s.begin(); err != nil {
		return zero, &Error{Op: op, Path: path, Err: err}
	}
	type reply struct {
		v   T
		err error
	}
	replies := make(chan reply, 1)
	go func() {
		defer s.inflight.Done()
		v, err := do(s.conn, s.full(path))
		replies <- reply{v, err}
	}()
	select {
	case r := <-replies:
		if r.err == nil {
			return r.v, nil
		}
		return zero, s.failed(op, path, r.err)
	case <-ctx.Done():
		return zero, &Error{Op: op, Path: path, Err: ErrUnknownOutcome, Cause: context.Cause(ctx)}
	case <-s.done:
		return zero, &Error{Op: op, Path: path, Err: ErrUnknownOutcome, Cause: s.Err()}
	}
}

// full returns a path as the servers know it.
func (s *Session) full(path string) string {
	if path == "/" && s.cfg.Chroot != "" {
		return s.cfg.Chroot
	}
	return s.cfg.Chroot + path
}

// begin counts a call in, unless the session has ended.
func (s *Session) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Ended {
		return s.err
	}
	s.inflight.Add(1)
	return nil
}

// failed translates go-zookeeper's error.
func (s *Session) failed(op, path string, err error) error {
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	reason, known := answer(err)
	switch {
	case !known:
		if ended := s.Err(); ended != nil {
			err = ended // go-zookeeper only says that it was closed
		}
		return &Error{Op: op, Path: path, Err: ErrUnknownOutcome, Cause: err}
	case errors.Is(reason, ErrSuspended) && s.Err() != nil:
		return &Error{Op: op, Path: path, Err: s.Err()}
	case errors.Is(reason, ErrExpired):
		// The server may keep the connection for a while; the session is over.
		s.expired()
		return &Error{Op: op, Path: path, Err: reason}
	case errors.Is(reason, ErrNoAuth):
		return &Error{Op: op, Path: path, Err: reason, Cause: s.cfg.Security.identity()}
	case errors.Is(reason, errRefused):
		return &Error{Op: op, Path: path, Err: reason, Cause: err}
	default:
		return &Error{Op: op, Path: path, Err: reason}
	}
}

// Create creates a node. Its parent must exist. Errors: ErrNodeExists, ErrNoNode,
// ErrNoAuth, ErrTooLarge, ErrExpired, ErrClosed, or ErrUnknownOutcome.
func (s *Session) Create(ctx context.Context, path string, data []byte, mode Mode) error {
	_, err := s.create(ctx, path, data, mode)
	return err
}

func (s *Session) create(ctx context.Context, path string, data []byte, mode Mode) (string, error) {
	if err := checkSize("create", path, len(data)); err != nil {
		return "", err
	}
	s.vet(ctx, s.cfg.Chroot+path)
	created, err := call(ctx, s, "create", path, func(c *zk.Conn, full string) (string, error) {
		return s.make(c, full, data, mode)
	})
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(created, s.cfg.Chroot+path) {
		cause := fmt.Errorf("the server says that it created %q", created)
		return "", &Error{Op: "create", Path: path, Err: ErrUnknownOutcome, Cause: cause}
	}
	return created[len(s.cfg.Chroot):], nil
}

// make is the create of go-zookeeper for a mode.
func (s *Session) make(c *zk.Conn, full string, data []byte, mode Mode) (string, error) {
	switch mode {
	case Container:
		return c.CreateContainer(full, data, zk.FlagContainer, s.acl())
	case Ephemeral:
		return c.Create(full, data, zk.FlagEphemeral, s.acl())
	case ephemeralSequential:
		return c.Create(full, data, zk.FlagEphemeral|zk.FlagSequence, s.acl())
	default:
		return c.Create(full, data, 0, s.acl())
	}
}

// Delete removes a node; version -1 stands for any. Errors: ErrNoNode,
// ErrNotEmpty, ErrBadVersion, ErrNoAuth, ErrExpired, ErrClosed, or
// ErrUnknownOutcome.
func (s *Session) Delete(ctx context.Context, path string, version int32) error {
	_, err := call(ctx, s, "delete", path, func(c *zk.Conn, full string) (struct{}, error) {
		return struct{}{}, c.Delete(full, version)
	})
	return err
}

func checkSize(op, path string, n int) error {
	if n > MaxData {
		return &Error{Op: op, Path: path, Err: ErrTooLarge, Cause: fmt.Errorf("%d bytes, the limit is %d", n, MaxData)}
	}
	return nil
}
