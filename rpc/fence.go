package rpc

import (
	"runtime/debug"

	"github.com/coordd/coordd/leader"
)

// Fence is the name and the token of a component that keeps its state by other means
// than an Endpoint, with a goroutine of its own and its own words for not running. Its
// methods are those that whoever brings calls to an endpoint needs. They may be called
// from any goroutine.
type Fence struct {
	name     string
	term     leader.TermID
	panicked func(*PanicError)
}

// NewFence returns a fence. Term is the zero TermID for a component that is not fenced.
// panicked is told of a panic in code of the component that a call ran, on that call's
// goroutine; the process decides what it means.
func NewFence(name string, term leader.TermID, panicked func(*PanicError)) *Fence {
	return &Fence{name: name, term: term, panicked: panicked}
}

// Name returns the component's name.
func (f *Fence) Name() string { return f.name }

// Admit returns nil when the token is the fence's, else ErrFencingToken.
func (f *Fence) Admit(token leader.TermID) error { return checkToken(f.name, f.term, token) }

// Recover, when deferred, passes a panic on and puts it into err.
func (f *Fence) Recover(err *error) {
	value := recover() //nolint:revive // callers defer this method itself
	if value == nil {
		return
	}
	p := &PanicError{Endpoint: f.name, Value: value, Stack: debug.Stack()}
	*err = p
	f.panicked(p)
}
