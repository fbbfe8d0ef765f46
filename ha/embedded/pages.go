package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its file: where a page is damaged it panics, on another goroutine
// even, runs in a circle, or reads beyond the end of the file, which kills the
// process. So every page that it will use is read here first, with plain reads.
// Numbers are in the order of this machine's bytes, as bbolt writes them.
const (
	pageHeader = 16
	element    = 16
	metaSize   = 64
	boltMagic  = 0xED0CDAED
	// boltVersion is the version of bbolt's format, not of what coordd stores in it.
	boltVersion = 2

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	// inBucket marks an element whose value is a bucket.
	inBucket   = 0x01
	bucketSize = 16
	// manyPages in the count of a freelist says that its first number is the count.
	manyPages = 0xFFFF
	// noFreelist stands for a freelist that was not written.
	noFreelist = ^uint64(0)

	minPageSize, maxPageSize = 1 << 10, 1 << 24
)

// Why a file cannot be used; what wraps them says where.
var (
	errForeign   = errors.New("it is not a data file of coordd")
	errTruncated = errors.New("its end is missing")
	errDamaged   = errors.New("it is damaged")
)

// meta is one of the two headers of a bbolt file, of which the newer one counts.
type meta struct {
	pageSize              uint32
	root, freelist, limit uint64
	transaction           uint64
}

// readPages calls visit with every value of the file and the bucket that it is in,
// a bucket's keys in order. What visit gets is its own. The error wraps errForeign,
// errTruncated or errDamaged unless reading failed, or is visit's.
func readPages(from io.ReaderAt, size int64, visit func(bucket string, key, value []byte) error) error {
	m, err := readMeta(from, size)
	if err != nil {
		return err
	}
	p := &pages{from: from, size: uint64(m.pageSize), limit: m.limit, used: make(map[uint64]bool)}
	if m.limit > uint64(size)/p.size { //nolint:gosec // a size is not negative
		return fmt.Errorf("%w: it has %d bytes and should have %d or more", errTruncated, size, m.limit*p.size)
	}
	err = p.walk(m.root, span{}, func(e leaf) error {
		if e.flags != inBucket {
			return fmt.Errorf("%w: a value %q stands outside of all buckets", errForeign, e.key)
		}
		return p.bucket(e, visit)
	})
	if err != nil {
		return err
	}
	return p.freelist(m.freelist)
}

// readMeta returns the newer header. A write of bbolt replaces the older one, and
// the bytes that count stand in one sector: a header that is not valid was damaged,
// and with it might go a transaction that was acknowledged.
func readMeta(from io.ReaderAt, size int64) (meta, error) {
	head := make([]byte, pageHeader+metaSize)
	if size < int64(len(head)) {
		return meta{}, fmt.Errorf("%w: it has %d bytes", errForeign, size)
	}
	if _, err := from.ReadAt(head, 0); err != nil {
		return meta{}, err
	}
	if binary.NativeEndian.Uint32(head[pageHeader:]) != boltMagic {
		return meta{}, errForeign
	}
	first, err := parseMeta(head, 0)
	if err != nil {
		return meta{}, err
	}
	if size < 2*int64(first.pageSize) {
		return meta{}, fmt.Errorf("%w: it has %d bytes", errTruncated, size)
	}
	if _, err := from.ReadAt(head, int64(first.pageSize)); err != nil {
		return meta{}, err
	}
	second, err := parseMeta(head, 1)
	if err != nil {
		return meta{}, err
	}
	switch {
	case second.pageSize != first.pageSize:
	case second.transaction == first.transaction+1:
		return second, nil
	case first.transaction == second.transaction+1:
		return first, nil
	}
	return meta{}, fmt.Errorf("%w: its two headers do not belong together", errDamaged)
}

func parseMeta(page []byte, at uint64) (meta, error) {
	n := binary.NativeEndian
	if n.Uint64(page) != at || n.Uint16(page[8:]) != metaPage {
		return meta{}, fmt.Errorf("%w: page %d is no header", errDamaged, at)
	}
	b := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	if n.Uint32(b) != boltMagic || n.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return meta{}, fmt.Errorf("%w: the checksum of header %d is wrong", errDamaged, at)
	}
	if v := n.Uint32(b[4:]); v != boltVersion {
		return meta{}, fmt.Errorf("%w: it is in version %d of bbolt's format, not %d", errForeign, v, boltVersion)
	}
	m := meta{
		pageSize: n.Uint32(b[8:]), root: n.Uint64(b[16:]),
		freelist: n.Uint64(b[32:]), limit: n.Uint64(b[40:]), transaction: n.Uint64(b[48:]),
	}
	if m.pageSize < minPageSize || m.pageSize > maxPageSize {
		return meta{}, fmt.Errorf("%w: pages of %d bytes", errDamaged, m.pageSize)
	}
	return m, nil
}

// pages are those of one file.
type pages struct {
	from io.ReaderAt
	// size of a page in bytes; limit is the number of the first that is not in use.
	size, limit uint64
	// used holds the pages that have been read: none belongs to two owners.
	used map[uint64]bool
}

// page is one page with those that continue it.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

// span is what the keys below a branch lie within: from low, and before high.
type span struct{ low, high []byte }

func (s span) holds(key []byte) bool {
	return (s.low == nil || bytes.Compare(key, s.low) >= 0) && (s.high == nil || bytes.Compare(key, s.high) < 0)
}

// leaf is one key and value.
type leaf struct {
	flags      uint32
	key, value []byte
}

func (p *pages) damage(id uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d: %s", errDamaged, id, fmt.Sprintf(format, args...))
}

