package blob

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The rights of what is made here. A task's command line can hold secrets.
const (
	folderMode = 0o700
	fileMode   = 0o600
)

// files is the file system as Dir needs it; a test crashes it between any two
// calls.
type files interface {
	names
	// Create makes a file that is not there yet, and opens it.
	Create(path string) (file, error)
	// ReadFile returns what a file holds, at most limit bytes and one.
	ReadFile(path string, limit int64) ([]byte, error)
	// ReadDir returns what is in a folder, nothing if it is not there.
	ReadDir(path string) ([]fs.DirEntry, error)
}

// names is the part of files that changes names.
type names interface {
	// Mkdir makes a folder. One that is there is no error.
	Mkdir(path string) error
	// Link gives a file a second name, which must be free.
	Link(from, to string) error
	// Rename gives a file another name, in the place of what has it.
	Rename(from, to string) error
	// Remove deletes a file. One that is not there is no error.
	Remove(path string) error
	// SyncFolder makes the names in a folder durable.
	SyncFolder(path string) error
}

// file is a file that is being written.
type file interface {
	io.Writer
	// Sync makes what was written durable.
	Sync() error
	Close() error
}

// disk is the operating system's file system.
type disk struct{}

var _ files = disk{}

// Mkdir implements files.
func (disk) Mkdir(path string) error {
	err := os.Mkdir(path, folderMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Create implements files.
func (disk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Link implements files.
func (disk) Link(from, to string) error { return os.Link(from, to) }

// Rename implements files.
func (disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements files.
func (disk) Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SyncFolder implements files.
func (disk) SyncFolder(path string) error {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system whose folders need no syncing
	}
	return errors.Join(err, f.Close())
}

// ReadFile implements files.
func (disk) ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	return data, errors.Join(err, f.Close())
}

// ReadDir implements files.
func (disk) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}
