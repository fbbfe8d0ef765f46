package rpc

import (
	"errors"
	"fmt"

	"github.com/coordd/coordd/leader"
)

// What callers decide upon; compare with errors.Is. They hold on the caller's side
// also when the callee is another process.
var (
	// ErrNotStarted: the endpoint does not run yet.
	ErrNotStarted = errors.New("component has not started")
	// ErrStopped: the endpoint has ended, or a panic ended it.
	ErrStopped = errors.New("component has stopped")
	// ErrFencingToken: the call carries the token of another term than the endpoint's,
	// or none, or one although the endpoint is not fenced.
	ErrFencingToken = errors.New("fencing token is not the callee's")
	// ErrRejected: the callee will never accept the registration; trying again is vain.
	ErrRejected = errors.New("registration was rejected")
	// ErrNoEndpoint: nothing of this name, or not with this gateway, is hosted there.
	ErrNoEndpoint = errors.New("no such endpoint")
	// ErrProtocol: the two sides speak different versions of the protocol.
	ErrProtocol = errors.New("other version of the protocol")
	// ErrTooLarge: a message exceeds the limit. Nothing of it was sent, or nothing of
	// the answer.
	ErrTooLarge = errors.New("message is too large")
	// ErrUnreachable: the connection could not be made, or was lost. A call may have
	// had its effect unless the error is ErrRefused as well.
	ErrUnreachable = errors.New("cannot be reached")
	// ErrRefused: nothing listens at the address, so the process there is gone. Such an
	// error is ErrUnreachable as well.
	ErrRefused = errors.New("connection was refused")
	// ErrNoTarget: there is no leader to talk to.
	ErrNoTarget = errors.New("no leader is known")
)

// PanicError says that code of an endpoint panicked. It is what Run returns then, and
// the error of the call.
type PanicError struct {
	// Endpoint is the name of the endpoint, Value what was panicked with, Stack that
	// of the goroutine.
	Endpoint string
	Value    any
	Stack    []byte
}

// Error names the endpoint and the value; the stack is left to who logs the error.
func (e *PanicError) Error() string {
	return fmt.Sprintf("endpoint %s panicked: %v", e.Endpoint, e.Value)
}

// checkToken returns an ErrFencingToken unless a call with the token got may reach an
// endpoint of the term own.
func checkToken(name string, own, got leader.TermID) error {
	none := leader.TermID{}
	switch {
	case own == got:
		return nil
	case own == none:
		return fmt.Errorf("call of %s, which is not fenced, as %v: %w", name, got, ErrFencingToken)
	case got == none:
		return fmt.Errorf("call of %s at %v, without a token: %w", name, own, ErrFencingToken)
	default:
		return fmt.Errorf("call of %s at %v, as %v: %w", name, own, got, ErrFencingToken)
	}
}
