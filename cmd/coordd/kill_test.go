package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
)

// Kills, and how long an agent lives at most.
const (
	kills    = 12
	lifetime = 300 * time.Millisecond
)

// ledger is what clients were told.
type ledger struct {
	mu       sync.Mutex
	accepted []job.ID
	ended    map[job.ID]ending
}

// ending is how a job was reported to have ended, and how often it had run then.
type ending struct {
	status job.Status
	runs   int
}

// TestADevelopmentAgentLosesNothingWhenKilled kills an agent again and again while
// jobs are submitted. I6: what was accepted is there afterwards, and ends. I7 and I8:
// what was reported to have ended has ended so for good, and never runs again.
func TestADevelopmentAgentLosesNothingWhenKilled(t *testing.T) {
	folder := t.TempDir()
	port := lastingPort(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := client.New(client.Config{Addresses: []string{"http://127.0.0.1:" + port}, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	told := &ledger{ended: make(map[job.ID]ending)}
	submitting, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for i := range 3 {
		clients.Go(func() { told.submit(submitting, t, c, folder, i) })
	}
	for range kills {
		agent := devAgent(ctx, t, folder, port)
		answering(ctx, t, port)
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(lifetime)))):
		case <-ctx.Done():
		}
		if err := agent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = agent.Wait()
	}
	stop()
	clients.Wait()
	if len(told.accepted) < kills || len(told.ended) == 0 {
		t.Fatalf("%d jobs were accepted and %d ended under %d kills: too few to tell anything", len(told.accepted), len(told.ended), kills)
	}
	last := devAgent(ctx, t, folder, port)
	answering(ctx, t, port)
	told.check(ctx, t, c, folder)
	if err := last.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = last.Wait()
	t.Logf("%d kills, %d jobs accepted, %d seen to end", kills, len(told.accepted), len(told.ended))
}

// lastingPort returns a free port that the system gives to nobody while no agent
// listens: clients that dial a port of its own range can be given that very port.
func lastingPort(t *testing.T) string {
	t.Helper()
	const lowest, count, tries = 20_000, 10_000, 100
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(count))
		if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func devAgent(ctx context.Context, t *testing.T, folder, port string) *exec.Cmd {
	t.Helper()
	agent := exec.CommandContext(ctx, "coordd", "agent", "--dev", "--data-dir", filepath.Join(folder, "state"),
		"--http", "127.0.0.1:"+port, "--rpc", "127.0.0.1:0")
	log, err := os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	agent.Stderr = log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	return agent
}

// answering waits until the agent leads.
func answering(ctx context.Context, t *testing.T, port string) {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/leader", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := h.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the agent does not lead")
		}
	}
}

// submit submits jobs one after the other, and notes what it is told.
func (l *ledger) submit(ctx context.Context, t *testing.T, c *client.Client, folder string, submitter int) {
	for i := 0; ctx.Err() == nil; i++ {
		id := job.ID(fmt.Sprintf("job-%d-%d", submitter, i))
		if _, _, err := c.Submit(ctx, id, graph(folder, id)); err != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		l.mu.Lock()
		l.accepted = append(l.accepted, id)
		l.mu.Unlock()
		if snap, err := c.Wait(ctx, id, nil); err == nil && snap.Status.Terminal() {
			n := runs(t, folder, id)
			l.mu.Lock()
			l.ended[id] = ending{snap.Status, n}
			l.mu.Unlock()
		}
	}
}

// graph is a job whose task leaves a mark each time it runs.
func graph(folder string, id job.ID) []byte {
	return fmt.Appendf(nil, "name: mark\ntasks:\n  - id: mark\n    command: [sh, -c, \"echo ran >> %s/%s\"]\n", folder, id)
}

func (l *ledger) check(ctx context.Context, t *testing.T, c *client.Client, folder string) {
	t.Helper()
	for _, id := range l.accepted {
		snap, err := c.Wait(ctx, id, nil)
		if err != nil || snap.Status != job.StatusFinished {
			t.Errorf("job %s was accepted and now is %q, %v; want it to finish", id, snap.Status, err)
		}
		if was, ended := l.ended[id]; ended && was.status != snap.Status {
			t.Errorf("job %s had ended as %s and now is %s", id, was.status, snap.Status)
		}
		_, created, err := c.Submit(ctx, id, graph(folder, id))
		if err != nil || created {
			t.Errorf("job %s submitted again: created %t, %v; want the one that is there", id, created, err)
		}
		if runs(t, folder, id) == 0 {
			t.Errorf("job %s has finished and never ran", id)
		}
	}
	for id, was := range l.ended {
		if now := runs(t, folder, id); now != was.runs {
			t.Errorf("job %s had ended and ran again: %d runs, then %d", id, was.runs, now)
		}
	}
}

// runs counts how often a job's task has run.
func runs(t *testing.T, folder string, id job.ID) int {
	t.Helper()
	marks, err := os.ReadFile(filepath.Join(folder, string(id)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	return bytes.Count(marks, []byte("\n"))
}
