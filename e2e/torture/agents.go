package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// clusterID is the cluster's, below the default root.
const clusterID = "torture"

// stopLimit is how long an agent may take to resign and stop before it is killed.
const stopLimit = 15 * time.Second

// agent is one member of the cluster, a coordinator or a worker: processes that follow
// each other, with the same address and folder. Its methods are called on the goroutine
// of the run.
type agent struct {
	id, log string
	// http is where a coordinator answers clients, "" for a worker.
	http    string
	args    []string
	binary  string
	spawner *process.Spawner
	// proxies stand between it and each server.
	proxies []*zookeepertest.Proxy
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd was waited for
	// pids are those of all its processes.
	pids []int
	// life counts the processes.
	life atomic.Int64
}

// newAgent returns a coordinator with slots that was not started. Its proxies live as
// long as tb.
func newAgent(tb zookeepertest.TB, s settings, w *world, n int) (*agent, error) {
	a, err := newMember(tb, s, w, "agent", fmt.Sprintf("node-%d", n), 12)
	if err != nil {
		return nil, err
	}
	if a.http, err = freeAddr(); err != nil {
		return nil, err
	}
	a.args = append(a.args, "--http", a.http,
		// What was forgotten could not be held against what clients were told.
		"--retain-results", "-1", "--retain-results-for", "-1s")
	return a, nil
}

// newWorker returns a worker that was not started, as newAgent does. One that was cut off
// while a job was cleaned up keeps what it has of that for its grace, and would wait for
// as long when it is stopped.
func newWorker(tb zookeepertest.TB, s settings, w *world, n int) (*agent, error) {
	a, err := newMember(tb, s, w, "worker", fmt.Sprintf("worker-%d", n), 6)
	if err != nil {
		return nil, err
	}
	a.args = append(a.args, "--drain-timeout", (stopLimit / 3).String())
	return a, nil
}

func newMember(tb zookeepertest.TB, s settings, w *world, command, id string, slots int) (*agent, error) {
	a := &agent{id: id, log: filepath.Join(w.dir, id+".log"), binary: w.binary, spawner: w.spawner}
	var addrs []string
	for _, server := range w.ensemble.Servers {
		p := zookeepertest.StartProxy(tb, server.Addr())
		a.proxies = append(a.proxies, p)
		addrs = append(addrs, p.Addr())
	}
	rpc, err := freeAddr()
	if err != nil {
		return nil, err
	}
	a.args = []string{
		command, "--zookeeper", strings.Join(addrs, ","), "--cluster-id", clusterID, "--id", id,
		"--rpc", rpc, "--data-dir", filepath.Join(w.dir, id), "--slots", strconv.Itoa(slots),
		"--session-timeout", s.timeout.String(), "--log-level", "info",
	}
	return a, nil
}

// start starts a process. The one before must have ended.
func (a *agent) start() error {
	log, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", a.id, err)
	}
	defer log.Close()                        //nolint:errcheck // the process has its own
	cmd := exec.Command(a.binary, a.args...) //nolint:gosec,noctx // it was built by this run, which ends it itself
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, process.Attributes()
	a.life.Add(1)
	if err := a.spawner.Start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", a.id, err)
	}
	ended := make(chan struct{})
	a.cmd, a.ended, a.pids = cmd, ended, append(a.pids, cmd.Process.Pid)
	go func() { // stop and kill wait for it
		_ = cmd.Wait() // ProcessState says the same
		close(ended)
	}()
	return nil
}

// running reports whether the newest process has not ended.
func (a *agent) running() bool {
	select {
	case <-a.ended:
		return false
	default:
		return a.cmd != nil
	}
}

func (a *agent) signal(sig syscall.Signal) error {
	if err := a.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", sig, a.id, err)
	}
	return nil
}

// kill is kill -9, and returns when the process is gone.
func (a *agent) kill() error {
	if a.cmd == nil {
		return nil
	}
	err := a.signal(syscall.SIGKILL)
	<-a.ended
	return err
}

// stop has the process resign and end, and returns its error when it did not.
func (a *agent) stop() error {
	if err := a.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-a.ended:
		return nil
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("%s has not stopped %v after a SIGTERM", a.id, stopLimit), a.kill())
	}
}

// crashes returns the lines of its logs that no log must have.
func (a *agent) crashes() []string {
	log, err := os.ReadFile(a.log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range bytes.Lines(log) {
		for _, mark := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if bytes.Contains(line, []byte(mark)) {
				found = append(found, a.id+" says: "+string(bytes.TrimSpace(line)))
			}
		}
	}
	return found
}

// freeAddr returns a loopback address on which nothing listens.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was served
	return l.Addr().String(), nil
}
