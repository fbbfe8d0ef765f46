package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

var errCrashed = errors.New("the machine has crashed")

// crashing is a file system in memory that keeps what was synced and, after a
// crash, as little or as much of the rest as it likes.
type crashing struct {
	names   map[string]*inode // as programs see them
	durable map[string]*inode // as they are after a crash
	// steps is how many calls succeed before the crash; negative for no crash.
	steps int
	// torn: the call that crashes has had half of its effect, where it can.
	torn bool
}

// inode is a file: its bytes, and those that are durable.
type inode struct{ data, durable []byte }

var _ files = (*crashing)(nil)

func newCrashing() *crashing {
	return &crashing{names: map[string]*inode{}, durable: map[string]*inode{}, steps: -1}
}

// step counts a call. It reports whether the call fails.
func (c *crashing) step() bool {
	if c.steps < 0 {
		return false
	}
	if c.steps == 0 {
		return true
	}
	c.steps--
	return false
}

func (c *crashing) Mkdir(string) error { return c.fail(func() {}) }

// fail does what a call does, unless the machine has crashed.
func (c *crashing) fail(do func()) error {
	if c.step() {
		return errCrashed
	}
	do()
	return nil
}

type openFile struct {
	c *crashing
	i *inode
}

func (c *crashing) Create(path string) (file, error) {
	i := &inode{}
	err := c.fail(func() { c.names[path] = i })
	return openFile{c, i}, err
}

func (f openFile) Write(data []byte) (int, error) {
	if f.c.step() {
		if f.c.torn {
			f.i.data = append(f.i.data, data[:len(data)/2]...)
		}
		return 0, errCrashed
	}
	f.i.data = append(f.i.data, data...)
	return len(data), nil
}

func (f openFile) Sync() error {
	return f.c.fail(func() { f.i.durable = bytes.Clone(f.i.data) })
}

func (f openFile) Close() error { return f.c.fail(func() {}) }

func (c *crashing) Link(from, to string) error {
	if _, taken := c.names[to]; taken {
		return fs.ErrExist
	}
	return c.fail(func() { c.names[to] = c.names[from] })
}

func (c *crashing) Rename(from, to string) error {
	return c.fail(func() {
		c.names[to] = c.names[from]
		delete(c.names, from)
	})
}

func (c *crashing) Remove(path string) error { return c.fail(func() { delete(c.names, path) }) }

func (c *crashing) SyncFolder(path string) error {
	return c.fail(func() {
		in := func(name string, _ *inode) bool { return filepath.Dir(name) == path }
		maps.DeleteFunc(c.durable, in)
		for name, i := range c.names {
			if in(name, i) {
				c.durable[name] = i
			}
		}
	})
}

func (c *crashing) ReadFile(path string, _ int64) ([]byte, error) {
	if i, ok := c.names[path]; ok {
		return i.data, nil
	}
	return nil, fs.ErrNotExist
}

func (c *crashing) ReadDir(string) ([]fs.DirEntry, error) { return nil, nil }

// loss says what a crash leaves of what was not synced.
type loss struct {
	// names: names that were not synced are lost, else they are kept.
	names bool
	// data: bytes that were not synced are lost, else they are kept.
	data bool
}

// restart returns the file system as it is after the crash.
func (c *crashing) restart(l loss) *crashing {
	after := newCrashing()
	source := c.names
	if l.names {
		source = c.durable
	}
	for name, i := range source {
		data := i.data
		if l.data {
			data = i.durable
		}
		after.names[name] = &inode{data: bytes.Clone(data), durable: bytes.Clone(data)}
	}
	after.durable = maps.Clone(after.names)
	return after
}

func losses() []loss {
	return []loss{{}, {names: true}, {data: true}, {names: true, data: true}}
}

func TestACrashAtAnyStepLeavesTheWholeBlobOrNone(t *testing.T) {
	value := []byte(strings.Repeat("graph ", 100))
	for steps := 0; ; steps++ {
		done := false
		for _, torn := range []bool{false, true} {
			for _, l := range losses() {
				files := newCrashing()
				files.steps, files.torn = steps, torn
				err := (&Dir{path: "/blobs", files: files}).Put(t.Context(), "etl.x", value)
				got, readErr := (&Dir{path: "/blobs", files: files.restart(l)}).Get(t.Context(), "etl.x")
				at := fmt.Sprintf("crash after %d steps, torn=%v, lost %+v", steps, torn, l)
				switch {
				case err == nil && (readErr != nil || !bytes.Equal(got, value)):
					t.Errorf("%s: Put succeeded, and Get gave %d bytes, %v", at, len(got), readErr)
				case readErr == nil && !bytes.Equal(got, value):
					t.Errorf("%s: Get gave %d other bytes", at, len(got))
				case readErr != nil && !errors.Is(readErr, fs.ErrNotExist):
					t.Errorf("%s: %v, want the blob or fs.ErrNotExist", at, readErr)
				}
				done = err == nil
			}
		}
		if done {
			if steps < 6 {
				t.Errorf("Put took %d steps: it does not write, sync, rename and sync", steps)
			}
			return
		}
	}
}

func TestACrashAtAnyStepLeavesTheWholeMarkOrNone(t *testing.T) {
	for steps := 0; ; steps++ {
		done := false
		for _, torn := range []bool{false, true} {
			for _, l := range losses() {
				files := newCrashing()
				files.steps, files.torn = steps, torn
				made, err := (&Dir{path: "/blobs", files: files}).makeMark("claim", "node-1")
				after := &Dir{path: "/blobs", files: files.restart(l)}
				read, readErr := after.readMark()
				at := fmt.Sprintf("crash after %d steps, torn=%v, lost %+v", steps, torn, l)
				if err == nil && (readErr != nil || read != made) {
					t.Errorf("%s: made %+v, and then there was %+v, %v", at, made, read, readErr)
				}
				if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
					t.Errorf("%s: %v, want the mark or fs.ErrNotExist", at, readErr)
				}
				again, err2 := after.makeMark("claim", "node-2")
				if err2 != nil || readErr == nil && again != read {
					t.Errorf("%s: the next made %+v, %v of %+v", at, again, err2, read)
				}
				done = err == nil
			}
		}
		if done {
			return
		}
	}
}
