package zookeepertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// dieWithParent makes the kernel kill the child when the thread that forked it
// ends, and with it this process.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// awaitStopped blocks until every thread of the process has stopped after a
// SIGSTOP, which is delivered asynchronously.
func awaitStopped(pid int) error {
	deadline := time.Now().Add(5 * time.Second)
	for !stopped(pid) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d did not stop within 5 s of SIGSTOP", pid)
		}
		<-time.After(time.Millisecond)
	}
	return nil
}

// stopped reports whether all threads of the process are in state T.
func stopped(pid int) bool {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		// The state follows the name in parentheses, which may itself hold some.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return len(stats) > 0
}
