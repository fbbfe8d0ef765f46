package zookeepertest

import (
	"sort"
	"time"
)

// handle carries out one request and queues its reply and the events that it
// causes, in ZooKeeper's order: events of a write stand before its reply, and
// events that follow a read stand behind it. The fake's lock is held.
func (f *Fake) handle(c *fakeConn, r Request, respond func(frame []byte)) {
	f.counts[r.Op]++
	if c.session != nil {
		f.heardOf(c)
	}
	switch {
	case r.writes():
		f.handleWrite(c, r, respond)
	case r.Op == OpSetWatches:
		f.setWatches(c, r.setWatch)
		respond(replyFrame(r.xid, f.tree.zxid, codeOK, nil))
	case r.Op == OpPing || r.Op == OpSetAuth:
		respond(replyFrame(r.xid, f.tree.zxid, codeOK, nil))
	case r.Op == OpSync:
		respond(replyFrame(r.xid, f.tree.zxid, codeOK, func(w *writer) { w.string(r.Path) }))
	case r.Op == OpExists || r.Op == OpGetData || r.Op == OpGetACL || r.Op == OpGetChildren:
		f.handleRead(c, r, respond)
	default:
		respond(replyFrame(r.xid, f.tree.zxid, codeUnimplemented, nil))
	}
}

// handleRead answers from the tree and leaves a watch when asked.
func (f *Fake) handleRead(c *fakeConn, r Request, respond func([]byte)) {
	n, code := f.tree.check(r.Path, -1)
	watched := code == codeOK || code == codeNoNode && r.Op == OpExists
	if r.Watch && watched {
		f.watch(c, r.Path, r.Op == OpGetChildren)
	}
	respond(replyFrame(r.xid, f.tree.zxid, code, func(w *writer) {
		switch r.Op {
		case OpGetData:
			w.buffer(n.data)
		case OpGetChildren:
			w.strings(n.names())
		case OpGetACL:
			w.buf = append(w.buf, n.acl...)
		}
		if r.code != codeOfGetChildren {
			w.buf = append(w.buf, n.stat()...)
		}
	}))
}

// handleWrite takes the next zxid, changes the tree or refuses, and answers.
// A refused write takes a zxid too, as ZooKeeper's do.
func (f *Fake) handleWrite(c *fakeConn, r Request, respond func([]byte)) {
	now := time.Now()
	f.tree.zxid++
	base := Txn{Session: r.Session, Cxid: r.xid, Zxid: f.tree.zxid, Time: now}
	switch r.Op {
	case OpCloseSession:
		f.end(c.session, r.xid, false)
		respond(replyFrame(r.xid, f.tree.zxid, codeOK, nil))
	case OpMulti:
		results := f.multi(r, base)
		txn := base
		txn.Op = OpMulti
		for _, res := range results {
			txn.Ops = append(txn.Ops, res.txn)
		}
		f.txns = append(f.txns, txn)
		f.notify(f.tree.commit())
		respond(replyFrame(r.xid, base.Zxid, codeOK, multiReply(results)))
	default:
		res := f.one(r, base)
		f.txns = append(f.txns, res.txn)
		f.notify(f.tree.commit())
		respond(replyFrame(r.xid, base.Zxid, res.code, func(w *writer) {
			if r.Op == OpCreate || r.Op == OpCreateContainer {
				w.string(res.txn.Path)
			}
			if r.code != codeOfCreate {
				w.buf = append(w.buf, res.stat...)
			}
		}))
	}
}

// multi carries out all operations, or none: then the results before the failing
// one say OK, and those after it that they do not count.
func (f *Fake) multi(r Request, base Txn) []result {
	results := make([]result, len(r.Ops))
	failed := -1
	for i, op := range r.Ops {
		results[i] = f.one(op, base)
		if results[i].code != codeOK {
			failed = i
			break
		}
	}
	if failed < 0 {
		return results
	}
	f.tree.rollback()
	for i := range results {
		if i > failed {
			results[i].code = codeInconsistency
			results[i].txn = base
			results[i].txn.Op, results[i].txn.Err = OpError, codeInconsistency
		}
	}
	return results
}

// one carries out a single operation.
func (f *Fake) one(r Request, base Txn) result {
	res := result{txn: base}
	res.txn.Op, res.txn.Path = r.Op, r.Path
	switch r.Op {
	case OpCreate, OpCreateContainer:
		res.txn.Path, res.code = f.tree.create(r, base.Time)
		res.txn.Data, res.txn.Ephemeral = r.Data, r.Flags&flagEphemeral != 0
	case OpSetData:
		res.code = f.tree.set(r, base.Time)
		res.txn.Data = r.Data
	case OpDelete:
		res.code = f.tree.remove(r.Path, r.Version)
	case OpCheck:
		_, res.code = f.tree.check(r.Path, r.Version)
	default:
		res.code = codeUnimplemented
	}
	if res.code != codeOK {
		res.txn = base
		res.txn.Op, res.txn.Err = OpError, res.code
		return res
	}
	if n := f.tree.nodes[res.txn.Path]; n != nil && r.Op != OpCheck {
		res.stat = n.stat()
	}
	return res
}

// watch leaves a connection's watch on data (or existence) or on children.
func (f *Fake) watch(c *fakeConn, path string, child bool) {
	key := watchKey{path, child}
	if f.watches[key] == nil {
		f.watches[key] = make(map[*fakeConn]struct{})
	}
	f.watches[key][c] = struct{}{}
}

// notify sends each event to those who watch, and uses their watches up. A
// connection that watches a deleted node and its children hears of it once.
func (f *Fake) notify(events []event) {
	told := make(map[*fakeConn]string)
	for _, e := range events {
		key := watchKey{e.path, e.child}
		for _, c := range inOrder(f.watches[key]) {
			if e.kind == 2 && e.child && told[c] == e.path {
				continue
			}
			if e.kind == 2 {
				told[c] = e.path
			}
			c.event(eventFrame(e))
		}
		delete(f.watches, key)
	}
}

// inOrder returns the connections in the order in which they were made, so that
// a run repeats.
func inOrder(set map[*fakeConn]struct{}) []*fakeConn {
	conns := make([]*fakeConn, 0, len(set))
	for c := range set {
		conns = append(conns, c)
	}
	sort.Slice(conns, func(i, j int) bool { return conns[i].number < conns[j].number })
	return conns
}

// setWatches takes up a reconnecting client's watches, and tells at once what
// happened since it was last here.
func (f *Fake) setWatches(c *fakeConn, l watchList) {
	for _, path := range l.data {
		n := f.tree.nodes[path]
		switch {
		case n == nil:
			c.send(eventFrame(event{kind: 2, path: path}))
		case n.mzxid > l.since:
			c.send(eventFrame(event{kind: 3, path: path}))
		default:
			f.watch(c, path, false)
		}
	}
	for _, path := range l.exist {
		if f.tree.nodes[path] != nil {
			c.send(eventFrame(event{kind: 1, path: path}))
		} else {
			f.watch(c, path, false)
		}
	}
	for _, path := range l.kids {
		n := f.tree.nodes[path]
		switch {
		case n == nil:
			c.send(eventFrame(event{kind: 2, path: path}))
		case n.pzxid > l.since:
			c.send(eventFrame(event{kind: 4, path: path}))
		default:
			f.watch(c, path, true)
		}
	}
}
