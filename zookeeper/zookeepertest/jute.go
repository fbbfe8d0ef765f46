package zookeepertest

import (
	"encoding/binary"
	"errors"
)

// errShort reports a record that ends before its last field.
var errShort = errors.New("record is too short")

// reader decodes jute, ZooKeeper's encoding: big-endian numbers, and strings,
// buffers and vectors behind their length. The first error stays, and what is
// read after it is zero.
type reader struct {
	buf []byte
	err error
}

// take returns the next n bytes, which the caller must not change.
func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.buf) {
		r.err = errShort
		return nil
	}
	b := r.buf[:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b)) //nolint:gosec // the same bits, signed
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b)) //nolint:gosec // the same bits, signed
	}
	return 0
}

func (r *reader) bool() bool {
	b := r.take(1)
	return b != nil && b[0] != 0
}

// buffer reads a byte buffer; length -1 is nil.
func (r *reader) buffer() []byte {
	n := r.int32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

func (r *reader) string() string { return string(r.buffer()) }

func (r *reader) strings() []string {
	var all []string
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		all = append(all, r.string())
	}
	return all
}

// acl passes over an access control list and returns it as it is encoded.
func (r *reader) acl() []byte {
	start := r.buf
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		r.int32()
		r.buffer()
		r.buffer()
	}
	return start[:len(start)-len(r.buf)]
}

// writer encodes jute.
type writer struct{ buf []byte }

func (w *writer) int32(v int32) {
	w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) //nolint:gosec // the same bits
}

func (w *writer) int64(v int64) {
	w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) //nolint:gosec // the same bits
}

func (w *writer) bool(v bool) {
	if v {
		w.buf = append(w.buf, 1)
	} else {
		w.buf = append(w.buf, 0)
	}
}

func (w *writer) buffer(v []byte) {
	if v == nil {
		w.int32(-1)
		return
	}
	w.int32(int32(len(v))) //nolint:gosec // frames are below 1 MiB
	w.buf = append(w.buf, v...)
}

func (w *writer) string(v string) { w.buffer([]byte(v)) }

func (w *writer) strings(v []string) {
	w.int32(int32(len(v))) //nolint:gosec // frames are below 1 MiB
	for _, s := range v {
		w.string(s)
	}
}
