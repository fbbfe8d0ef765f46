package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// logsVariable names a folder in which the logs of all processes are kept.
const logsVariable = "COORDD_E2E_LOGS"

// process is one coordd process after another, with the same arguments.
type process struct {
	id   string
	args []string
	log  string
	// cmd is the newest; exited gets the result of its Wait once, and stays closed.
	cmd    *exec.Cmd
	exited chan error
}

// startProcess starts coordd. It is killed at the end of the test.
func startProcess(t *testing.T, id string, args ...string) *process {
	t.Helper()
	p := &process{id: id, args: args, log: filepath.Join(t.TempDir(), id+".log")}
	p.start(t)
	t.Cleanup(func() {
		p.kill(t)
		p.keepLog(t)
		if t.Failed() {
			t.Logf("log of %s:\n%s", id, p.tail())
		}
		p.checkRaces(t)
	})
	return p
}

// keepLog copies the log to where the variable says.
func (p *process) keepLog(t *testing.T) {
	t.Helper()
	dir := os.Getenv(logsVariable)
	if dir == "" {
		return
	}
	dir = filepath.Join(dir, t.Name())
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, p.id+".log"), []byte(p.said(t)), 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// start starts the process again, which must have ended.
func (p *process) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd, exited := exec.Command(binary(), p.args...), make(chan error, 1)
	cmd.Stdout, cmd.Stderr = log, log
	// What a killed worker leaves goes with the binary.
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(binary()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { exited <- cmd.Wait(); close(exited) }()
	p.cmd, p.exited = cmd, exited
}

// checkRaces fails the test when the race detector of the process spoke.
func (p *process) checkRaces(t *testing.T) {
	t.Helper()
	if log := p.said(t); strings.Contains(log, "DATA RACE") {
		t.Errorf("%s has a data race:\n%s", p.id, log)
	}
}

// said returns what the process has logged.
func (p *process) said(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// tail returns the end of the log.
func (p *process) tail() string {
	log, _ := os.ReadFile(p.log)
	lines := bytes.Split(log, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %v to %s: %v", s, p.id, err)
	}
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.exited
}

// saidOf counts the log lines that have a text and a field with a number.
func (p *process) saidOf(t *testing.T, text, field string, value int64) (n int) {
	t.Helper()
	for line := range strings.Lines(p.said(t)) {
		if strings.Contains(line, text) && slices.Contains(strings.Fields(line), fmt.Sprintf("%s=%d", field, value)) {
			n++
		}
	}
	return n
}
