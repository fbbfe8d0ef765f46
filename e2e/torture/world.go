package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/internal/process"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// settleLimit bounds how long everything may take to end after the faults. It is no
// measure: a run that reaches it hangs.
const settleLimit = 5 * time.Minute

// world is what suffers.
type world struct {
	tb          zookeepertest.TB
	dir, binary string
	ensemble    *zookeepertest.Ensemble
	spawner     *process.Spawner
	agents      []*agent
	workers     []*agent
	// leads is the agent that last said that it leads.
	leads atomic.Pointer[agent]
}

// build builds the daemon into the folder of the run.
func build(ctx context.Context, s settings, dir string) (string, error) {
	binary := filepath.Join(dir, "coordd")
	args := []string{"build", "-o", binary}
	if s.race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/coordd/coordd/cmd/coordd")...) //nolint:gosec // its arguments are these
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build coordd: %w\n%s", err, out)
	}
	return binary, nil
}

// newWorld starts the servers, the agents and the workers. All of it ends with tb.
func newWorld(tb zookeepertest.TB, s settings, dir, binary string) (*world, error) {
	w := &world{tb: tb, dir: dir, binary: binary, spawner: process.NewSpawner()}
	w.ensemble = zookeepertest.StartEnsemble(tb, 3,
		zookeepertest.TickTime(s.tick), zookeepertest.DataDir(filepath.Join(dir, "zookeeper")),
		// A server that has missed much gets the transactions rather than a snapshot, so
		// that its log has no hole. They are kept in memory for that.
		zookeepertest.JavaFlags("-Xmx768m", "-Dzookeeper.commitLogCount=1000000", "-Dzookeeper.snapshotSizeFactor=1000000"))
	ended := make(chan struct{})
	go func() { w.spawner.Run(); close(ended) }()
	tb.Cleanup(func() { w.spawner.Stop(); <-ended })
	for n := range 3 {
		a, err := newAgent(tb, s, w, n+1)
		if err != nil {
			return nil, err
		}
		w.agents = append(w.agents, a)
	}
	for n := range 2 {
		a, err := newWorker(tb, s, w, n+1)
		if err != nil {
			return nil, err
		}
		w.workers = append(w.workers, a)
	}
	for _, a := range w.members() {
		tb.Cleanup(func() { _ = a.kill() }) // it may have ended
		if err := a.start(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// members returns all processes of the cluster.
func (w *world) members() []*agent { return slices.Concat(w.agents, w.workers) }

// client returns a client of one agent, which asks once.
func (a *agent) client() (*client.Client, error) {
	return client.New(client.Config{Addresses: []string{a.http}, Patience: -1, Timeout: answerLimit})
}

// under has clients submit jobs, and observers watch, while f runs.
func (w *world) under(ctx context.Context, s settings, l *ledger, f func() error) error {
	var nodes []*client.Client
	for _, a := range w.agents {
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close() //nolint:revive // there are three
		nodes = append(nodes, c)
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for n, a := range w.agents {
		running.Go(func() { observe(ctx, w, a, nodes[n], l) })
	}
	for n := range s.clients {
		c := &customer{ledger: l, nodes: nodes, runs: w.runs(), rng: rand.New(rand.NewPCG(s.seed, uint64(n)+1)), pace: s.pace}
		running.Go(func() { c.run(ctx) })
	}
	return f()
}

// runs is the file in which commands write down that they started.
func (w *world) runs() string { return filepath.Join(w.dir, "runs") }

// settle blocks until every job has ended and been cleaned up.
func (w *world) settle(ctx context.Context, l *ledger) error {
	w.ensemble.WaitHealthy()
	var addresses []string
	for _, a := range w.agents {
		addresses = append(addresses, a.http)
	}
	c, err := client.New(client.Config{Addresses: addresses})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	var left string
	for {
		if left, err = unsettled(ctx, c, l); err == nil && left == "" {
			return nil
		}
		if !pause(ctx, time.Second) {
			return fmt.Errorf("I9: not everything has ended %v after the last fault: %s %w", settleLimit, left, errors.Join(err, ctx.Err()))
		}
	}
}

// unsettled says what has not ended, and notes how jobs did.
func unsettled(ctx context.Context, c *client.Client, l *ledger) (string, error) {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return "", err
	}
	known := make(map[job.ID]bool)
	var open []job.ID
	for _, j := range jobs {
		known[j.ID] = true
		l.end(j)
		if !j.Status.Terminal() {
			open = append(open, j.ID)
		}
	}
	for _, e := range l.all() {
		if e.acked && !known[e.id] {
			l.violated("I6", "job %s was acknowledged and is not in the list of jobs", e.id)
			return "", nil
		}
	}
	report, err := c.Recovery(ctx)
	if err != nil {
		return "", err
	}
	if n := len(open) + len(report.Dirty) + len(report.Quarantine); n > 0 {
		return fmt.Sprintf("%d jobs run (%v), %d are dirty, %d in quarantine", len(open), open[:min(len(open), 5)], len(report.Dirty), len(report.Quarantine)), nil
	}
	return "", nil
}

// history ends agents and workers and returns what the servers hold.
func (w *world) history(ctx context.Context) ([]zookeepertest.Txn, error) {
	for _, a := range w.members() {
		if err := a.stop(); err != nil {
			return nil, err
		}
	}
	w.ensemble.WaitHealthy()
	for {
		var logs [][]zookeepertest.Txn
		var newest []int64
		for _, s := range w.ensemble.Servers {
			txns := s.Txns(w.tb)
			logs = append(logs, txns)
			newest = append(newest, txns[len(txns)-1].Zxid)
		}
		if newest[0] == newest[1] && newest[1] == newest[2] {
			return merge(logs)
		}
		if !pause(ctx, 500*time.Millisecond) {
			return nil, fmt.Errorf("the servers' logs end at %#x: %w", newest, context.Cause(ctx))
		}
	}
}

// keep leaves the folder of the run for those who look into it, or removes it.
func keep(dir string, failed bool) {
	if failed {
		fmt.Fprintln(os.Stderr, "The logs are kept in", dir)
		return
	}
	_ = os.RemoveAll(dir) // what is left lies in the folder for temporary files
}
