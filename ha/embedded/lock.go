package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrInUse: another process, or another Backend of this one, has the file open.
var ErrInUse = errors.New("in use")

const (
	// lockPatience outlasts the instant for which a program that a killed process was
	// about to start still holds what that process had open.
	lockPatience = 500 * time.Millisecond
	lockPause    = 20 * time.Millisecond
)

// lock takes the file for this process until it is closed. It returns ErrInUse,
// wrapped, with who has it, or ctx's error.
func lock(ctx context.Context, f *os.File) error {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		pause := time.NewTimer(lockPause)
		select {
		case <-pause.C:
		case <-patience.C:
			pause.Stop()
			return fmt.Errorf("%s is %w%s: stop that process, or choose another place for this one", f.Name(), ErrInUse, holder(f))
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// holder says who has the file locked, as far as the system tells: nothing
// otherwise.
func holder(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer locks.Close() //nolint:errcheck // it was only read
	inode := fmt.Sprintf(":%d", stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK ADVISORY WRITE 4321 08:01:131 0 EOF
		fields := strings.Fields(lines.Text())
		const kind, pid, file = 1, 4, 5
		if len(fields) > file && fields[kind] == "FLOCK" && strings.HasSuffix(fields[file], inode) {
			name, err := os.ReadFile("/proc/" + fields[pid] + "/comm")
			if err != nil {
				return " by process " + fields[pid]
			}
			return fmt.Sprintf(" by process %s (%s)", fields[pid], strings.TrimSpace(string(name)))
		}
	}
	return ""
}
