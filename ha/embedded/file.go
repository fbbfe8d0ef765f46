package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/coordd/coordd/txn"
)

// The file is a bbolt file with two buckets:
//
//	coordd   format   the version of all this, in decimal
//	         state    see state
//	data     <path>   the value at that path
const (
	formatVersion = "1"
	headBucket    = "coordd"
	dataBucket    = "data"
	formatKey     = "format"
	stateKey      = "state"

	// generation is how far the index is moved on whenever the file is opened: by
	// more than the changes that are counted and not written, since the index is
	// written with every transaction only.
	generation = 1 << 32

	private = 0o600
)

// errKept ends every error that says why a file cannot be opened.
var errKept = errors.New("nothing was changed; restore it from a copy, move it away to begin with an empty one, or choose another place")

// state is what is written with each transaction: 24 bytes, three big-endian
// numbers.
type state struct {
	// index is the Backend's, or somewhat less.
	index int64
	// count and sum are over the values: how many there are, and the sum of their
	// hashes. bbolt has no checksums of its own, so a page that was lost would go
	// unnoticed.
	count, sum uint64
}

func (s state) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.index)) //nolint:gosec // kept as it is
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, s.count), s.sum)
}

func parseState(b []byte) (state, error) {
	const size = 24
	if len(b) != size {
		return state{}, fmt.Errorf("%w: a state of %d bytes", errDamaged, len(b))
	}
	n := binary.BigEndian
	s := state{index: int64(n.Uint64(b)), count: n.Uint64(b[8:]), sum: n.Uint64(b[16:])} //nolint:gosec // checked
	if s.index < 0 || s.index > math.MaxInt64-generation {
		return state{}, fmt.Errorf("%w: an index of %d", errDamaged, s.index)
	}
	return s, nil
}

// add and drop count a value in and out.
func (s *state) add(path string, data []byte)  { s.count++; s.sum += hash(path, data) }
func (s *state) drop(path string, data []byte) { s.count--; s.sum -= hash(path, data) }

func hash(path string, data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(append([]byte(path), 0)) // no path holds a zero byte that data could continue
	_, _ = h.Write(data)
	return h.Sum64()
}

// file keeps the stored data. Only who holds the Backend's disk uses it, but for
// failed.
type file struct {
	path  string
	db    *bbolt.DB
	state state
	// failed is closed, after err was set, when it is not known what the file holds.
	failed chan struct{}
	err    error
}

// openFile opens the file at path, which it makes when there is none, and returns
// it with its content. Nobody else can open it until close. Errors name the file
// and the remedy; the file is then as it was.
func openFile(ctx context.Context, path string) (*file, *tree, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createFile(ctx, path); err != nil {
			return nil, nil, fmt.Errorf("create the data file %s: %w", path, err)
		}
	}
	f, t, err := openExisting(ctx, path)
	if err != nil {
		return nil, nil, fmt.Errorf("open the data file: %w", err)
	}
	return f, t, nil
}

func openExisting(ctx context.Context, path string) (*file, *tree, error) {
	handle, err := os.OpenFile(path, os.O_RDWR, private)
	if err != nil {
		return nil, nil, err
	}
	f, t, err := readFile(ctx, handle, path)
	if err != nil {
		_ = handle.Close() // bbolt may have closed it
		return nil, nil, err
	}
	return f, t, nil
}

// readFile takes the file, checks and reads it, and begins a new generation.
func readFile(ctx context.Context, handle *os.File, path string) (*file, *tree, error) {
	info, err := handle.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %w: it is no regular file; %w", path, errForeign, errKept)
	}
	if err := lock(ctx, handle); err != nil {
		return nil, nil, err
	}
	now, err := os.Stat(path)
	if err != nil || !os.SameFile(info, now) {
		return nil, nil, fmt.Errorf("%s was moved or replaced while it was opened: try again", path)
	}
	s, t, err := load(handle)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w; %w", path, err, errKept)
	}
	db, err := openBolt(handle)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &file{path: path, db: db, state: s, failed: make(chan struct{})}
	s.index += generation
	if err := f.store(s, nil); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return f, t, nil
}

// openBolt opens an opened file with bbolt, which closes it in the end.
func openBolt(handle *os.File) (*bbolt.DB, error) {
	return bbolt.Open(handle.Name(), private, &bbolt.Options{
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return handle, nil },
	})
}

