package zookeepertest

import "strconv"

// maxFrame is ZooKeeper's jute.maxbuffer: a longer request closes the
// connection.
const maxFrame = 0xfffff

// Request is what a client asked of a Fake.
type Request struct {
	// Session is the client's session.
	Session int64
	// Op is what it asks for.
	Op Op
	// Path is the node's; a sequential create has no number yet.
	Path string
	// Data is what it wants to create or set.
	Data []byte
	// Version is the one it expects, -1 for any.
	Version int32
	// Flags of a create: 1 ephemeral, 2 sequential, 4 container.
	Flags int32
	// Watch tells whether a read leaves a watch.
	Watch bool
	// Ops are the operations of a multi.
	Ops []Request

	xid, code int32
	acl       []byte
	setWatch  watchList
}

// watchList is the body of setWatches.
type watchList struct {
	since             int64
	data, exist, kids []string
}

// writes reports whether the request takes a transaction.
func (r Request) writes() bool {
	switch r.Op {
	case OpCreate, OpCreateContainer, OpDelete, OpSetData, OpMulti, OpCloseSession:
		return true
	default:
		return false
	}
}

// decodeRequest reads a frame.
func decodeRequest(session int64, frame []byte) (Request, error) {
	d := &reader{buf: frame}
	r := Request{Session: session, xid: d.int32()}
	r.body(d.int32(), d)
	return r, d.err
}

// body reads what belongs to the operation.
func (r *Request) body(code int32, d *reader) {
	r.code, r.Op = code, opOf(code)
	switch r.Op {
	case OpCreate, OpCreateContainer:
		r.Path, r.Data, r.acl, r.Flags = d.string(), d.buffer(), d.acl(), d.int32()
		if r.Flags == flagContainer {
			r.Op = OpCreateContainer
		}
	case OpDelete, OpCheck:
		r.Path, r.Version = d.string(), d.int32()
	case OpExists, OpGetData, OpGetChildren:
		r.Path, r.Watch = d.string(), d.bool()
	case OpSetData:
		r.Path, r.Data, r.Version = d.string(), d.buffer(), d.int32()
	case OpGetACL, OpSync:
		r.Path = d.string()
	case OpSetWatches:
		r.setWatch = watchList{since: d.int64(), data: d.strings(), exist: d.strings(), kids: d.strings()}
	case OpMulti:
		for d.err == nil {
			code, done := d.int32(), d.bool()
			d.int32()
			if done {
				return
			}
			op := Request{Session: r.Session}
			op.body(code, d)
			r.Ops = append(r.Ops, op)
		}
	}
}

// result is the outcome of one operation.
type result struct {
	code int32
	txn  Txn    // with the final path
	stat []byte // the node's Stat after it, where one is answered
}

// frame puts the length before a message.
func frame(body []byte) []byte {
	w := &writer{}
	w.buffer(body)
	return w.buf
}

// replyFrame encodes a reply; body is left out behind an error.
func replyFrame(xid int32, zxid int64, code int32, body func(w *writer)) []byte {
	w := &writer{}
	w.int32(xid)
	w.int64(zxid)
	w.int32(code)
	if code == codeOK && body != nil {
		body(w)
	}
	return frame(w.buf)
}

// eventFrame encodes a watch event.
func eventFrame(e event) []byte {
	const syncConnected = 3
	return replyFrame(-1, -1, codeOK, func(w *writer) {
		w.int32(e.kind)
		w.int32(syncConnected)
		w.string(e.path)
	})
}

// multiReply encodes the results of a multi.
func multiReply(results []result) func(w *writer) {
	header := func(w *writer, code int32, done bool, err int32) {
		w.int32(code)
		w.bool(done)
		w.int32(err)
	}
	return func(w *writer) {
		failed := false
		for _, r := range results {
			failed = failed || r.code != codeOK
		}
		for _, r := range results {
			if failed {
				header(w, -1, false, r.code)
				w.int32(r.code)
				continue
			}
			switch r.txn.Op {
			case OpCreate:
				header(w, 1, false, codeOK)
				w.string(r.txn.Path)
			case OpCreateContainer: // answered as create2: a client may not know that
				header(w, 15, false, codeOK)
				w.string(r.txn.Path)
				w.buf = append(w.buf, r.stat...)
			case OpSetData:
				header(w, 5, false, codeOK)
				w.buf = append(w.buf, r.stat...)
			case OpDelete:
				header(w, 2, false, codeOK)
			default:
				header(w, 13, false, codeOK)
			}
		}
		header(w, -1, true, -1)
	}
}

// connectRequest is a client's first frame.
type connectRequest struct {
	lastZxid  int64
	timeoutMs int32
	session   int64
	password  string
	readOnly  bool // the frame ends with that flag, and so does the answer
}

func decodeConnect(frame []byte) (connectRequest, error) {
	d := &reader{buf: frame}
	d.int32() // protocol version
	r := connectRequest{lastZxid: d.int64(), timeoutMs: d.int32(), session: d.int64(), password: d.string()}
	r.readOnly = len(d.buf) > 0
	return r, d.err
}

// connectReply encodes the answer; session 0 says that the session has expired.
func connectReply(r connectRequest, timeoutMs int32, session int64, password string) []byte {
	w := &writer{}
	w.int32(0)
	w.int32(timeoutMs)
	w.int64(session)
	w.string(password)
	if r.readOnly {
		w.bool(false)
	}
	return frame(w.buf)
}

// passwordOf derives a session's password, 16 bytes as ZooKeeper's.
func passwordOf(session int64) string {
	return (strconv.FormatInt(session, 16) + "----------------")[:16]
}