// read returns a page that nobody has read.
func (p *pages) read(id uint64) (page, error) {
	if id < 2 || id >= p.limit {
		return page{}, p.damage(id, "outside of pages 2 to %d", p.limit-1)
	}
	head := make([]byte, pageHeader)
	if _, err := p.from.ReadAt(head, int64(id*p.size)); err != nil { //nolint:gosec // within the file
		return page{}, err
	}
	n := binary.NativeEndian
	if got := n.Uint64(head); got != id {
		return page{}, p.damage(id, "calls itself page %d", got)
	}
	more := uint64(n.Uint32(head[12:]))
	if id+more >= p.limit {
		return page{}, p.damage(id, "continues beyond page %d", p.limit-1)
	}
	for i := id; i <= id+more; i++ {
		if p.used[i] {
			return page{}, p.damage(id, "belongs to two others")
		}
		p.used[i] = true
	}
	data := make([]byte, (more+1)*p.size)
	if _, err := p.from.ReadAt(data, int64(id*p.size)); err != nil { //nolint:gosec // within the file
		return page{}, err
	}
	return page{id: id, flags: n.Uint16(head[8:]), count: int(n.Uint16(head[10:])), data: data}, nil
}

// walk calls visit with what the tree below a page holds, in order.
func (p *pages) walk(id uint64, within span, visit func(leaf) error) error {
	pg, err := p.read(id)
	if err != nil {
		return err
	}
	if pageHeader+pg.count*element > len(pg.data) {
		return p.damage(id, "has %d elements", pg.count)
	}
	switch pg.flags {
	case leafPage:
		return p.leaves(pg, within, visit)
	case branchPage:
		return p.branches(pg, within, visit)
	}
	return p.damage(id, "is of kind %#x", pg.flags)
}

func (p *pages) branches(pg page, within span, visit func(leaf) error) error {
	if pg.count == 0 {
		return p.damage(pg.id, "has no elements")
	}
	keys, below := make([][]byte, pg.count), make([]uint64, pg.count)
	for i := range pg.count {
		at := pageHeader + i*element
		e := pg.data[at:]
		n := binary.NativeEndian
		key, ok := pg.cut(at, n.Uint32(e), n.Uint32(e[4:]))
		if !ok || !within.holds(key) || i > 0 && bytes.Compare(keys[i-1], key) >= 0 {
			return p.damage(pg.id, "element %d is out of place", i)
		}
		keys[i], below[i] = key, n.Uint64(e[8:])
	}
	for i, id := range below {
		part := span{low: keys[i], high: within.high}
		if i+1 < len(keys) {
			part.high = keys[i+1]
		}
		if err := p.walk(id, part, visit); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) leaves(pg page, within span, visit func(leaf) error) error {
	var last []byte
	for i := range pg.count {
		at := pageHeader + i*element
		e := pg.data[at:]
		n := binary.NativeEndian
		key, ok := pg.cut(at, n.Uint32(e[4:]), n.Uint32(e[8:]))
		if !ok || len(key) == 0 || !within.holds(key) || i > 0 && bytes.Compare(last, key) >= 0 {
			return p.damage(pg.id, "element %d is out of place", i)
		}
		value, ok := pg.cut(at, n.Uint32(e[4:])+n.Uint32(e[8:]), n.Uint32(e[12:]))
		if !ok {
			return p.damage(pg.id, "the value of element %d is not within it", i)
		}
		last = key
		if err := visit(leaf{flags: n.Uint32(e), key: key, value: value}); err != nil {
			return err
		}
	}
	return nil
}

// cut returns size bytes at pos, which counts from at.
func (pg page) cut(at int, pos, size uint32) ([]byte, bool) {
	from := uint64(at) + uint64(pos) //nolint:gosec // at is within the page
	to := from + uint64(size)
	if from < pageHeader || to > uint64(len(pg.data)) {
		return nil, false
	}
	return pg.data[from:to:to], true
}

// bucket visits what is in the bucket of an element: behind it, while it is small,
// or in pages of its own.
func (p *pages) bucket(e leaf, visit func(bucket string, key, value []byte) error) error {
	if len(e.value) < bucketSize {
		return fmt.Errorf("%w: bucket %q has no root", errDamaged, e.key)
	}
	name := string(e.key)
	each := func(v leaf) error {
		if v.flags != 0 {
			return fmt.Errorf("%w: bucket %q holds another", errForeign, name)
		}
		return visit(name, v.key, v.value)
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		return p.walk(root, span{}, each)
	}
	data := e.value[bucketSize:]
	if len(data) < pageHeader {
		return fmt.Errorf("%w: bucket %q has no page", errDamaged, name)
	}
	n := binary.NativeEndian
	pg := page{flags: n.Uint16(data[8:]), count: int(n.Uint16(data[10:])), data: data}
	if pg.flags != leafPage || pageHeader+pg.count*element > len(data) {
		return fmt.Errorf("%w: bucket %q is of kind %#x", errDamaged, name, pg.flags)
	}
	return p.leaves(pg, span{}, each)
}

// freelist checks the list of the pages that bbolt will write to next.
func (p *pages) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	pg, err := p.read(id)
	if err != nil {
		return err
	}
	count, ids := uint64(pg.count), pg.data[pageHeader:] //nolint:gosec // a count is not negative
	if count == manyPages {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if pg.flags != freelistPage || count > uint64(len(ids)/8) {
		return p.damage(id, "is no list of %d free pages", count)
	}
	for i := range count {
		free := binary.NativeEndian.Uint64(ids[i*8:])
		if free < 2 || free >= p.limit || p.used[free] {
			return p.damage(id, "page %d is not free", free)
		}
		p.used[free] = true
	}
	return nil
}
