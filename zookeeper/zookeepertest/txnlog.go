package zookeepertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Txns returns what the server's transaction log holds, in order: everything
// that it ever took, also before restarts. The server may be running. The last
// entries of an ensemble's member may be proposals that are not committed yet;
// what a client was told is committed is in the logs of a majority.
func (s *Server) Txns(tb TB) []Txn {
	tb.Helper()
	txns, err := readTxnLogs(filepath.Join(s.dataDir(), "version-2"))
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return txns
}

// readTxnLogs reads all log.<zxid> files of a folder in order.
func readTxnLogs(dir string) ([]Txn, error) {
	names, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return nil, fmt.Errorf("transaction logs in %s: %w", dir, err)
	}
	sort.Slice(names, func(i, j int) bool { return firstZxid(names[i]) < firstZxid(names[j]) })
	var all []Txn
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("transaction log: %w", err)
		}
		txns, err := decodeTxnLog(data)
		if err != nil {
			return nil, fmt.Errorf("transaction log %s: %w", name, err)
		}
		// A member that rejoined may have the tail of a former leader, which the
		// next file starts over.
		for len(all) > 0 && len(txns) > 0 && all[len(all)-1].Zxid >= txns[0].Zxid {
			all = all[:len(all)-1]
		}
		all = append(all, txns...)
	}
	return all, nil
}

// firstZxid is the number in a log's name.
func firstZxid(name string) uint64 {
	zxid, _ := strconv.ParseUint(strings.TrimPrefix(filepath.Ext(name), "."), 16, 64)
	return zxid
}

// decodeTxnLog reads one log. Files are filled up with zeros ahead of the
// entries; an entry that is being written ends the reading without an error.
func decodeTxnLog(data []byte) ([]Txn, error) {
	r := &reader{buf: data}
	if magic := r.take(4); !bytes.Equal(magic, []byte("ZKLG")) {
		if len(bytes.Trim(data, "\x00")) == 0 {
			return nil, nil // just created
		}
		return nil, fmt.Errorf("begins with %q, want ZKLG", magic)
	}
	if version := r.int32(); version != 2 {
		return nil, fmt.Errorf("has version %d, want 2", version)
	}
	r.int64() // database id
	var txns []Txn
	for {
		r.int64() // checksum
		entry := r.buffer()
		end := r.take(1)
		if r.err != nil || len(entry) == 0 || end[0] != 'B' {
			return txns, nil //nolint:nilerr // documented: the entry is being written
		}
		t, err := decodeTxn(entry)
		if err != nil {
			return nil, fmt.Errorf("after %d entries: %w", len(txns), err)
		}
		txns = append(txns, t)
	}
}

// decodeTxn reads an entry: a header and a record. A digest that follows is
// ignored.
func decodeTxn(entry []byte) (Txn, error) {
	r := &reader{buf: entry}
	t := Txn{Session: r.int64(), Cxid: r.int32(), Zxid: r.int64(), Time: time.UnixMilli(r.int64())}
	t.record(r.int32(), r)
	return t, r.err
}

// record reads what belongs to the transaction's type.
func (t *Txn) record(code int32, r *reader) {
	t.Op = opOf(code)
	switch t.Op {
	case OpCreate:
		t.Path, t.Data = r.string(), r.buffer()
		r.acl()
		t.Ephemeral = r.bool()
	case OpCreateContainer:
		t.Path, t.Data = r.string(), r.buffer()
	case OpSetData:
		t.Path, t.Data = r.string(), r.buffer()
	case OpDelete, OpCheck:
		t.Path = r.string()
	case OpError:
		t.Err = r.int32()
	case OpCloseSession:
		if len(r.buf) > 0 { // servers before 3.6 wrote nothing here
			t.Paths = r.strings()
		}
	case OpMulti:
		for n := r.int32(); n > 0 && r.err == nil; n-- {
			op := Txn{Session: t.Session, Cxid: t.Cxid, Zxid: t.Zxid, Time: t.Time}
			code := r.int32()
			part := &reader{buf: r.buffer()}
			op.record(code, part)
			if part.err != nil {
				r.err = part.err
			}
			t.Ops = append(t.Ops, op)
		}
	}
}
