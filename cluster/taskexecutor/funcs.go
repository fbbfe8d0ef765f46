package taskexecutor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// Func is a task that is a function of the program. Its attempt finishes when it
// returns nil, and fails when it returns an error or panics. ctx ends when the attempt
// is cancelled or its time is over; nothing can end a function that does not heed it,
// and Run waits for it. Several calls may be under way at once.
type Func func(ctx context.Context, t TaskContext) error

// Funcs are functions by the names that tasks give in place of a command.
type Funcs map[string]Func

// TaskContext is what a function knows of its attempt. It is of use until the function
// returns. The zero TaskContext has no work folder and discards output and result.
type TaskContext struct {
	// Attempt names the attempt. Its Epoch can fence writes to other systems.
	Attempt gateway.AttemptID
	// Parallelism is the number of subtasks of the task.
	Parallelism int
	// Env is the task's; do not change it.
	Env map[string]string
	// Inputs are the results of the subtasks that this one needs; do not change them.
	Inputs []gateway.Input

	call *call
}

// call is the part of a TaskContext that changes.
type call struct {
	journal *journal

	mu     sync.Mutex
	result []byte
	err    error
}

// SetResult sets the result of the subtask, for those that need it; the last call
// counts. The data is copied. One of more than job.MaxResult bytes is refused, and the
// attempt fails with the same error whatever the function returns. Any goroutine may
// call it.
func (t TaskContext) SetResult(data []byte) error {
	if t.call == nil {
		return nil
	}
	t.call.mu.Lock()
	defer t.call.mu.Unlock()
	if len(data) > job.MaxResult {
		t.call.err = tooLarge(int64(len(data)))
		return t.call.err
	}
	t.call.result = slices.Clone(data)
	return nil
}

// Output is the attempt's log, as stdout is of a command. It is for one goroutine at a
// time. Writing does not fail.
func (t TaskContext) Output() io.Writer {
	if t.call == nil {
		return io.Discard
	}
	return t.call.journal
}

// WorkDir returns a folder that is the attempt's own, and makes it if need be. It stays
// until the job's clean-up.
func (t TaskContext) WorkDir() (string, error) {
	if t.call == nil {
		return "", fmt.Errorf("task %s has no work folder: it runs at no worker", t.Attempt.Task)
	}
	dir := filepath.Join(t.call.journal.home, workName)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the work folder of %s: %w", label(t.Attempt), err)
	}
	return dir, nil
}

// callFunc runs an attempt that is a function, on this goroutine.
func (a *attempt) callFunc(ctx context.Context, funcs Funcs) gateway.AttemptEnd {
	f := funcs[a.d.Func]
	if f == nil {
		known := strings.Join(slices.Sorted(maps.Keys(funcs)), ", ")
		return a.failed(fmt.Errorf("no function is named %q on this worker; it has: %s", a.d.Func, cmp.Or(known, "none")))
	}
	limited := ctx
	if a.d.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, a.d.Timeout, a.timedOut())
		defer cancel()
	}
	c := &call{journal: a.journal}
	err := invoke(limited, f, TaskContext{
		Attempt: a.d.Attempt, Parallelism: max(a.d.Parallelism, 1), Env: a.d.Env, Inputs: a.d.Inputs, call: c,
	})
	if ctx.Err() != nil {
		return a.canceled(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case limited.Err() != nil:
		return a.failed(context.Cause(limited))
	case c.err != nil:
		return a.failed(c.err)
	case err != nil:
		return a.failed(err)
	}
	return gateway.AttemptEnd{Attempt: a.d.Attempt, Outcome: gateway.OutcomeFinished, Result: c.result}
}

// invoke calls the function and turns a panic into an error. The stack goes to the
// function's output.
func invoke(ctx context.Context, f Func, t TaskContext) (err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(t.Output(), "panic: %v\n\n%s", p, debug.Stack())
			err = fmt.Errorf("panicked: %v", p)
		}
	}()
	return f(ctx, t)
}
