package zookeepertest

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// ZooKeeper's error codes, as far as the fake answers them.
const (
	codeOK                 int32 = 0
	codeInconsistency      int32 = -2 // what stands behind the failed operation of a multi
	codeUnimplemented      int32 = -6
	codeBadArguments       int32 = -8
	codeNoNode             int32 = -101
	codeBadVersion         int32 = -103
	codeNoChildrenForEphem int32 = -108
	codeNodeExists         int32 = -110
	codeNotEmpty           int32 = -111
)

// Flags of a create request.
const (
	flagEphemeral  = 1
	flagSequential = 2
	flagContainer  = 4
)

// containerOwner marks containers in the place of an ephemeral's session.
const containerOwner int64 = -1 << 63

// node is one znode.
type node struct {
	data                []byte
	acl                 []byte // as it is encoded; it is kept and not obeyed
	children            map[string]struct{}
	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	version             int32
	creates             int32 // children ever made: the next sequence number
	owner               int64
}

// event is what a change tells watchers.
type event struct {
	kind  int32 // 1 created, 2 deleted, 3 data changed, 4 children changed
	path  string
	child bool // tells the watchers of children rather than those of data
}

// tree holds the znodes. It knows no connections: changes collect events, and
// the steps that undo them until commit.
type tree struct {
	nodes  map[string]*node
	zxid   int64
	events []event
	undo   []func()
}

// newTree returns what a new server holds.
func newTree() *tree {
	acl := &writer{}
	acl.int32(1)
	acl.int32(31) // all rights
	acl.string("world")
	acl.string("anyone")
	made := func(children ...string) *node {
		n := &node{children: make(map[string]struct{}), acl: acl.buf}
		for _, name := range children {
			n.children[name] = struct{}{} // without counting as created
		}
		return n
	}
	nodes := map[string]*node{
		"/": made("zookeeper"), "/zookeeper": made("config", "quota"),
		"/zookeeper/config": made(), "/zookeeper/quota": made(),
	}
	return &tree{nodes: nodes, zxid: 1 << 32}
}

// commit keeps what was changed and returns its events.
func (t *tree) commit() []event {
	events := t.events
	t.events, t.undo = nil, nil
	return events
}

// rollback takes back what was changed since the last commit.
func (t *tree) rollback() {
	for _, undo := range slices.Backward(t.undo) {
		undo()
	}
	t.events, t.undo = nil, nil
}

// parentOf returns the parent's path and the name in it.
func parentOf(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// validPath reports whether ZooKeeper takes the path of a node that exists.
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return false
		}
	}
	return true
}

// create makes a node and returns its path.
func (t *tree) create(r Request, now time.Time) (string, int32) {
	path := r.Path
	if r.Flags&flagSequential != 0 {
		path += "0" // a bare "/" becomes valid by the number
	}
	if !validPath(path) {
		return "", codeBadArguments
	}
	if path == "/" {
		return "", codeNodeExists
	}
	parentPath, _ := parentOf(path)
	parent := t.nodes[parentPath]
	if parent == nil {
		return "", codeNoNode
	}
	path = r.Path
	if r.Flags&flagSequential != 0 {
		path = fmt.Sprintf("%s%010d", r.Path, parent.creates)
	}
	if t.nodes[path] != nil {
		return "", codeNodeExists
	}
	if parent.owner != 0 && parent.owner != containerOwner {
		return "", codeNoChildrenForEphem
	}
	n := &node{
		data: r.Data, acl: r.acl, children: make(map[string]struct{}),
		czxid: t.zxid, mzxid: t.zxid, pzxid: t.zxid, ctime: now.UnixMilli(), mtime: now.UnixMilli(),
	}
	switch {
	case r.Flags == flagContainer:
		n.owner = containerOwner
	case r.Flags&flagEphemeral != 0:
		n.owner = r.Session
	}
	t.attach(path, n)
	parent.creates++
	t.undo = append(t.undo, func() { parent.creates-- })
	t.events = append(t.events, event{kind: 1, path: path}, event{kind: 4, path: parentPath, child: true})
	return path, codeOK
}

// attach puts a node into its place; undoing takes it out.
func (t *tree) attach(path string, n *node) {
	parentPath, name := parentOf(path)
	parent, before := t.nodes[parentPath], t.nodes[parentPath].pzxid
	t.nodes[path], parent.children[name], parent.pzxid = n, struct{}{}, t.zxid
	t.undo = append(t.undo, func() {
		delete(t.nodes, path)
		delete(parent.children, name)
		parent.pzxid = before
	})
}

// remove deletes a node; version -1 takes any.
func (t *tree) remove(path string, version int32) int32 {
	if !validPath(path) || path == "/" {
		return codeBadArguments
	}
	n := t.nodes[path]
	switch {
	case n == nil:
		return codeNoNode
	case version != -1 && version != n.version:
		return codeBadVersion
	case len(n.children) > 0:
		return codeNotEmpty
	}
	parentPath, name := parentOf(path)
	parent, before := t.nodes[parentPath], t.nodes[parentPath].pzxid
	delete(t.nodes, path)
	delete(parent.children, name)
	parent.pzxid = t.zxid
	t.undo = append(t.undo, func() {
		t.nodes[path], parent.children[name], parent.pzxid = n, struct{}{}, before
	})
	t.events = append(t.events, event{kind: 2, path: path}, event{kind: 2, path: path, child: true},
		event{kind: 4, path: parentPath, child: true})
	return codeOK
}

// set replaces a node's data; version -1 takes any.
func (t *tree) set(r Request, now time.Time) int32 {
	n, code := t.check(r.Path, r.Version)
	if code != codeOK {
		return code
	}
	before := *n
	n.data, n.mzxid, n.mtime, n.version = r.Data, t.zxid, now.UnixMilli(), n.version+1
	t.undo = append(t.undo, func() {
		n.data, n.mzxid, n.mtime, n.version = before.data, before.mzxid, before.mtime, before.version
	})
	t.events = append(t.events, event{kind: 3, path: r.Path})
	return codeOK
}

// check returns the node if it has the version; -1 takes any.
func (t *tree) check(path string, version int32) (*node, int32) {
	if !validPath(path) {
		return nil, codeBadArguments
	}
	n := t.nodes[path]
	switch {
	case n == nil:
		return nil, codeNoNode
	case version != -1 && version != n.version:
		return nil, codeBadVersion
	}
	return n, codeOK
}

// ephemerals returns a session's nodes, sorted.
func (t *tree) ephemerals(session int64) []string {
	var paths []string
	for path, n := range t.nodes {
		if n.owner == session {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	return paths
}

// names returns a node's children, sorted.
func (n *node) names() []string {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// cversion is the number of changes to the children that clients see: the
// creates and the deletes.
func (n *node) cversion() int32 {
	return 2*n.creates - int32(len(n.children)) //nolint:gosec // fewer than 2^31 children
}

// stat encodes the node's Stat.
func (n *node) stat() []byte {
	w := &writer{}
	w.int64(n.czxid)
	w.int64(n.mzxid)
	w.int64(n.ctime)
	w.int64(n.mtime)
	w.int32(n.version)
	w.int32(n.cversion())
	w.int32(0) // aversion: access control lists do not change here
	if n.owner == containerOwner {
		w.int64(0)
	} else {
		w.int64(n.owner)
	}
	w.int32(int32(len(n.data)))     //nolint:gosec // below 1 MiB
	w.int32(int32(len(n.children))) //nolint:gosec // fewer than 2^31 children
	w.int64(n.pzxid)
	return w.buf
}
