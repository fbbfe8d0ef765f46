package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/client"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

// Config says what a Fleet is.
type Config struct {
	// Ensemble is where it runs, Cluster its name there, which no other may have.
	Ensemble rig.Ensemble
	Cluster  string
	// Workers is how many there are, Slots how many each has.
	Workers, Slots int
	// Funcs are what their tasks run.
	Funcs taskexecutor.Funcs
}

// Root returns the path below which the cluster's values stand.
func (c Config) Root() string { return c.Ensemble.Root + "/" + c.Cluster }

// Fleet is an agent with workers.
type Fleet struct {
	// Client talks to the agent.
	Client *client.Client

	cfg  Config
	bare *rig.Bare
}

// With calls f while an agent leads and workers run, and ends them. It blocks until
// all have ended.
func With(ctx context.Context, cfg Config, f func(context.Context, *Fleet) error) error {
	return withWorkers(ctx, cfg, func(ctx context.Context, running *errgroup.Group) error {
		listener, err := Listen(ctx)
		if err != nil {
			return err
		}
		running.Go(func() error { return RunAgent(ctx, cfg, "bench", listener) })
		bare, err := cfg.Ensemble.Open(ctx)
		if err != nil {
			return err
		}
		defer bare.Close()
		c, err := client.New(client.Config{Addresses: []string{listener.Addr().String()}, Timeout: time.Minute, Patience: time.Minute})
		if err != nil {
			return err
		}
		defer c.Close()
		return f(ctx, &Fleet{Client: c, cfg: cfg, bare: bare})
	})
}

// WithWorkers calls f while the workers of a cluster run, whose agents are the
// caller's, and ends them. It blocks until all have ended.
func WithWorkers(ctx context.Context, cfg Config, f func(context.Context) error) error {
	return withWorkers(ctx, cfg, func(ctx context.Context, _ *errgroup.Group) error { return f(ctx) })
}

// withWorkers also waits for what f starts in the group. When one of them fails, the
// context of all ends.
func withWorkers(ctx context.Context, cfg Config, f func(context.Context, *errgroup.Group) error) error {
	running, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range cfg.Workers {
		w, err := agent.NewWorker(agent.WorkerConfig{
			ID: fmt.Sprintf("worker-%d", i), ZooKeeper: cfg.Ensemble.Servers, Root: cfg.Ensemble.Root, ClusterID: cfg.Cluster,
			Slots: cfg.Slots, Funcs: cfg.Funcs, SessionTimeout: cfg.Ensemble.SessionTimeout,
		})
		if err != nil {
			cancel()
			return errors.Join(err, running.Wait())
		}
		running.Go(func() error { return w.Run(ctx) })
	}
	err := f(ctx, running)
	cancel()
	if failed := running.Wait(); failed != nil && !errors.Is(failed, context.Canceled) {
		return fmt.Errorf("a member of the cluster has ended: %w", failed)
	}
	return err
}

// Listen returns a listener on a free port of loopback.
func Listen(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// RunAgent runs an agent of the cluster without a worker until ctx ends; the listener
// is for HTTP.
func RunAgent(ctx context.Context, cfg Config, id string, listener net.Listener) error {
	return agent.Run(ctx, agent.Config{
		ID: id, ZooKeeper: cfg.Ensemble.Servers, Root: cfg.Ensemble.Root, ClusterID: cfg.Cluster,
		Listener: listener, HTTP: listener.Addr().String(), SessionTimeout: cfg.Ensemble.SessionTimeout,
	})
}

// Submit submits a job that is new.
func (f *Fleet) Submit(ctx context.Context, id job.ID, file []byte) error {
	_, created, err := f.Client.Submit(ctx, id, file)
	if err == nil && !created {
		err = fmt.Errorf("job %s was there before", id)
	}
	return err
}

// Run submits a job and blocks until it has finished and everything of it but its
// result is gone. It returns the size of the largest record of progress that it saw.
func (f *Fleet) Run(ctx context.Context, id job.ID, file []byte) (bytes int, err error) {
	e, err := f.Expect(id)
	if err != nil {
		return 0, err
	}
	if err := f.Submit(ctx, id, file); err != nil {
		return 0, err
	}
	if err := e.Results(ctx); err != nil {
		return 0, err
	}
	return e.Bytes, e.Cleaned(ctx)
}
