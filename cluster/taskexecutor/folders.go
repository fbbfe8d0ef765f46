package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// ErrFolderInUse: another worker runs with the same Config.DataDir.
var ErrFolderInUse = errors.New("another worker uses it; give each worker its own")

const (
	// lockPatience is longer than an agent waits for a data file in the same place, of
	// which it can say who has it.
	lockPatience = 2 * time.Second
	lockPause    = 20 * time.Millisecond
)

// The names within a worker's folder, and within that of an attempt.
const (
	attemptsName = "attempts"
	lockName     = "worker.lock"

	workName   = "work"
	inputsName = "inputs"
	outputName = "output"
	logPrefix  = "log."
)

// folders is the worker's place on disk:
//
//	worker.lock
//	attempts/<job>/<task>/<subtask>-<epoch>-<n>/
//	    work/                    COORDD_WORK
//	    inputs/<task>/<subtask>  COORDD_INPUTS
//	    output                   COORDD_OUTPUT
//	    log.<k>                  the output, in files that are counted up
type folders struct {
	// root is the folder of attempts.
	root string
	// temp is what close removes, or empty.
	temp string
	lock *os.File
}

// openFolders takes possession of a folder, and empties it of what a former worker
// has left. Without a name it makes a temporary one. left says what could not be
// removed; it is in nobody's way.
func openFolders(ctx context.Context, data string) (f *folders, left, err error) {
	if data == "" {
		temp, err := os.MkdirTemp("", "coordd-worker-")
		if err != nil {
			return nil, nil, fmt.Errorf("make a temporary folder for attempts: %w", err)
		}
		return &folders{root: filepath.Join(temp, attemptsName), temp: temp}, nil, nil
	}
	data, err = filepath.Abs(data) // commands have other working folders
	if err == nil {
		err = os.MkdirAll(data, 0o700)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make the worker's folder %s: %w", data, err)
	}
	lock, err := lockFile(ctx, filepath.Join(data, lockName))
	if err != nil {
		return nil, nil, err
	}
	f = &folders{root: filepath.Join(data, attemptsName), lock: lock}
	return f, removeAll(f.root), nil
}

// lockFile locks a file for as long as it is open and this process lives. It waits
// for the instant in which a program that a killed worker was about to start still
// holds what that worker had open.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the worker's folder: %w", err)
	}
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-time.After(lockPause):
		case <-patience.C:
			_ = file.Close()
			return nil, fmt.Errorf("folder %s: %w", filepath.Dir(path), ErrFolderInUse)
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		}
	}
}

// close gives the folder up.
func (f *folders) close() error {
	if f.temp != "" {
		return removeAll(f.temp)
	}
	return f.lock.Close()
}

// attempt returns where an attempt's folder is, or is to be.
func (f *folders) attempt(id gateway.AttemptID) string {
	name := strconv.Itoa(id.Subtask) + "-" + id.Epoch.String() + "-" + strconv.Itoa(id.N)
	return filepath.Join(f.root, string(id.Job), id.Task, name)
}

// removeJob removes the folders of a job. That there are none is no error.
func (f *folders) removeJob(id job.ID) error {
	if err := id.Validate(); err != nil {
		return err
	}
	if err := removeAll(filepath.Join(f.root, string(id))); err != nil {
		return fmt.Errorf("remove the folders of job %s: %w", id, err)
	}
	return nil
}

// removeAll is os.RemoveAll that is not stopped by folders without permissions, which
// some programs make.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(name, 0o700) //nolint:gosec // a folder that is entered to be removed
		}
		return nil // what cannot be opened up shows in the next RemoveAll
	})
	return os.RemoveAll(path)
}

// furnish makes what a command finds in its attempt's folder.
func furnish(home string, inputs []gateway.Input) error {
	for _, name := range []string{workName, inputsName} {
		if err := os.MkdirAll(filepath.Join(home, name), 0o700); err != nil {
			return fmt.Errorf("the folder of the attempt cannot be made on this worker: %w", err)
		}
	}
	for _, in := range inputs {
		dir := filepath.Join(home, inputsName, in.Task)
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strconv.Itoa(in.Subtask)), in.Data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("the input of task %s, subtask %d cannot be written on this worker: %w", in.Task, in.Subtask, err)
		}
	}
	return nil
}

// result reads what an attempt left as its result; nil when that is nothing.
func result(home string) ([]byte, error) {
	path := filepath.Join(home, outputName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the result cannot be read: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s names no regular file any more; write the result into the file itself", job.EnvOutput)
	case info.Size() > job.MaxResult:
		return nil, tooLarge(info.Size())
	case info.Size() == 0:
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the result cannot be read: %w", err)
	}
	if len(data) > job.MaxResult { // somebody still writes
		return nil, tooLarge(int64(len(data)))
	}
	return data, nil
}

func tooLarge(size int64) error {
	return fmt.Errorf("the result has %d bytes; at most %d are allowed: store it elsewhere and hand on where", size, job.MaxResult)
}
