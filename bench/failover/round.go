package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/bench/internal/fleet"
	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// patience bounds each wait, so that a benchmark fails and does not hang.
const patience = 2 * time.Minute

// poll is how often is looked; no measured time depends on it.
const poll = 10 * time.Millisecond

// taken is what one round has measured, from the kill on.
type taken struct {
	// deployed is when the next leader's first new task has started, event when a bare
	// watcher had its event of the former's end.
	deployed, event time.Duration
}

// round has a child lead a cluster of its own, kills it while a job runs, and looks what
// the next leader makes of the job.
func round(ctx context.Context, e rig.Ensemble, o options, cluster string, busy bool) (t taken, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := newStage(o.subtasks, busy)
	cfg := fleet.Config{
		Ensemble: e, Cluster: cluster, Workers: o.workers, Slots: o.subtasks/o.workers + 2, Funcs: s.funcs(),
	}
	child, err := start(ctx, cfg)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, child.kill()) }()
	first, err := child.client(ctx)
	if err != nil {
		return t, err
	}
	defer first.Close()
	return t, fleet.WithWorkers(ctx, cfg, func(ctx context.Context) error {
		return withStandby(ctx, cfg, func(ctx context.Context, second *client.Client) error {
			defer s.letGo() // or the workers wait for the functions
			if err := s.begin(ctx, first); err != nil {
				return err
			}
			if t, err = strike(ctx, cfg, s, child); err != nil {
				return err
			}
			s.letGo()
			return s.verify(ctx, second)
		})
	})
}

// withStandby calls f while another agent of the cluster runs, and ends that.
func withStandby(ctx context.Context, cfg fleet.Config, f func(context.Context, *client.Client) error) error {
	listener, err := fleet.Listen(ctx)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Addresses: []string{listener.Addr().String()}, Timeout: time.Minute, Patience: patience})
	if err != nil {
		return err
	}
	defer c.Close()
	running, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	running.Go(func() error { return fleet.RunAgent(ctx, cfg, "standby", listener) })
	err = f(ctx, c)
	cancel()
	if failed := running.Wait(); failed != nil {
		return fmt.Errorf("the standby has ended: %w", failed)
	}
	return err
}

// strike kills the leader and measures.
func strike(ctx context.Context, cfg fleet.Config, s *stage, leading *child) (t taken, err error) {
	watcher, err := cfg.Ensemble.Open(ctx)
	if err != nil {
		return t, err
	}
	defer watcher.Close()
	latch := cfg.Root() + "/latch"
	if err := watcher.AwaitChildren(ctx, latch, 2); err != nil {
		return t, err
	}
	node, err := watcher.Lowest(latch)
	if err != nil {
		return t, err
	}
	fired, err := watcher.Watch(node)
	if err != nil {
		return t, err
	}
	at := make(chan time.Time, 1)
	go func() { <-fired; at <- time.Now() }() // ends with the watcher's session at the latest

	killed := time.Now()
	if err := leading.kill(); err != nil {
		return t, err
	}
	close(s.trigger)
	select {
	case deployed := <-s.next:
		return taken{deployed: deployed.Sub(killed), event: (<-at).Sub(killed)}, nil
	case <-ctx.Done():
		return t, fmt.Errorf("the next leader has deployed nothing: %w", context.Cause(ctx))
	}
}

// jobID is that of the one job of a cluster.
const jobID = job.ID("job")

// begin submits the job and waits until it has come as far as it shall.
func (s *stage) begin(ctx context.Context, c *client.Client) error {
	if _, _, err := c.Submit(ctx, jobID, s.file()); err != nil {
		return err
	}
	_, err := c.WaitFor(ctx, jobID, func(snap job.Snapshot) bool {
		return s.started() && len(snap.Tasks) > 0 && s.asWanted(snap.Tasks[0])
	})
	return err
}

// verify waits for the end of the job, and says whether anything ran twice.
func (s *stage) verify(ctx context.Context, c *client.Client) error {
	snap, err := c.Wait(ctx, jobID, nil)
	if err != nil {
		return err
	}
	if snap.Status != job.StatusFinished {
		return fmt.Errorf("the job is %s: %s", snap.Status, snap.Error)
	}
	if ran := s.calls.Load(); ran != int64(s.subtasks) {
		return fmt.Errorf("%d subtasks ran, want %d, each once", ran, s.subtasks)
	}
	return nil
}

// leads waits until the agent leads and is ready.
func leads(ctx context.Context, c *client.Client) error {
	for {
		l, err := c.Leader(ctx, leader.Dispatcher)
		if err == nil && l.IsSelf && l.Leader.Phase == leader.PhaseReady {
			return nil
		}
		if err := rig.Pause(ctx, poll); err != nil {
			return fmt.Errorf("the child does not lead: %w", err)
		}
	}
}
