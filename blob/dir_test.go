package blob

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/internal/layout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newDir(t *testing.T) *Dir {
	t.Helper()
	d, err := NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, d *Dir, name, value string) {
	t.Helper()
	if err := d.Put(t.Context(), name, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, d *Dir, before time.Time) []string {
	t.Helper()
	names, err := d.List(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestABlobKeepsItsStoredForm(t *testing.T) {
	text, err := os.ReadFile("testdata/blob.v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := seal("etl.x", []byte("graph")); !bytes.Equal(got, golden) {
		t.Errorf("stored form changed:\n got %x\nwant %x", got, golden)
	}
	if got, err := open("etl.x", golden); err != nil || string(got) != "graph" {
		t.Errorf("read %q, %v; want %q", got, err, "graph")
	}
}

func TestABlobIsThereUntilItIsDeleted(t *testing.T) {
	d := newDir(t)
	put(t, d, "a.1", "one")
	put(t, d, "b.1", "")
	for name, want := range map[string]string{"a.1": "one", "b.1": ""} {
		if got, err := d.Get(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if got := list(t, d, time.Now().Add(time.Minute)); !slices.Equal(got, []string{"a.1", "b.1"}) {
		t.Errorf("listed %q, want both", got)
	}
	for range 2 {
		if err := d.Delete(t.Context(), "a.1"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if _, err := d.Get(t.Context(), "a.1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a deleted blob: %v, want fs.ErrNotExist", err)
	}
	if err := d.Delete(t.Context(), "never.1"); err != nil {
		t.Errorf("delete what was never there: %v", err)
	}
}

func TestGetNeverReturnsAnotherValue(t *testing.T) {
	d := newDir(t)
	whole := seal("a.1", []byte("value"))
	edit := func(at int, b byte) []byte { c := bytes.Clone(whole); c[at] = b; return c }
	newer := bytes.Clone(whole)
	newer[6] = '2'
	sum := sumOf('2', "a.1", []byte("value"))
	copy(newer[sumAt:], sum[:])
	put(t, d, "a.1", "value")
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"empty":           {nil, ErrDamaged},
		"foreign":         {bytes.Repeat([]byte("x"), 100), ErrDamaged},
		"cut":             {whole[:len(whole)-1], ErrDamaged},
		"longer":          {append(bytes.Clone(whole), 0), ErrDamaged},
		"flipped":         {edit(len(whole)-1, 'X'), ErrDamaged},
		"flipped version": {edit(6, '2'), ErrDamaged},
		"another's":       {seal("b.1", []byte("value")), ErrDamaged},
		"newer":           {newer, ErrNewerFormat},
	} {
		if err := os.WriteFile(d.file("a.1"), c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := d.Get(t.Context(), "a.1")
		if !errors.Is(err, c.want) || got != nil || errors.Is(err, ErrDamaged) && errors.Is(err, ErrNewerFormat) {
			t.Errorf("%s: read %q, %v; want %v", name, got, err, c.want)
		}
		if err == nil || !strings.Contains(err.Error(), d.file("a.1")) {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(seal("a.1", []byte("value")))
	f.Add(seal("b.1", nil))
	f.Add([]byte("cdblob1\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		data, err := open("a.1", content)
		if err == nil && !bytes.Equal(seal("a.1", data), content) {
			t.Errorf("read %x from what is not its file", data)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
			t.Errorf("error of no kind: %v", err)
		}
	})
}

func TestNamesThatLeaveTheFolderAreRefused(t *testing.T) {
	d := newDir(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-x", ".x", "a\x00", "ä", strings.Repeat("x", MaxName+1)} {
		if err := d.Put(t.Context(), name, nil); !errors.Is(err, ErrInvalidName) {
			t.Errorf("put %q: %v, want ErrInvalidName", name, err)
		}
		if _, err := d.Get(t.Context(), name); !errors.Is(err, ErrInvalidName) {
			t.Errorf("get %q: %v, want ErrInvalidName", name, err)
		}
		if err := d.Delete(t.Context(), name); !errors.Is(err, ErrInvalidName) {
			t.Errorf("delete %q: %v, want ErrInvalidName", name, err)
		}
	}
	for _, name := range []string{"./../x.a", "..x", ".a.", ".a/b.c"} {
		if err := d.Delete(t.Context(), name); !errors.Is(err, ErrInvalidName) {
			t.Errorf("delete %q: %v, want ErrInvalidName", name, err)
		}
	}
	put(t, d, strings.Repeat("x", MaxName), "long")
}

func TestUnfinishedWritesAreListedAndDeleted(t *testing.T) {
	d := newDir(t)
	put(t, d, "a.1", "value")
	bucket := filepath.Dir(d.file("a.1"))
	for _, name := range []string{".a.1.xyz", ".foreign", "foreign", "b.2.blob", ".b.2.xyz"} {
		if layout.Bucket("b.2") == layout.Bucket("a.1") {
			t.Fatal("choose another name")
		}
		if err := os.WriteFile(filepath.Join(bucket, name), []byte("cut"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(d.path, "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, d, time.Now().Add(time.Minute)); !slices.Equal(got, []string{".a.1.xyz", "a.1"}) {
		t.Errorf("listed %q, want the blob and its unfinished write", got)
	}
	if got := list(t, d, time.Now().Add(-time.Minute)); len(got) != 0 {
		t.Errorf("listed %q of before they were written, want nothing", got)
	}
	if err := d.Delete(t.Context(), ".a.1.xyz"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, d, time.Now().Add(time.Minute)); !slices.Equal(got, []string{"a.1"}) {
		t.Errorf("listed %q after the unfinished write was deleted, want the blob", got)
	}
}

// failing is a file system in which one call fails.
type failing struct {
	disk
	create, read error
}

func (f failing) Create(path string) (file, error) {
	if f.create != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: f.create}
	}
	return f.disk.Create(path)
}

func (f failing) ReadFile(path string, limit int64) ([]byte, error) {
	if f.read != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: f.read}
	}
	return f.disk.ReadFile(path, limit)
}

func TestAFolderThatCannotBeUsedIsNamedWithARemedy(t *testing.T) {
	for err, remedy := range map[error]string{
		syscall.ENOSPC: "free space", syscall.EROFS: "mount it writable",
		syscall.EACCES: "its rights", syscall.ENOENT: "mounted?",
	} {
		d := newDir(t)
		d.files = failing{create: err}
		for doing, got := range map[string]error{"put": d.Put(t.Context(), "a.1", nil), "check": d.Check(t.Context())} {
			if !errors.Is(got, err) || !strings.Contains(got.Error(), d.path) || !strings.Contains(got.Error(), remedy) {
				t.Errorf("%s: error %v, want %v with %s and %q", doing, got, err, d.path, remedy)
			}
		}
	}
	d := newDir(t)
	put(t, d, "a.1", "value")
	d.files = failing{read: syscall.EIO}
	if _, err := d.Get(t.Context(), "a.1"); !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v, want EIO, which is no damage", err)
	}
	missing, err := NewDir(filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := missing.Put(t.Context(), "a.1", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("put into a folder that is not mounted: %v, want that it does not exist", err)
	}
	if err := missing.Check(t.Context()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "mounted?") {
		t.Errorf("check of a folder that is not mounted: %v", err)
	}
	if _, err := os.Stat(missing.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	if _, err := NewDir("relative"); err == nil {
		t.Error("a relative path was accepted")
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	d := newDir(t)
	if err := d.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(d.path); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v; want nothing", left, err)
	}
}

func TestAFailedWriteLeavesNoFile(t *testing.T) {
	d := newDir(t)
	d.files = renameFails{}
	if err := d.Put(t.Context(), "a.1", []byte("x")); !errors.Is(err, syscall.EIO) {
		t.Errorf("put: %v, want EIO", err)
	}
	if got := list(t, d, time.Now().Add(time.Minute)); len(got) != 0 {
		t.Errorf("left %q, want nothing", got)
	}
	if err := d.Put(t.Context(), "a.1", make([]byte, MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("put of %d bytes: %v, want ErrTooLarge", MaxSize+1, err)
	}
}

type renameFails struct{ disk }

func (renameFails) Rename(string, string) error { return syscall.EIO }
