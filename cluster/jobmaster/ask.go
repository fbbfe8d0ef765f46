package jobmaster

import (
	"context"
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
)

// answer is what a caller gets.
type answer[T any] struct {
	value T
	err   error
}

// ask tells of an event and awaits the answer. Errors: tell's, await's.
func ask[T any](ctx context.Context, m *Master, e event, reply <-chan answer[T]) (T, error) {
	if err := m.tell(e); err != nil {
		var nothing T
		return nothing, err
	}
	return await(ctx, m, reply)
}

// await waits for an answer in reply, which has room for it. Errors: the answer's,
// gateway.ErrStopped when none will come, or ctx's.
func await[T any](ctx context.Context, m *Master, reply <-chan answer[T]) (T, error) {
	var nothing T
	select {
	case a := <-reply:
		return a.value, a.err
	case <-ctx.Done():
		return nothing, context.Cause(ctx)
	case <-m.endpoint.Done():
	}
	select {
	case a := <-reply: // it came at last
		return a.value, a.err
	default:
		return nothing, gateway.ErrStopped
	}
}

// tell has the core step through an event. It does not block. Errors:
// rpc.ErrNotStarted, gateway.ErrStopped.
func (m *Master) tell(e event) error {
	if err := m.endpoint.Tell(func() { m.step(e) }); err != nil {
		return fmt.Errorf("job %s: %w", m.cfg.Job.ID, err)
	}
	return nil
}
