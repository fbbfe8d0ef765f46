package batch

import (
	"strings"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// overhead is what each operation counts besides its path and data: what the
// backend's encoding, and the cluster's root before each path, add.
const overhead = 128

// request is one transaction on its way. All but result belongs to Driver.mu.
type request struct {
	ops   []txn.Op
	path  string // of its first operation, for errors
	bytes int
	// limit is how many transactions it may share a flight with, itself included;
	// zero for any number. It shrinks with every flight that failed for another.
	limit int

	queued bool    // in its lane's queue
	flight *flight // aboard, nil while queued and once the outcome is known
	left   bool    // its caller does not wait any more
	result chan error
}

func newRequest(ops []txn.Op) *request {
	r := &request{ops: ops, path: ops[0].Path, result: make(chan error, 1)}
	for _, op := range ops {
		r.bytes += len(op.Path) + len(op.Data) + overhead
	}
	return r
}

// lane holds the transactions of one guard. It exists while it has some.
type lane struct {
	queue  []*request
	flying bool
}

func (d *Driver) lane(g leader.Guard) *lane {
	l := d.lanes[g]
	if l == nil {
		l = &lane{}
		d.lanes[g] = l
	}
	return l
}

// count notes that a request joins (1) or leaves (-1) its queue.
func (d *Driver) count(r *request, by int) {
	r.queued = by > 0
	d.queued += by
	d.queuedBytes += by * r.bytes
}

// board takes those from the queue that fly together next: in their order, until
// one does not fit any more. One that touches a path of another that goes before it
// stays, and all that touch its paths stay behind it.
func (d *Driver) board(l *lane) []*request {
	var aboard, stay []*request
	taken := newPaths()
	ops, bytes, limit := 0, 0, d.cfg.MaxOps
	i := 0
	for ; i < len(l.queue); i++ {
		r := l.queue[i]
		if r.left {
			continue
		}
		if r.limit > 0 {
			limit = min(limit, r.limit)
		}
		full := len(aboard)+1 > limit || ops+len(r.ops) > d.cfg.MaxOps || bytes+r.bytes > d.cfg.MaxBytes
		if full && len(aboard) > 0 {
			break
		}
		if !taken.add(r.ops) {
			stay = append(stay, r)
			continue
		}
		aboard = append(aboard, r)
		d.count(r, -1)
		ops, bytes = ops+len(r.ops), bytes+r.bytes
	}
	l.queue = append(stay, l.queue[i:]...)
	return aboard
}

// paths is a set of paths that no two transactions of a flight may share.
type paths struct {
	held  map[string]bool // the paths themselves
	above map[string]bool // all folders that lead to them
}

func newPaths() paths { return paths{held: map[string]bool{}, above: map[string]bool{}} }

// add takes the paths of a transaction, and reports whether none of them was taken,
// stands above one that was, or below one. They are taken in any case: what comes
// later must not overtake.
func (p paths) add(ops []txn.Op) bool {
	free := true
	for _, op := range ops {
		free = free && !p.held[op.Path] && !p.above[op.Path]
		for folder := range folders(op.Path) {
			free = free && !p.held[folder]
		}
	}
	for _, op := range ops {
		p.held[op.Path] = true
		for folder := range folders(op.Path) {
			p.above[folder] = true
		}
	}
	return free
}

// folders yields the folders above a path, the nearest first.
func folders(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := strings.LastIndexByte(path, '/')
			if i <= 0 {
				return
			}
			path = path[:i]
			if !yield(path) {
				return
			}
		}
	}
}
