package resourcemanager

import (
	"context"

	"github.com/coordd/coordd/rpc"
)

// scope starts goroutines whose context ends with it, at the latest with the term. Run
// waits for them. Only the endpoint uses one.
type scope struct {
	// begin starts work.
	begin func(work func(ctx context.Context))
	// sub returns a scope within this one.
	sub func() scope
	// end cancels the contexts of all that was begun, with the cause.
	end context.CancelCauseFunc
}

func newScope(ctx context.Context, e *rpc.Endpoint) scope {
	ctx, end := context.WithCancelCause(ctx)
	return scope{
		begin: func(work func(context.Context)) {
			_ = e.Go(func(context.Context) { work(ctx) }) // it runs: the caller is on it
		},
		sub: func() scope { return newScope(ctx, e) },
		end: end,
	}
}
