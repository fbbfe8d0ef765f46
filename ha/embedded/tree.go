package embedded

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/coordd/coordd/txn"
)

// maxPath is the limit of a path in bytes, which is that of a key of bbolt.
const maxPath = 32 << 10

// tree is the stored data: values at paths, and the folders that lead to them.
// It is not safe for use by several goroutines.
type tree struct {
	root *treeNode
}

type treeNode struct {
	data     []byte
	stored   bool
	children map[string]*treeNode
}

func newTree() *tree { return &tree{root: &treeNode{}} }

// find returns the node at path, nil when there is none.
func (t *tree) find(path string) *treeNode {
	n := t.root
	for name := range strings.SplitSeq(path, "/") {
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

// get returns a copy of the value at path.
func (t *tree) get(path string) ([]byte, bool) {
	if n := t.find(path); n != nil && n.stored {
		return bytes.Clone(n.data), true
	}
	return nil, false
}

// list returns the names directly under path.
func (t *tree) list(path string) []string {
	n := t.find(path)
	if n == nil {
		return nil
	}
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	return names
}

// check returns why one of the ops cannot be done, a *txn.OpError. The ops have
// distinct paths.
func (t *tree) check(ops []txn.Op) error {
	for _, op := range ops {
		n := t.find(op.Path)
		switch {
		case op.Kind == txn.Create && n != nil:
			return &txn.OpError{Kind: op.Kind, Path: op.Path, Err: txn.ErrExists}
		case (op.Kind == txn.Put || op.Kind == txn.Delete) && (n == nil || !n.stored):
			return &txn.OpError{Kind: op.Kind, Path: op.Path, Err: txn.ErrNotFound}
		}
	}
	return nil
}

// apply does all ops, which check has passed.
func (t *tree) apply(ops []txn.Op) {
	for _, op := range ops {
		switch op.Kind {
		case txn.Create, txn.Put:
			t.set(op.Path, op.Data)
		case txn.Delete, txn.Remove:
			t.remove(op.Path)
		}
	}
}

// set stores a copy of data at path and makes missing folders.
func (t *tree) set(path string, data []byte) {
	n := t.root
	for name := range strings.SplitSeq(path, "/") {
		next := n.children[name]
		if next == nil {
			next = &treeNode{}
			if n.children == nil {
				n.children = make(map[string]*treeNode)
			}
			n.children[name] = next
		}
		n = next
	}
	n.data, n.stored = bytes.Clone(data), true
}

// remove drops the value at path, if there is one. Folders stay: they are as few
// as there are buckets.
func (t *tree) remove(path string) {
	folder, name := t.root, path
	if at := strings.LastIndexByte(path, '/'); at >= 0 {
		folder, name = t.find(path[:at]), path[at+1:]
	}
	if folder == nil {
		return
	}
	n := folder.children[name]
	if n == nil || !n.stored {
		return
	}
	if len(n.children) > 0 {
		n.data, n.stored = nil, false
		return
	}
	delete(folder.children, name)
}

// checkOps refuses a transaction that is malformed: a mistake of the caller,
// which no state of the tree could make right.
func checkOps(ops []txn.Op, limit int) error {
	size := 0
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		if op.Kind < txn.Create || op.Kind > txn.Remove {
			return fmt.Errorf("operation %d on %q: kind %d is not one of package txn's", op.Kind, op.Path, op.Kind)
		}
		if err := checkPath(op.Path); err != nil {
			return fmt.Errorf("%s: %w", op.Kind, err)
		}
		if seen[op.Path] {
			return fmt.Errorf("%s %s: the transaction has another operation on this path", op.Kind, op.Path)
		}
		if len(op.Path) > maxPath {
			return fmt.Errorf("%s: a path of %d bytes, the limit is %d: %w", op.Kind, len(op.Path), maxPath, txn.ErrTooLarge)
		}
		seen[op.Path] = true
		size += len(op.Path) + len(op.Data)
	}
	if size > limit {
		return fmt.Errorf("%d operations, %d bytes, the limit is %d: %w", len(ops), size, limit, txn.ErrTooLarge)
	}
	return nil
}

func checkPath(path string) error {
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("path %q: want names separated by single slashes, none of them '.' or '..'", path)
		}
	}
	return nil
}
