package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
)

const (
	// MaxSize limits a blob, in bytes.
	MaxSize int64 = envelope.MaxLarge
	// MaxName limits a name, in bytes: file systems allow 255, of which a write
	// under way needs some.
	MaxName = 200

	suffix = ".blob"
)

// What a caller of Dir decides upon, besides fs.ErrNotExist of a blob that is not
// there; compare with errors.Is.
var (
	// ErrDamaged: the file is not what was stored. It concerns this blob alone.
	ErrDamaged = envelope.ErrDamaged
	// ErrTooLarge: the value exceeds MaxSize. Nothing was written.
	ErrTooLarge = envelope.ErrTooLarge
	// ErrNewerFormat: a newer coordd wrote the file. It is not damaged.
	ErrNewerFormat = envelope.ErrNewerFormat
	// ErrInvalidName: the name cannot be one of a file here.
	ErrInvalidName = errors.New("invalid name of a blob")
)

// Dir keeps blobs in a folder. Its methods may be called from any goroutine; calls
// of one name must not overlap. Make one with NewDir.
type Dir struct {
	path  string
	files files
}

// NewDir returns the blobs of a folder, which must exist when they are used: a
// folder that is not mounted must not be made. It does no I/O. Its error says what
// is wrong with the path.
func NewDir(path string) (*Dir, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("the folder of blobs %q: not an absolute path", path)
	}
	return &Dir{path: filepath.Clean(path), files: disk{}}, nil
}

// Path returns the folder.
func (d *Dir) Path() string { return d.path }

// Put stores a value under a name that nobody has used. When it returns nil the
// value survives any crash. After an error the value may be there all the same.
// Errors: ErrInvalidName, ErrTooLarge, ctx's before anything was done, or the file
// system's with the path and the remedy.
func (d *Dir) Put(ctx context.Context, name string, data []byte) error {
	if err := d.begin(ctx, name); err != nil {
		return fmt.Errorf("write blob: %w", err)
	}
	if int64(len(data)) > MaxSize {
		return fmt.Errorf("write blob %s: %w: %d bytes of at most %d", name, ErrTooLarge, len(data), MaxSize)
	}
	if err := d.put(name, seal(name, data)); err != nil {
		return d.failed("write blob "+name, err)
	}
	return nil
}

func (d *Dir) put(name string, content []byte) error {
	bucket := filepath.Dir(d.file(name))
	if err := d.files.Mkdir(bucket); err != nil {
		return err
	}
	if err := d.files.SyncFolder(d.path); err != nil {
		return err
	}
	temporary := filepath.Join(bucket, "."+name+"."+strings.ToLower(rand.Text()))
	if err := d.write(temporary, content); err != nil {
		// Room for others; what cannot be removed List names.
		return errors.Join(err, d.files.Remove(temporary))
	}
	if err := d.files.Rename(temporary, d.file(name)); err != nil {
		return errors.Join(err, d.files.Remove(temporary))
	}
	return d.files.SyncFolder(bucket)
}

// write makes a durable file. Its name is durable only when its folder is synced.
func (d *Dir) write(path string, content []byte) error {
	f, err := d.files.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Get returns a value. Errors: fs.ErrNotExist, ErrDamaged, ErrNewerFormat, ErrInvalidName,
// ctx's before anything was done, or the file system's with the path and the remedy.
func (d *Dir) Get(ctx context.Context, name string) ([]byte, error) {
	if err := d.begin(ctx, name); err != nil {
		return nil, fmt.Errorf("read blob: %w", err)
	}
	content, err := d.files.ReadFile(d.file(name), MaxSize+int64(headerSize))
	if err != nil {
		return nil, d.failed("read blob "+name, err)
	}
	data, err := open(name, content)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %s: %w", name, d.file(name), err)
	}
	return data, nil
}

