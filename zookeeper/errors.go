package zookeeper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/leader"
)

// What an operation can end with. Every error of this package is an *Error that
// wraps one or two of them; compare with errors.Is.
var (
	// ErrNoNode: the path, or for a create its parent, does not exist.
	ErrNoNode = errors.New("no such node")
	// ErrNodeExists: a create found its path taken.
	ErrNodeExists = errors.New("node exists")
	// ErrNotEmpty: a delete found children.
	ErrNotEmpty = errors.New("node has children")
	// ErrBadVersion: the node's version is not the one named.
	ErrBadVersion = errors.New("version differs")
	// ErrNoAuth: this client lacks the right.
	ErrNoAuth = errors.New("not authorized")
	// ErrTooLarge: the request exceeds what ZooKeeper accepts. Nothing was sent:
	// the server would have closed the connection, and with it, in the end, the
	// session.
	ErrTooLarge = errors.New("too large for one request")
	// ErrUnknownOutcome: a write was on its way when its connection, its context
	// or its session ended; it may or may not have been, or still be, applied.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrExpired: the session has ended; no operation of it will ever be applied.
	ErrExpired = errors.New("session expired")
	// ErrClosed: the session or client was closed by its owner.
	ErrClosed = errors.New("closed")
	// ErrSuspended: the operation's context ended while there was no connection.
	ErrSuspended = errors.New("not connected")
	// ErrFenced: a guarded operation found its guard node gone. It is
	// leader.ErrFenced.
	ErrFenced = leader.ErrFenced
	// errRefused is any other answer of a server.
	errRefused = errors.New("refused by the server")
)

// Error is the error of one operation.
type Error struct {
	// Op is the operation, for example "create".
	Op string
	// Path is its znode.
	Path string
	// Err is the reason, one of this package's errors.
	Err error
	// Cause is what led to it, nil when there is nothing to add.
	Cause error
}

// Error returns operation, path and reason in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zookeeper: %s %s: %v", e.Op, e.Path, e.Err)
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap returns the reason and its cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// answers maps what a server can answer to this package's errors. A request so
// answered was not applied.
func answer(err error) (error, bool) {
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return ErrNoNode, true
	case errors.Is(err, zk.ErrNodeExists):
		return ErrNodeExists, true
	case errors.Is(err, zk.ErrNotEmpty):
		return ErrNotEmpty, true
	case errors.Is(err, zk.ErrBadVersion):
		return ErrBadVersion, true
	case errors.Is(err, zk.ErrNoAuth), errors.Is(err, zk.ErrAuthFailed):
		return ErrNoAuth, true
	case errors.Is(err, zk.ErrShortBuffer):
		return ErrTooLarge, true
	case errors.Is(err, zk.ErrSessionExpired):
		return ErrExpired, true
	case errors.Is(err, zk.ErrNoServer):
		// Only requests that never left are answered so, after the session's end.
		return ErrSuspended, true
	case errors.Is(err, zk.ErrAPIError), errors.Is(err, zk.ErrInvalidACL), errors.Is(err, zk.ErrInvalidPath),
		errors.Is(err, zk.ErrBadArguments), errors.Is(err, zk.ErrNoChildrenForEphemerals),
		errors.Is(err, zk.ErrInvalidFlags):
		return errRefused, true
	default:
		if code, ok := unnamedCode(err); ok && !ambiguous(code) {
			return errRefused, true
		}
		return nil, false
	}
}

// unnamedCode returns the code of a server's answer for which go-zookeeper has no
// value of its own; then only the text tells.
func unnamedCode(err error) (code int, ok bool) {
	_, scanErr := fmt.Sscanf(err.Error(), "unknown error: %d", &code)
	return code, scanErr == nil
}

// ambiguous reports whether a server that answers with the code may have applied
// the request: it lost the quorum, or did not wait for it.
func ambiguous(code int) bool {
	const connectionLoss, operationTimeout, requestTimeout = -4, -7, -122
	return code == connectionLoss || code == operationTimeout || code == requestTimeout
}
