package zookeeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Op is one operation of a multi. Make it with CreateOp, SetOp, DeleteOp or
// CheckOp.
type Op struct {
	kind    string
	path    string
	data    []byte
	version int32
	mode    Mode
}

// CreateOp creates a persistent or ephemeral node.
func CreateOp(path string, data []byte, mode Mode) Op {
	return Op{kind: "create", path: path, data: data, mode: mode}
}

// SetOp replaces a node's data; version -1 stands for any.
func SetOp(path string, data []byte, version int32) Op {
	return Op{kind: "set", path: path, data: data, version: version}
}

// DeleteOp removes a node; version -1 stands for any.
func DeleteOp(path string, version int32) Op {
	return Op{kind: "delete", path: path, version: version}
}

// CheckOp passes while the node exists and has the version; -1 stands for any.
func CheckOp(path string, version int32) Op {
	return Op{kind: "check", path: path, version: version}
}

// MultiError says which operation of a multi failed. Nothing of the multi was
// applied.
type MultiError struct {
	// Index is the position of the failed operation.
	Index int
	// Err is its *Error.
	Err error
}

// Error returns the failed operation's error.
func (e *MultiError) Error() string { return fmt.Sprintf("operation %d: %v", e.Index, e.Err) }

// Unwrap returns the failed operation's error.
func (e *MultiError) Unwrap() error { return e.Err }

// Multi applies all operations or none. Errors: *MultiError with the operation
// that failed, ErrTooLarge, ErrExpired, ErrClosed, or ErrUnknownOutcome. It sends
// the request once; Guard.Commit is the call that resolves lost replies.
func (s *Session) Multi(ctx context.Context, ops ...Op) error {
	if len(ops) == 0 {
		return nil
	}
	size := 0
	reqs := make([]any, len(ops))
	for i, op := range ops {
		if err := checkSize(op.kind, op.path, len(op.data)); err != nil {
			return &MultiError{Index: i, Err: err}
		}
		size += 64 + len(s.cfg.Chroot) + len(op.path) + len(op.data)
		reqs[i] = s.request(op)
	}
	if size > maxRequest {
		cause := fmt.Errorf("%d bytes in %d operations, the limit is %d", size, len(ops), maxRequest)
		return &Error{Op: "multi", Path: ops[0].path, Err: ErrTooLarge, Cause: cause}
	}
	for _, op := range ops {
		if op.kind == "create" {
			s.vet(ctx, s.cfg.Chroot+op.path)
		}
	}
	_, err := call(ctx, s, "multi", ops[0].path, func(c *zk.Conn, _ string) (struct{}, error) {
		results, err := c.Multi(reqs...)
		if failed := s.failedOp(ops, results); failed != nil {
			return struct{}{}, failed
		}
		return struct{}{}, err
	})
	return err
}

func (s *Session) request(op Op) any {
	full := s.full(op.path)
	switch op.kind {
	case "create":
		flags := int32(zk.FlagPersistent)
		switch op.mode {
		case Ephemeral:
			flags = zk.FlagEphemeral
		case ephemeralSequential:
			flags = zk.FlagEphemeral | zk.FlagSequence
		}
		return &zk.CreateRequest{Path: full, Data: op.data, Acl: s.acl(), Flags: flags}
	case "set":
		return &zk.SetDataRequest{Path: full, Data: op.data, Version: op.version}
	case "delete":
		return &zk.DeleteRequest{Path: full, Version: op.version}
	default:
		return &zk.CheckVersionRequest{Path: full, Version: op.version}
	}
}

// failedOp finds the operation that failed: the first that carries a code. Those
// before it say nothing, those after it that they were not tried.
func (s *Session) failedOp(ops []Op, results []zk.MultiResponse) error {
	for i, r := range results {
		if r.Error == nil || i >= len(ops) {
			continue
		}
		if _, known := answer(r.Error); known {
			return &MultiError{Index: i, Err: s.failed(ops[i].kind, ops[i].path, r.Error)}
		}
	}
	return nil
}

// opFailure returns the index and error of the failed operation of a multi.
func opFailure(err error) (int, error, bool) {
	var m *MultiError
	if !errors.As(err, &m) {
		return 0, nil, false
	}
	return m.Index, m.Err, true
}
