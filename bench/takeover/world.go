package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// patience bounds each wait, so that a benchmark fails and does not hang.
const patience = 15 * time.Minute

// poll is how often is looked: the measured times are as exact as this.
const poll = 5 * time.Millisecond

// look is how often all jobs are listed, which is work for the leader.
const look = 3 * time.Second

type world struct {
	settings
	dir    string
	file   []byte // the job file
	graph  job.Graph
	agents []*agent
	client *client.Client
}

// agent is one process of coordd.
type agent struct {
	id, http string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when cmd was waited for
	client   *client.Client
}

// newWorld starts servers and agents, which end with tb.
func newWorld(ctx context.Context, tb zookeepertest.TB, s settings) (*world, error) {
	dir, err := os.MkdirTemp("", "takeover-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the run: %w", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left lies in the folder for temporary files
	w := &world{settings: s, dir: dir}
	// Each job waits until all are let go.
	w.file = fmt.Appendf(nil, "name: waits\ntasks:\n  - id: wait\n    command: [sh, -c, 'while [ ! -e %[1]s ]; do sleep 0.2; done']\n"+
		"  - id: end\n    needs: [wait]\n    command: [\"true\"]\n", w.goFile())
	if w.graph, err = job.Parse("job.yaml", w.file); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "coordd")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/coordd/coordd/cmd/coordd") //nolint:gosec // the path is ours
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build coordd: %w\n%s", err, out)
	}
	// The servers keep the newest 500 transactions in memory, and batches are large: in
	// the 64 MB that tests give them they would do little but collect garbage.
	ensemble := zookeepertest.StartEnsemble(tb, 3, zookeepertest.TickTime(s.tick), zookeepertest.JavaFlags("-Xmx768m"))
	spawner := process.NewSpawner()
	ended := make(chan struct{})
	go func() { spawner.Run(); close(ended) }()
	tb.Cleanup(func() { spawner.Stop(); <-ended })
	var addresses []string
	for n := range 3 {
		a := &agent{id: fmt.Sprintf("node-%d", n+1), ended: make(chan struct{})}
		if err := a.start(spawner, binary, dir, ensemble.Connect(), s.timeout); err != nil {
			return nil, err
		}
		tb.Cleanup(func() { a.client.Close(); _ = a.kill() }) // it may have ended
		w.agents = append(w.agents, a)
		addresses = append(addresses, a.http)
	}
	if w.client, err = client.New(client.Config{Addresses: addresses, Timeout: time.Minute, Patience: time.Minute}); err != nil {
		return nil, err
	}
	tb.Cleanup(w.client.Close)
	return w, nil
}

func (a *agent) start(spawner *process.Spawner, binary, dir, ensemble string, timeout time.Duration) error {
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		addrs = append(addrs, l.Addr().String())
		if err := l.Close(); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
	}
	a.http = addrs[0]
	var err error
	if a.client, err = client.New(client.Config{Addresses: []string{a.http}, Patience: -1, Timeout: time.Minute}); err != nil {
		return err
	}
	a.cmd = exec.Command(binary, "agent", "--zookeeper", ensemble, "--cluster-id", "takeover", "--id", a.id, //nolint:gosec,noctx // it was built by this run, which ends it itself
		"--http", a.http, "--rpc", addrs[1], "--data-dir", filepath.Join(dir, a.id), "--slots", "16",
		"--session-timeout", timeout.String(), "--log-level", "warn", "--retain-results", "-1")
	// The heap then holds less that is not live.
	a.cmd.Env = append(os.Environ(), "GOGC=50")
	a.cmd.Stderr = os.Stderr
	a.cmd.SysProcAttr = process.Attributes()
	if err := spawner.Start(a.cmd); err != nil {
		return fmt.Errorf("start %s: %w", a.id, err)
	}
	go func() { // kill waits for it
		_ = a.cmd.Wait() // it is killed
		close(a.ended)
	}()
	return nil
}

// kill is kill -9, and returns when the process is gone.
func (a *agent) kill() error {
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", a.id, err)
	}
	<-a.ended
	return nil
}

// goFile is what the jobs wait for.
func (w *world) goFile() string { return filepath.Join(w.dir, "go") }

func (w *world) id(n int) job.ID { return job.ID(fmt.Sprintf("job-%06d", n)) }

// ready blocks until an agent other than the one named leads and is ready.
func (w *world) ready(ctx context.Context, other string) (*agent, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		for _, a := range w.agents {
			if a.id == other {
				continue
			}
			l, err := a.client.Leader(ctx, leader.Dispatcher)
			if err == nil && l.IsSelf && l.Leader.Phase == leader.PhaseReady {
				return a, nil
			}
		}
		if err := rig.Pause(ctx, poll); err != nil {
			return nil, fmt.Errorf("no agent leads: %w", err)
		}
	}
}

// submit has all jobs accepted over HTTP, at random nodes.
func (w *world) submit(ctx context.Context) error {
	var next atomic.Int64
	var running sync.WaitGroup
	failures := make(chan error, w.clients)
	for c := range w.clients {
		node := w.agents[c%len(w.agents)].client
		running.Go(func() {
			for n := int(next.Add(1)) - 1; n < w.jobs; n = int(next.Add(1)) - 1 {
				if _, _, err := node.Submit(ctx, w.id(n), w.file); err != nil {
					failures <- fmt.Errorf("submit %s: %w", w.id(n), err)
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}

// recovered counts the jobs that the new leader has; every one must be there, and run.
func (w *world) recovered(ctx context.Context, heir *agent, r *result) error {
	jobs, err := heir.client.Jobs(ctx)
	if err != nil {
		return err
	}
	there := make(map[job.ID]bool)
	for _, j := range jobs {
		there[j.ID] = !j.Status.Terminal() && j.Status != job.StatusSuspended
	}
	for n := range w.jobs {
		if !there[w.id(n)] {
			return fmt.Errorf("job %s was acknowledged and was not recovered", w.id(n))
		}
	}
	r.Recovered = len(there)
	return nil
}

// finish lets the jobs go and blocks until all have ended and are cleaned up.
func (w *world) finish(ctx context.Context, r *result) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := os.WriteFile(w.goFile(), nil, 0o600); err != nil {
		return fmt.Errorf("let the jobs go: %w", err)
	}
	for {
		jobs, err := w.client.Jobs(ctx)
		if err != nil {
			return err
		}
		report, err := w.client.Recovery(ctx)
		if err != nil {
			return err
		}
		r.Ended = 0
		for _, j := range jobs {
			if j.Status == job.StatusFinished {
				r.Ended++
			}
		}
		if r.Ended == w.jobs && len(report.Dirty) == 0 {
			return nil
		}
		if err := rig.Pause(ctx, look); err != nil {
			return fmt.Errorf("%d of %d jobs are FINISHED, %d dirty: %w", r.Ended, w.jobs, len(report.Dirty), err)
		}
	}
}
