package rpc

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/leader"
)

// Target is an endpoint of a process. Two targets are the same when they are equal: a
// new term at the same address is another one.
type Target struct {
	// Address is where the process's service is, as host:port.
	Address string
	// Endpoint is the name there.
	Endpoint string
	// Term is the token to call with. Zero: the endpoint is not fenced.
	Term leader.TermID
}

// String returns the target for errors and logs.
func (t Target) String() string {
	if t.Term == (leader.TermID{}) {
		return fmt.Sprintf("%s at %s", t.Endpoint, t.Address)
	}
	return fmt.Sprintf("%s at %s in %v", t.Endpoint, t.Address, t.Term)
}

// Dial connects to an endpoint and returns its gateway; what is called with a gateway
// carries the target's token. It blocks until the other side has answered, or ctx
// ends; the gateway outlives ctx. hangUp is called once, when the gateway is needed no
// more. Package rpc/remote makes Dials.
type Dial[G any] func(ctx context.Context, t Target) (gateway G, hangUp func(), err error)
