package zookeepertest

import (
	"fmt"
	"strings"
	"time"
)

// Op names what a request or a transaction does.
type Op string

// The operations that are known by name. Others are named after their number.
const (
	OpCreate          Op = "create"
	OpCreateContainer Op = "createContainer"
	OpDelete          Op = "delete"
	OpExists          Op = "exists"
	OpGetData         Op = "getData"
	OpSetData         Op = "setData"
	OpGetACL          Op = "getACL"
	OpGetChildren     Op = "getChildren"
	OpSync            Op = "sync"
	OpPing            Op = "ping"
	OpCheck           Op = "check"
	OpMulti           Op = "multi"
	OpSetAuth         Op = "setAuth"
	OpSetWatches      Op = "setWatches"
	OpCreateSession   Op = "createSession"
	OpCloseSession    Op = "closeSession"
	// OpError is a write that was refused: it took a zxid and changed nothing.
	OpError Op = "error"
)

// These two are not answered with a Stat; create2 (15) and getChildren2 (12) are.
const (
	codeOfCreate      int32 = 1
	codeOfGetChildren int32 = 8
)

// opOf names ZooKeeper's operation codes.
func opOf(code int32) Op {
	switch code {
	case codeOfCreate, 15:
		return OpCreate
	case 19:
		return OpCreateContainer
	case 2, 20: // deleteContainer is the server's own doing
		return OpDelete
	case 3:
		return OpExists
	case 4:
		return OpGetData
	case 5:
		return OpSetData
	case 6:
		return OpGetACL
	case codeOfGetChildren, 12:
		return OpGetChildren
	case 9:
		return OpSync
	case 11:
		return OpPing
	case 13:
		return OpCheck
	case 14:
		return OpMulti
	case 100:
		return OpSetAuth
	case 101:
		return OpSetWatches
	case -10:
		return OpCreateSession
	case -11:
		return OpCloseSession
	case -1:
		return OpError
	default:
		return Op(fmt.Sprintf("op%d", code))
	}
}

// Txn is one write in the order in which the servers took it: a transaction of a
// real server's log or of a Fake. A multi that was refused holds an OpError for
// the operation that failed and for those behind it, and the operations before
// it as if they had happened: ask Failed, or read Writes.
type Txn struct {
	// Session is the session that wrote, or that began or ended.
	Session int64
	// Cxid is the number that the client gave its request.
	Cxid int32
	// Zxid is the transaction's number.
	Zxid int64
	// Time is when the server took it, in milliseconds.
	Time time.Time
	// Op is what was done.
	Op Op
	// Path is the node's, with its sequence number; empty for sessions and multi.
	Path string
	// Data is what was created or set.
	Data []byte
	// Ephemeral tells how the node was created.
	Ephemeral bool
	// Err is ZooKeeper's code when Op is OpError: -101 no node, -103 bad version,
	// -110 node exists, -2 for what stands behind the failed operation of a multi.
	Err int32
	// Ops are the operations of a multi; their Session and Zxid are the multi's.
	Ops []Txn
	// Paths are the ephemerals that a closeSession removed.
	Paths []string
}

// Failed reports whether the write was refused and changed nothing.
func (t Txn) Failed() bool {
	if t.Op == OpError {
		return true
	}
	for _, op := range t.Ops {
		if op.Op == OpError {
			return true
		}
	}
	return false
}

// Writes returns the single changes of an accepted transaction: itself, or the
// operations of a multi without its checks.
func (t Txn) Writes() []Txn {
	if t.Failed() {
		return nil
	}
	switch t.Op {
	case OpMulti:
		var all []Txn
		for _, op := range t.Ops {
			all = append(all, op.Writes()...)
		}
		return all
	case OpCreate, OpCreateContainer, OpDelete, OpSetData:
		return []Txn{t}
	default:
		return nil
	}
}

// String returns the transaction on one line, for messages.
func (t Txn) String() string {
	return fmt.Sprintf("zxid 0x%x session 0x%x %s", t.Zxid, t.Session, t.what())
}

// what describes the transaction without its zxid and session.
func (t Txn) what() string {
	switch {
	case t.Op == OpError:
		return fmt.Sprintf("error %d", t.Err)
	case t.Op == OpMulti:
		parts := make([]string, 0, len(t.Ops))
		for _, op := range t.Ops {
			parts = append(parts, op.what())
		}
		return "multi [" + strings.Join(parts, "; ") + "]"
	case t.Op == OpCloseSession:
		return fmt.Sprintf("closeSession %q", t.Paths)
	case t.Path == "":
		return string(t.Op)
	case t.Data != nil:
		return fmt.Sprintf("%s %s %q", t.Op, t.Path, t.Data)
	default:
		return fmt.Sprintf("%s %s", t.Op, t.Path)
	}
}
