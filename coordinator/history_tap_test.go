package coordinator

import (
	"context"
	"fmt"
	"sync"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// tap is a participant's store at which something strikes: at one call, or wherever
// plan says so.
type tap struct {
	ha.Store

	mu sync.Mutex
	// calls counts since the tap was opened; closed taps strike nobody.
	open  bool
	calls int
	plan  func(call int, op string, paths []string) strike
	log   []string // what was called, for messages
}

// strike is what happens to a call: before it takes effect, after it has, or
// instead of it. The zero strike is none.
type strike struct {
	before, after func(path string)
	// err is what a transaction is said to have ended with, after its effect.
	err error
}

// arm lets plan decide about each call from here on.
func (p *tap) arm(plan func(call int, op string, paths []string) strike) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.calls, p.plan, p.log = plan != nil, 0, plan, nil
}

// count returns how many calls were made since the tap was opened.
func (p *tap) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// called returns the k-th call, for messages.
func (p *tap) called(k int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k >= len(p.log) {
		return "none"
	}
	return p.log[k]
}

func (p *tap) next(op string, paths ...string) (strike, string) {
	p.mu.Lock()
	if !p.open {
		p.mu.Unlock()
		return strike{}, ""
	}
	k, plan := p.calls, p.plan
	p.calls++
	p.log = append(p.log, fmt.Sprint(op, " ", paths))
	p.mu.Unlock()
	path := ""
	if len(paths) > 0 {
		path = paths[0]
	}
	return plan(k, op, paths), path
}

// around makes the call with what strikes it.
func (p *tap) around(s strike, path string, call func() error) error {
	if s.before != nil {
		s.before(path)
	}
	err := call()
	if s.after != nil {
		s.after(path)
	}
	if err == nil {
		return s.err
	}
	return err
}

func (p *tap) Get(ctx context.Context, g leader.Guard, path string) (data []byte, err error) {
	s, _ := p.next("get", path)
	s.err = nil
	err = p.around(s, path, func() error { data, err = p.Store.Get(ctx, g, path); return err })
	return data, err
}

func (p *tap) List(ctx context.Context, g leader.Guard, path string) (names []string, err error) {
	s, _ := p.next("list", path)
	s.err = nil
	err = p.around(s, path, func() error { names, err = p.Store.List(ctx, g, path); return err })
	return names, err
}

func (p *tap) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	paths := make([]string, len(ops))
	for i, op := range ops {
		paths[i] = op.Kind.String() + " " + op.Path
	}
	s, _ := p.next("commit", paths...)
	return p.around(s, ops[0].Path, func() error { return p.Store.Commit(ctx, g, ops...) })
}
