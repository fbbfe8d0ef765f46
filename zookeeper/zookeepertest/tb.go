package zookeepertest

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

// TB is the part of testing.TB that this package needs. Every *testing.T and
// *testing.B is one; programs that are not tests get one from Run. As with
// testing.TB, whatever may fail is called on the goroutine that runs the test.
type TB interface {
	// Helper marks the caller as a helper, for the line numbers of messages.
	Helper()
	// Logf notes a message.
	Logf(format string, args ...any)
	// Fatalf notes a message and ends the calling goroutine.
	Fatalf(format string, args ...any)
	// Cleanup calls f at the end, last registered first.
	Cleanup(f func())
}

// Run calls f with a TB outside a test: for benchmarks and demonstrations. It
// blocks until f has returned or failed and everything registered with Cleanup
// was called. Its error is the message of Fatalf. Logf writes to standard error.
func Run(f func(tb TB)) error {
	r := &runner{}
	done := make(chan struct{})
	// A goroutine of its own, because Fatalf ends the one that it is called on.
	go func() {
		defer close(done)
		defer r.cleanup()
		f(r)
	}()
	<-done
	return r.err
}

// runner is the TB of Run.
type runner struct {
	mu       sync.Mutex
	cleanups []func()
	err      error
}

var _ TB = (*runner)(nil)

func (r *runner) Helper() {}

func (r *runner) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (r *runner) Fatalf(format string, args ...any) {
	r.mu.Lock()
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *runner) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// cleanup calls what was registered, also what the cleanups register. A failing
// cleanup ends its goroutine, so the rest is run by a deferred call.
func (r *runner) cleanup() {
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		f := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		func() {
			finished := false
			defer func() {
				if !finished {
					r.cleanup()
				}
			}()
			f()
			finished = true
		}()
	}
}
