package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Operations by their codes in requests, as far as their answers have a body.
const (
	opCreate          = 1
	opDelete          = 2
	opExists          = 3
	opGetData         = 4
	opSetData         = 5
	opGetACL          = 6
	opSync            = 9
	opGetChildren2    = 12
	opCheck           = 13
	opMulti           = 14
	opCreateContainer = 19
	opError           = -1 // of a part of a multi
)

// watchXid is what watch events carry in the place of a request's number.
const watchXid = 0xffffffff // -1

// statSize is the length of an encoded Stat.
const statSize = 68

// errTorn is what replies fail with whose fields do not fit into their frame.
var errTorn = errors.New("its fields do not fit into it")

// replies checks that a reply holds what its request asks for before go-zookeeper
// sees it. go-zookeeper allocates whatever length a field claims, up to 64 GiB, reads
// beyond the frame what an earlier one left in its buffer, and panics in its own
// goroutine, which ends the process, where a multi's result breaks off.
type replies struct {
	mu    sync.Mutex
	asked map[uint32]uint32 // operations by the numbers of requests, as far as their answers have a body
}

// ask notes a request before it is sent.
func (r *replies) ask(xid, op uint32) {
	switch op {
	case opCreate, opCreateContainer, opSync, opExists, opSetData, opGetData, opGetACL, opGetChildren2, opMulti:
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked == nil {
		r.asked = make(map[uint32]uint32)
	}
	r.asked[xid] = op
}

// check returns an error for a frame, without its length, that go-zookeeper must not
// see. It has at least a reply's header.
func (r *replies) check(frame []byte) error {
	xid, code := binary.BigEndian.Uint32(frame), binary.BigEndian.Uint32(frame[12:])
	body := fields{rest: frame[minReplyFrame:]}
	if xid == watchXid {
		return body.event()
	}
	r.mu.Lock()
	op, known := r.asked[xid]
	delete(r.asked, xid)
	r.mu.Unlock()
	if !known || code != 0 { // nothing more is read of these
		return nil
	}
	switch op {
	case opCreate, opCreateContainer, opSync:
		body.text()
	case opExists, opSetData:
		body.skip(statSize)
	case opGetData:
		body.buffer()
		body.skip(statSize)
	case opGetACL:
		body.acl()
		body.skip(statSize)
	case opGetChildren2:
		body.texts()
		body.skip(statSize)
	case opMulti:
		body.results()
	}
	return body.err
}

// fields reads past the fields of a record. The first error stays.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) skip(n int) {
	if f.err != nil || n < 0 || n > len(f.rest) {
		f.err = errTorn
		return
	}
	f.rest = f.rest[n:]
}

func (f *fields) int32() int32 {
	rest := f.rest
	if f.skip(4); f.err != nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(rest)) //nolint:gosec // as it was sent
}

// buffer reads past data. A length of -1 stands for none.
func (f *fields) buffer() {
	if n := f.int32(); n != -1 {
		f.skip(int(n))
	}
}

func (f *fields) text() { f.skip(int(f.int32())) }

// texts reads past a list.
func (f *fields) texts() {
	n := f.int32()
	if n < 0 {
		f.err = errTorn
	}
	for ; n > 0 && f.err == nil; n-- {
		f.text()
	}
}

// acl reads past a list of rights, identity schemes and identities.
func (f *fields) acl() {
	n := f.int32()
	if n < 0 {
		f.err = errTorn
	}
	for ; n > 0 && f.err == nil; n-- {
		f.skip(4)
		f.text()
		f.text()
	}
}

// results reads past the results of a multi.
func (f *fields) results() {
	for f.err == nil {
		op, done := f.int32(), f.bool()
		f.skip(4)
		switch {
		case done:
			return
		case op == opError:
			f.skip(4)
		case op == opCreate:
			f.text()
		case op == opSetData:
			f.skip(statSize)
		case op != opDelete && op != opCheck:
			return // go-zookeeper stops here too
		}
	}
}

func (f *fields) bool() bool {
	rest := f.rest
	if f.skip(1); f.err != nil {
		return false
	}
	return rest[0] != 0
}

// event checks a watch event. Types below 1 are go-zookeeper's own, for what it says
// of its connection.
func (f *fields) event() error {
	kind := f.int32()
	f.skip(4)
	f.text()
	if f.err == nil && kind < 1 {
		return fmt.Errorf("it is a watch event of the type %d", kind)
	}
	return f.err
}
