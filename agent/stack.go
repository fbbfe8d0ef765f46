package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/coordinator"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/rpc"
)

// stack runs the parts of an agent. What was started last is stopped first, and
// each has ended before the next is told to stop. One goroutine uses it.
type stack struct {
	log   hclog.Logger
	parts []*part
	// ended receives each part that ends.
	ended chan *part
}

// part is one running part.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// maxParts is more than an agent has.
const maxParts = 16

func newStack(log hclog.Logger) *stack {
	return &stack{log: log, ended: make(chan *part, maxParts)}
}

// start runs a part. Its context carries ctx's values but not its end.
func (s *stack) start(ctx context.Context, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	s.parts = append(s.parts, p)
	go func() {
		p.err = run(ctx)
		close(p.done)
		s.ended <- p
	}()
}

// wait returns nil when ctx ends, or why the agent cannot go on: a part ended by
// itself, or something fatal. It logs the stack of a panic, which the error lacks.
func (s *stack) wait(ctx context.Context, fatal <-chan error) error {
	var err error
	select {
	case <-ctx.Done():
		return nil
	case err = <-fatal:
	case p := <-s.ended:
		if err = p.err; err == nil {
			return fmt.Errorf("%s ended unexpectedly", p.name)
		}
	}
	if trace := stackOf(err); trace != "" {
		s.log.Error("a part panicked", "error", err, "stack", trace)
	}
	return err
}

// stackOf returns where an error's panic was, or nothing.
func stackOf(err error) string {
	if p, ok := errors.AsType[*rpc.PanicError](err); ok {
		return string(p.Stack)
	}
	if p, ok := errors.AsType[*coordinator.PanicError](err); ok {
		return string(p.Stack)
	}
	return ""
}

// stop ends all parts in reverse order and returns the first error that is not
// merely their being stopped. A Lead that overruns its grace still acts, and
// nothing can be waited for then: the others are told to end, and the process
// should.
func (s *stack) stop() error {
	var first error
	for i, p := range slices.Backward(s.parts) {
		p.cancel()
		<-p.done
		if p.err != nil && !errors.Is(p.err, context.Canceled) && first == nil {
			first = p.err
		}
		if errors.Is(p.err, election.ErrStopGrace) {
			for _, other := range s.parts[:i] {
				other.cancel()
			}
			return p.err
		}
		s.log.Debug("stopped", "part", p.name)
	}
	return first
}
