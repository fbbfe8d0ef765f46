package embedded

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// The operations that a Fault can name, besides the kinds of package txn
// ("create", "put", "delete", "remove"), which name transactions with such an
// operation on the path.
const (
	OpGet     = "get"
	OpList    = "list"
	OpCommit  = "commit"
	OpPublish = "publish"
)

// Fault is a rule for calls that are to go wrong.
type Fault struct {
	// Op is the operation that is affected. Zero: every one.
	Op string
	// Path is matched against the paths of the call, of which one suffices: as a
	// pattern of path.Match or, when it ends in "/", as a prefix. Published leaders
	// have the paths "leader/<component>". Zero: every path.
	Path string
	// Participant is the id of the participant that is affected. Zero: every one.
	Participant string
	// Skip is how many matching calls pass unharmed first.
	Skip int
	// Times is how many calls are affected. Zero: all until the rule is removed.
	Times int
	// After lets the call take effect before it goes wrong, as a lost reply does.
	// A call that fails for reasons of its own is not affected.
	After bool
	// Err is what the call fails with, wrapped with operation and path. Nil: it
	// does not fail, and only Hook is called.
	Err error
	// Hook is called when the rule hits, under no lock, on the caller's goroutine;
	// it may block, and may call Kill, Expire and the like. Nil: nothing is called.
	Hook func()
}

// Inject adds a rule and returns a function that removes it, which may be called
// more than once. Of several rules that match, the oldest hits. It panics when
// Path is a malformed pattern.
func (b *Backend) Inject(f Fault) (remove func()) {
	if _, err := path.Match(f.Path, ""); err != nil {
		panic(fmt.Sprintf("embedded: Fault.Path %q: %v", f.Path, err))
	}
	return b.faults.add(f)
}

// call is what rules are matched against.
type call struct {
	participant string
	ops         []string
	paths       []string
}

// faults is the list of rules.
type faults struct {
	mu    sync.Mutex
	rules []*rule
}

type rule struct {
	Fault
	seen int
}

func (fs *faults) add(f Fault) (remove func()) {
	r := &rule{Fault: f}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.rules = append(fs.rules, r)
	return func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.rules = slices.DeleteFunc(fs.rules, func(other *rule) bool { return other == r })
	}
}

// hit returns the fault for the call, the zero hit when there is none.
func (fs *faults) hit(c call) hit {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, r := range fs.rules {
		if !r.matches(c) {
			continue
		}
		r.seen++
		if n := r.seen - r.Skip; n > 0 && (r.Times == 0 || n <= r.Times) {
			return hit{r.Fault}
		}
	}
	return hit{}
}

func (r *rule) matches(c call) bool {
	if r.Op != "" && !slices.Contains(c.ops, r.Op) || r.Participant != "" && r.Participant != c.participant {
		return false
	}
	if r.Path == "" {
		return true
	}
	for i, p := range c.paths {
		// Operation i+1 of a transaction is the one on path i; a rule for a kind
		// means the operation on the path, not just any of the transaction.
		if len(c.ops) > 1 && r.Op != "" && r.Op != OpCommit && c.ops[i+1] != r.Op {
			continue
		}
		if strings.HasSuffix(r.Path, "/") && strings.HasPrefix(p, r.Path) {
			return true
		}
		if ok, err := path.Match(r.Path, p); ok && err == nil {
			return true
		}
	}
	return false
}

// hit is a fault that concerns a call.
type hit struct{ fault Fault }

// before is called before the call takes effect.
func (h hit) before() error {
	if h.fault.After {
		return nil
	}
	return h.strike()
}

// after is called once it has.
func (h hit) after() error {
	if !h.fault.After {
		return nil
	}
	return h.strike()
}

func (h hit) strike() error {
	if h.fault.Hook != nil {
		h.fault.Hook()
	}
	return h.fault.Err
}
