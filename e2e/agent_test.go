package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
)

// patience bounds what must happen; no test asserts on how long it takes.
const patience = 60 * time.Second

// agent is one member of a cluster.
type agent struct {
	*process

	http string
}

// startAgent starts an agent of the cluster with a worker. It is killed at the end.
func startAgent(t *testing.T, zookeeper, id string, flags ...string) *agent {
	t.Helper()
	address := lastingAddr(t)
	args := []string{
		"agent", "--zookeeper", zookeeper, "--cluster-id", "test", "--id", id, "--http", address, "--rpc", "127.0.0.1:0",
		"--data-dir", t.TempDir(), "--slots", "4", "--log-level", "debug",
	}
	return &agent{process: startProcess(t, id, append(args, flags...)...), http: address}
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
	// LastContact is how long ago ZooKeeper was last heard of, in milliseconds.
	LastContact int64 `json:"last_contact_ms"`
	Leader      struct {
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

// writeFile writes a file of the test and returns its path.
func writeFile(t *testing.T, name, format string, args ...any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lastingAddr returns a free loopback address whose port the system gives to nobody
// while nothing listens there: who dials a port of its own range can be given that very
// port.
func lastingAddr(t *testing.T) string {
	t.Helper()
	const lowest, count, tries = 20_000, 10_000, 100
	for range tries {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(count))); err == nil {
			l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}
