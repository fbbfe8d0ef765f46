package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
)

// patience bounds what must happen; no test asserts on how long it takes.
const patience = 60 * time.Second

// agent is one coordd process.
type agent struct {
	id, http string
	cmd      *exec.Cmd
	log      string
	exited   chan error // gets the result of Wait once, and stays closed
}

// startAgent starts an agent of the cluster with a worker. It is killed at the end.
func startAgent(t *testing.T, zookeeper, id string, flags ...string) *agent {
	t.Helper()
	a := &agent{id: id, http: freeAddr(t), log: filepath.Join(t.TempDir(), id+".log"), exited: make(chan error, 1)}
	args := append([]string{
		"agent", "--zookeeper", zookeeper, "--cluster-id", "test", "--id", id, "--http", a.http, "--rpc", freeAddr(t),
		"--data-dir", t.TempDir(), "--slots", "4", "--log-level", "debug",
	}, flags...)
	log, err := os.Create(a.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	a.cmd = exec.Command(binary(), args...)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.exited <- a.cmd.Wait(); close(a.exited) }()
	t.Cleanup(func() {
		a.signal(t, syscall.SIGKILL)
		<-a.exited
		if t.Failed() {
			t.Logf("log of %s:\n%s", id, a.tail())
		}
		a.checkRaces(t)
	})
	return a
}

// checkRaces fails the test when the race detector of the process spoke.
func (a *agent) checkRaces(t *testing.T) {
	t.Helper()
	if log, _ := os.ReadFile(a.log); bytes.Contains(log, []byte("DATA RACE")) {
		t.Errorf("%s has a data race:\n%s", a.id, log)
	}
}

func (a *agent) tail() string {
	log, _ := os.ReadFile(a.log)
	lines := strings.Split(string(log), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

func (a *agent) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := a.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %v to %s: %v", s, a.id, err)
	}
}

// kill is kill -9, and waits until the process is gone.
func (a *agent) kill(t *testing.T) {
	t.Helper()
	a.signal(t, syscall.SIGKILL)
	<-a.exited
}

func (a *agent) url() string { return "http://" + a.http }

// get asks the agent and returns status and body, zero while it does not answer.
func (a *agent) get(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// leaderAnswer is the part of GET /v1/leader that the tests read.
type leaderAnswer struct {
	Known  bool `json:"known"`
	IsSelf bool `json:"is_self"`
	Leader struct {
		ID    string `json:"id"`
		Epoch int64  `json:"epoch"`
		Phase string `json:"phase"`
	} `json:"leader"`
}

// leaderOf asks one agent who leads.
func leaderOf(t *testing.T, a *agent) (l leaderAnswer, ready bool) {
	t.Helper()
	status, body := a.get(t, "/v1/leader")
	if status != http.StatusOK {
		return l, false
	}
	if err := json.Unmarshal([]byte(body), &l); err != nil {
		t.Fatalf("%s answers %s: %v", a.id, body, err)
	}
	return l, l.Known && l.Leader.Phase == "ready"
}

// awaitLeader waits until all agents agree on one ready leader after the epoch, and
// returns it and the others.
func awaitLeader(t *testing.T, after int64, agents ...*agent) (leader *agent, epoch int64, standbys []*agent) {
	t.Helper()
	eventually(t, "one ready leader", func() bool {
		leader, epoch, standbys = nil, 0, nil
		for _, a := range agents {
			l, ready := leaderOf(t, a)
			if !ready || l.Leader.Epoch <= after || epoch != 0 && epoch != l.Leader.Epoch {
				return false
			}
			epoch = l.Leader.Epoch
			if l.Leader.ID == a.id {
				leader = a
			} else {
				standbys = append(standbys, a)
			}
		}
		return leader != nil
	})
	return leader, epoch, standbys
}

// eventually polls until done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// coordd runs a command of the CLI and returns its output and exit code.
func coordd(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(), args...)
	both, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("coordd %s: %v", strings.Join(args, " "), err)
	}
	return string(both), cmd.ProcessState.ExitCode()
}

// wantExit fails unless the command ended with the code, and returns its output.
func wantExit(t *testing.T, code int, args ...string) string {
	t.Helper()
	out, got := coordd(t, args...)
	if got != code {
		t.Fatalf("coordd %s: exit code %d, want %d; it said:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// addresses is the --address of several agents.
func addresses(agents ...*agent) string {
	urls := make([]string, len(agents))
	for i, a := range agents {
		urls[i] = a.url()
	}
	return strings.Join(urls, ",")
}

// status returns what the agents know of a job.
func status(t *testing.T, id string, agents ...*agent) job.Snapshot {
	t.Helper()
	var snap job.Snapshot
	out := wantExit(t, 0, "job", "status", id, "-o", "json", "--address", addresses(agents...))
	if err := json.Unmarshal([]byte(out), &snap); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return snap
}

// freeAddr returns a loopback address on which nothing listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writeFile writes a file of the test and returns its path.
func writeFile(t *testing.T, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