// Delete removes a value, or what an unfinished write left, under the name that
// List gave. One that is not there is no error. Errors: ErrInvalidName, ctx's
// before anything was done, or the file system's with the path and the remedy.
func (d *Dir) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	path := d.file(name)
	if owner, unfinished := strings.CutPrefix(name, "."); unfinished {
		at := strings.LastIndexByte(owner, '.')
		if at < 0 || !valid(owner[:at]) || !valid(owner[at+1:]) {
			return fmt.Errorf("delete blob: %w: %q", ErrInvalidName, name)
		}
		path = filepath.Join(filepath.Dir(d.file(owner[:at])), name)
	} else if !valid(name) {
		return fmt.Errorf("delete blob: %w: %q", ErrInvalidName, name)
	}
	err := d.files.Remove(path)
	if err == nil {
		err = d.files.SyncFolder(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) { // nothing of that name was ever written
			err = nil
		}
	}
	if err != nil {
		return d.failed("delete blob "+name, err)
	}
	return nil
}

// List returns the names of all values and unfinished writes, in no particular
// order, that were last written before the given time, by the clock of the file
// system. It passes over what is not its own. Errors: ctx's, or the file system's
// with the path and the remedy.
func (d *Dir) List(ctx context.Context, before time.Time) ([]string, error) {
	buckets, err := d.files.ReadDir(d.path)
	if err != nil {
		return nil, d.failed("list blobs", err)
	}
	var names []string
	for _, bucket := range buckets {
		if !bucket.IsDir() || len(bucket.Name()) != bucketSize {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list blobs: %w", err)
		}
		entries, err := d.files.ReadDir(filepath.Join(d.path, bucket.Name()))
		if err != nil {
			return nil, d.failed("list blobs", err)
		}
		for _, e := range entries {
			name, own := listed(bucket.Name(), e)
			if !own {
				continue
			}
			info, err := e.Info()
			switch {
			case errors.Is(err, fs.ErrNotExist): // it was renamed or deleted meanwhile
			case err != nil:
				return nil, d.failed("list blobs", err)
			case info.ModTime().Before(before):
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// bucketSize is the length of a bucket's name.
const bucketSize = 2

// listed returns the name under which List gives a file, and whether it does.
func listed(bucket string, e fs.DirEntry) (name string, own bool) {
	if !e.Type().IsRegular() {
		return "", false
	}
	if rest, unfinished := strings.CutPrefix(e.Name(), "."); unfinished {
		at := max(strings.LastIndexByte(rest, '.'), 0)
		return e.Name(), valid(rest[:at]) && valid(rest[min(at+1, len(rest)):]) && layout.Bucket(rest[:at]) == bucket
	}
	name, own = strings.CutSuffix(e.Name(), suffix)
	return name, own && valid(name) && layout.Bucket(name) == bucket
}

// Check reports whether the folder is there and can be written to, read and synced.
// Its error names the folder and the remedy.
func (d *Dir) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	probe := filepath.Join(d.path, ".writable-"+strings.ToLower(rand.Text()))
	err := d.write(probe, []byte("coordd"))
	if err == nil {
		_, err = d.files.ReadFile(probe, 1)
		err = errors.Join(err, d.files.Remove(probe), d.files.SyncFolder(d.path))
	}
	if err != nil {
		return d.failed("use the folder of blobs", err)
	}
	return nil
}

func (d *Dir) begin(ctx context.Context, name string) error {
	if !valid(name) {
		return fmt.Errorf("%w: %q", ErrInvalidName, name)
	}
	return ctx.Err()
}

// file returns the path of a blob.
func (d *Dir) file(name string) string {
	return filepath.Join(d.path, layout.Bucket(name), name+suffix)
}

// failed adds the folder and what to do about it to an error of the file system.
func (d *Dir) failed(doing string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "; free space there, or delete leftovers with coordd recovery gc"
	case errors.Is(err, syscall.EROFS):
		remedy = "; mount it writable"
	case errors.Is(err, fs.ErrPermission):
		remedy = "; change its owner or its rights"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		remedy = "; is the folder mounted?"
	}
	return fmt.Errorf("%s in %s: %w%s", doing, d.path, err, remedy)
}

// valid reports whether name can be a blob's: letters, digits, '.', '_' and '-', a
// letter or a digit first.
func valid(name string) bool {
	if name == "" || len(name) > MaxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}
