package agent_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit bounds each test that talks to real sockets and processes.
const limit = 60 * time.Second

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs an agent until the test ends, and returns a client of it and stop,
// which returns what Run did.
func start(t *testing.T, cfg agent.Config) (c *client.Client, url string, stop func() error) {
	t.Helper()
	if cfg.Listener == nil {
		cfg.Listener = listener(t)
	}
	url = "http://" + cfg.Listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- agent.Run(ctx, cfg) }()
	var result error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-ran
		}
		return result
	}
	t.Cleanup(func() { _ = stop() })
	c, err := client.New(client.Config{Addresses: []string{url}, Patience: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, url, stop
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// get returns status and body of a GET.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

const twoStages = `
name: two stages
tasks:
  - id: first
    parallelism: 2
    command: [sh, -c, "echo first $COORDD_SUBTASK"]
  - id: second
    needs: [first]
    command: [sh, -c, "echo the answer is 42"]
`

func TestDevAgentRunsAJobToItsEnd(t *testing.T) {
	ctx := bounded(t)
	c, url, stop := start(t, agent.Config{Dev: true, DataDir: filepath.Join(t.TempDir(), "new", "data")})

	snap, created, err := c.Submit(ctx, "etl-1", []byte(twoStages))
	if err != nil || !created || snap.ID != "etl-1" {
		t.Fatalf("Submit is %+v, %t, %v", snap, created, err)
	}
	snap, err = c.Wait(ctx, "etl-1", nil)
	if err != nil || snap.Status != job.StatusFinished {
		t.Fatalf("Wait is %+v, %v", snap, err)
	}
	if out := snap.Tasks[1].Subtasks[0].Output; !strings.Contains(out, "the answer is 42") {
		t.Errorf("output is %q", out)
	}
	again, created, err := c.Submit(ctx, "etl-1", []byte(twoStages))
	if err != nil || created || again.Status != job.StatusFinished {
		t.Errorf("the same job again is %+v, %t, %v; want the finished one", again, created, err)
	}
	other := strings.ReplaceAll(twoStages, "42", "43")
	if _, _, err := c.Submit(ctx, "etl-1", []byte(other)); !errors.Is(err, client.ErrConflict) {
		t.Errorf("other content under the same ID: %v, want ErrConflict", err)
	}
	var leads client.Leader
	for _, component := range []string{leader.Dispatcher, leader.RESTServer} {
		l, err := c.Leader(ctx, component)
		leads = l.Leader
		if err != nil || !l.IsSelf || l.Leader.Address != url || l.Leader.Phase != leader.PhaseReady {
			t.Errorf("leader of %s is %+v, %v", component, l, err)
		}
	}
	all, err := c.Contenders(ctx)
	if err != nil || len(all) != 1 || !all[0].Leads || all[0].Epoch != leads.Epoch || all[0].ID != leads.ID {
		t.Errorf("the contenders are %+v, %v; want only the leader %+v", all, err, leads)
	}
	checkMetrics(t, url)
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func checkMetrics(t *testing.T, url string) {
	t.Helper()
	status, body := get(t, url+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics is %d: %s", status, body)
	}
	for _, want := range []string{
		"coordd_leader 1", "coordd_leader_ready 1", `leader_election_master_status{name="default"} 1`,
		"coordd_terms_total 1", `coordd_jobs{status="FINISHED"} 1`, `coordd_jobs{status="RUNNING"} 0`,
		"coordd_jobs_recovered 0", `coordd_takeover_seconds{phase="graphs"}`, `coordd_jobs_ended_total{status="FINISHED"} 1`,
		"coordd_leader_epoch ", "go_goroutines ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
}

func TestAgentOutOfReachOfItsBackendServesHTTPAndSaysSo(t *testing.T) {
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := backend.Participant("node-1")
	p.Disconnect()
	c, url, stop := start(t, agent.Config{ID: "node-1", Backend: p})
	impatient, err := client.New(client.Config{Addresses: []string{url}, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer impatient.Close()
	// HTTP answers before the backend has been tried.
	for ctx := bounded(t); err == nil || !strings.Contains(err.Error(), "out of reach"); {
		_, err = impatient.Leader(ctx, leader.Dispatcher)
		if !errors.Is(err, client.ErrNoLeader) {
			t.Fatalf("leader is unknown because %v, want that the backend is out of reach", err)
		}
	}
	if status, body := get(t, url+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "out of reach") {
		t.Errorf("/readyz is %d %s", status, body)
	}
	if status, body := get(t, url+"/v1/contenders"); status != http.StatusServiceUnavailable || !strings.Contains(body, "out of reach") {
		t.Errorf("/v1/contenders is %d %s, want 503 and that the backend is out of reach", status, body)
	}
	if status, _ := get(t, url+"/livez"); status != http.StatusOK {
		t.Errorf("/livez is %d", status)
	}
	p.Reconnect()
	if _, err := c.Leader(bounded(t), leader.Dispatcher); err != nil {
		t.Errorf("after the backend came back: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAgentThatIsStoppedResignsBeforeItStops(t *testing.T) {
	ctx := bounded(t)
	// A session that would take longer than the test to expire.
	backend, err := embedded.New(embedded.Config{SessionTimeout: 10 * limit})
	if err != nil {
		t.Fatal(err)
	}
	first, _, stopFirst := start(t, agent.Config{ID: "node-1", Backend: backend.Participant("node-1")})
	before, err := first.Leader(ctx, leader.Dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	second, _, _ := start(t, agent.Config{ID: "node-2", Backend: backend.Participant("node-2")})
	if err := stopFirst(); err != nil {
		t.Errorf("Run of node-1: %v", err)
	}
	for {
		after, err := second.Leader(ctx, leader.Dispatcher)
		if err != nil {
			t.Fatal(err)
		}
		if after.Leader.ID != "node-2" {
			continue
		}
		if after.Leader.Epoch <= before.Leader.Epoch {
			t.Errorf("epoch went from %d to %d", before.Leader.Epoch, after.Leader.Epoch)
		}
		return
	}
}

func TestAgentWithoutSlotsLeavesJobsWaiting(t *testing.T) {
	ctx := bounded(t)
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, _, stop := start(t, agent.Config{ID: "node-1", Backend: backend.Participant("node-1")})
	if _, _, err := c.Submit(ctx, "a", []byte(twoStages)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cancel(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	snap, err := c.Wait(ctx, "a", nil)
	if err != nil || snap.Status != job.StatusCanceled {
		t.Errorf("job is %+v, %v; want CANCELED", snap, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestAgentThatCannotStartSaysWhyInOneLine(t *testing.T) {
	taken := listener(t)
	defer func() { _ = taken.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  agent.Config
		want []string
	}{
		{"port in use", agent.Config{Dev: true, HTTP: taken.Addr().String()}, []string{"--http " + taken.Addr().String(), "in use"}},
		{"no such address", agent.Config{Dev: true, HTTP: "203.0.113.1:0", InsecureBind: true}, []string{"--http 203.0.113.1:0", "cannot be listened on"}},
		{"data folder is a file", agent.Config{Dev: true, DataDir: file}, []string{"--data-dir " + file}},
		{"data folder below a file", agent.Config{Dev: true, DataDir: filepath.Join(file, "x")}, []string{"--data-dir " + file}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := agent.Run(t.Context(), test.cfg)
			if err == nil {
				t.Fatal("Run returned nil")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error is %q, want one line with %q", err, want)
				}
			}
		})
	}
}