// load checks the whole file and returns what it holds.
func load(handle *os.File) (state, *tree, error) {
	info, err := handle.Stat()
	if err != nil {
		return state{}, nil, err
	}
	var (
		t            = newTree()
		read         state
		format, head []byte
	)
	err = readPages(handle, info.Size(), func(bucket string, key, value []byte) error {
		switch name := string(key); {
		case bucket == dataBucket:
			if err := checkPath(name); err != nil {
				return fmt.Errorf("%w: %w", errDamaged, err)
			}
			t.set(name, value)
			read.add(name, value)
		case bucket == headBucket && name == formatKey:
			format = value
		case bucket == headBucket && name == stateKey:
			head = value
		default:
			return fmt.Errorf("%w: it has a bucket %q with a key %q", errForeign, bucket, name)
		}
		return nil
	})
	switch {
	case err != nil:
		return state{}, nil, err
	case format == nil:
		return state{}, nil, fmt.Errorf("%w: it names no format", errForeign)
	case string(format) != formatVersion:
		return state{}, nil, fmt.Errorf("it is in format %q, and this release of coordd knows format %s: use the release that wrote it", format, formatVersion)
	}
	s, err := parseState(head)
	if err != nil {
		return state{}, nil, err
	}
	if s.count != read.count || s.sum != read.sum {
		return state{}, nil, fmt.Errorf("%w: it should hold %d values and holds %d, or others", errDamaged, s.count, read.count)
	}
	return s, t, nil
}

// createFile makes an empty file. It gets its name when it is whole and on disk, so
// that there is never a part of one.
func createFile(ctx context.Context, path string) error {
	handle, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE, private)
	if err != nil {
		return err
	}
	if err := lock(ctx, handle); err != nil {
		return errors.Join(err, handle.Close())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, handle.Close()) // another process was faster
	}
	if err := handle.Truncate(0); err != nil {
		return errors.Join(err, handle.Close())
	}
	db, err := openBolt(handle)
	if err != nil {
		_ = handle.Close() // bbolt may have closed it
		return err
	}
	return errors.Join(fill(db, path), db.Close())
}

// fill writes what an empty file holds and gives it its name.
func fill(db *bbolt.DB, path string) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists([]byte(dataBucket)); err != nil {
			return err
		}
		head, err := tx.CreateBucketIfNotExists([]byte(headBucket))
		if err != nil {
			return err
		}
		return errors.Join(
			head.Put([]byte(formatKey), []byte(formatVersion)),
			head.Put([]byte(stateKey), state{}.bytes()),
		)
	})
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// write stores the operations, which can be done on what before holds, and returns
// when they are on disk. When it is not known whether they are, the error wraps
// txn.ErrUnknownOutcome and the file takes no more; after any other error nothing
// was stored, and the next write may succeed.
func (f *file) write(ops []txn.Op, before *tree, index int64) error {
	if f.err != nil {
		return f.err
	}
	next := f.state
	next.index = index
	for _, op := range ops {
		if old := before.find(op.Path); old != nil && old.stored {
			next.drop(op.Path, old.data)
		}
		if op.Kind == txn.Create || op.Kind == txn.Put {
			next.add(op.Path, op.Data)
		}
	}
	return f.store(next, ops)
}

func (f *file) store(next state, ops []txn.Op) error {
	err := f.db.Update(func(tx *bbolt.Tx) error {
		data := tx.Bucket([]byte(dataBucket))
		for _, op := range ops {
			var err error
			if op.Kind == txn.Create || op.Kind == txn.Put {
				err = data.Put([]byte(op.Path), op.Data)
			} else {
				err = data.Delete([]byte(op.Path))
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", op.Kind, op.Path, err)
			}
		}
		return tx.Bucket([]byte(headBucket)).Put([]byte(stateKey), next.bytes())
	})
	if err == nil {
		f.state = next
		return nil
	}
	return f.judge(fmt.Errorf("write to %s: %w", f.path, err))
}

// judge decides what a failed write left behind. bbolt writes the header last: while
// the old one counts, nothing was stored, now or after a crash. When the new one
// does, only the disk knows whether it got there, and after a failed sync nothing
// will make it tell.
func (f *file) judge(failure error) error {
	var now []byte
	err := f.db.View(func(tx *bbolt.Tx) error {
		now = append(now, tx.Bucket([]byte(headBucket)).Get([]byte(stateKey))...)
		return nil
	})
	if err == nil && string(now) == string(f.state.bytes()) {
		return fmt.Errorf("%w: nothing was stored; see that the disk has space and works", failure)
	}
	f.err = fmt.Errorf("%w: %w; see that the disk works, and start again", txn.ErrUnknownOutcome, failure)
	close(f.failed)
	return f.err
}

// close gives the file back.
func (f *file) close() error {
	if err := f.db.Close(); err != nil {
		return fmt.Errorf("close %s: %w", f.path, err)
	}
	return nil
}
