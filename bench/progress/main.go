// Command progress measures durable subtask transitions a second: many jobs record
// what of them has finished, each with one write under way, through the store and its
// group commit. The floor is the same store without: one guarded write for each
// transition, one after the other as their leader makes them, and beside it with all
// jobs' writes under way at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/zk"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn/batch"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "progress:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark string `json:"benchmark"`
	Jobs      int    `json:"jobs"`
	// Transitions is how many of each kind were measured.
	Transitions int `json:"transitions"`
	// PerSecond is the median of the rounds.
	PerSecond      float64 `json:"per_second"`
	FloorPerSecond float64 `json:"floor_per_second"`
	Ratio          float64 `json:"ratio"`
	GoalAtLeast    float64 `json:"goal_at_least"`
	// AtOncePerSecond is one write for each transition, of all jobs at once.
	AtOncePerSecond float64 `json:"at_once_per_second"`
	AtOnceRatio     float64 `json:"at_once_ratio"`
	P50             float64 `json:"p50_ms"`
	P99             float64 `json:"p99_ms"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	jobs, each int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("progress", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 7, 10*time.Second)}
	o.Servers, o.Heap = 3, "512m"
	fs.Lookup("servers").DefValue = "3"
	fs.IntVar(&o.jobs, "jobs", 100, "how many jobs make progress at once")
	fs.IntVar(&o.each, "transitions", 20, "how many transitions each makes in a round")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.jobs < 1 || o.each < 1 {
		return fmt.Errorf("--jobs %d, --transitions %d: at least one of each is needed", o.jobs, o.each)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		m, err := measure(ctx, e, o)
		if err != nil {
			return err
		}
		r := m.result(o)
		return rig.Print(out, r,
			fmt.Sprintf("%d jobs %s: %.0f durable transitions/s, half within %.1f ms, 99 %% within %.1f ms",
				r.Jobs, o.Flavour(), r.PerSecond, r.P50, r.P99),
			fmt.Sprintf("one write for each, one after the other: %.0f/s; ratio %.2f", r.FloorPerSecond, r.Ratio),
			fmt.Sprintf("one write for each, all jobs at once: %.0f/s; ratio %.2f", r.AtOncePerSecond, r.AtOnceRatio))
	})
}

// measured are the rates of all rounds, and the times of ours.
type measured struct {
	batched, single, atOnce []float64
	times                   rig.Times
}

func (m measured) result(o options) result {
	r := result{
		Benchmark: "progress", Jobs: o.jobs, Transitions: len(m.times), GoalAtLeast: 3,
		PerSecond: rig.Round(rig.Median(m.batched)), FloorPerSecond: rig.Round(rig.Median(m.single)),
		AtOncePerSecond: rig.Round(rig.Median(m.atOnce)), P50: m.times.At(50), P99: m.times.At(99),
	}
	r.Ratio, r.AtOnceRatio = rig.Ratio(r.PerSecond, r.FloorPerSecond), rig.Ratio(r.PerSecond, r.AtOncePerSecond)
	return r
}

// warmups is how many rounds are not counted.
const warmups = 2

// measure makes rounds of all by turns, in one term.
func measure(ctx context.Context, e rig.Ensemble, o options) (m measured, err error) {
	backend, err := zk.New(zk.Config{Servers: e.Servers, Root: e.Root + "/progress", SessionTimeout: e.SessionTimeout})
	if err != nil {
		return m, err
	}
	running, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { _ = backend.Run(running) }) // its error is that of its context
	tenure, err := backend.Election().Campaign(ctx, election.Candidate{ID: "bench", StopGrace: 50 * time.Millisecond})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, tenure.Release(ctx)) }()
	driver, err := batch.New(batch.Config{Storage: backend.Store()})
	if err != nil {
		return m, err
	}
	c := &crowd{guard: tenure.Guard(), jobs: o.jobs, each: o.each}
	if err := c.accept(ctx, jobstore.New(driver)); err != nil {
		return m, err
	}
	for round := range warmups + o.Rounds {
		if err := c.round(ctx, jobstore.New(driver), jobstore.New(backend.Store()), round >= warmups, &m); err != nil {
			return m, err
		}
	}
	return m, nil
}

// crowd is a number of jobs that make progress.
type crowd struct {
	guard      leader.Guard
	jobs, each int
}

func jobID(i int) job.ID { return job.ID(fmt.Sprintf("job-%d", i)) }

// accept stores the jobs.
func (c *crowd) accept(ctx context.Context, s *jobstore.Store) error {
	_, _, err := c.spread(c.jobs, 1, func(i, _ int) error {
		return s.Put(ctx, c.guard, jobstore.Job{ID: jobID(i), Graph: job.Graph{
			Name: "etl", Tasks: []job.Task{{ID: "extract", Parallelism: c.each, Command: []string{"true"}}},
		}})
	})
	return err
}

// round measures each way once: batched, one after the other, and all at once.
func (c *crowd) round(ctx context.Context, batched, plain *jobstore.Store, counts bool, m *measured) error {
	times, ours, err := c.spread(c.jobs, c.each, c.transition(ctx, batched))
	if err != nil {
		return err
	}
	// One after the other takes long, so it is tried for fewer jobs.
	few := max(1, c.jobs/10)
	_, single, err := c.spread(1, few*c.each, func(_, n int) error {
		return c.transition(ctx, plain)(n/c.each, n%c.each)
	})
	if err != nil {
		return fmt.Errorf("one after the other: %w", err)
	}
	_, atOnce, err := c.spread(c.jobs, c.each, c.transition(ctx, plain))
	if err != nil {
		return fmt.Errorf("at once: %w", err)
	}
	if counts {
		n := float64(c.jobs * c.each)
		m.times = append(m.times, times...)
		m.batched = append(m.batched, n/ours.Seconds())
		m.single = append(m.single, float64(few*c.each)/single.Seconds())
		m.atOnce = append(m.atOnce, n/atOnce.Seconds())
	}
	return nil
}

// transition records that one more subtask of a job has finished.
func (c *crowd) transition(ctx context.Context, s *jobstore.Store) func(i, n int) error {
	return func(i, n int) error {
		p := jobstore.Progress{StartedAt: time.Now()}
		for index := range n + 1 {
			p.Finish(index, c.guard.Epoch(), 1, false)
		}
		return s.PutProgress(ctx, c.guard, jobID(i), p)
	}
}

// spread has workers do n pieces of work each, and returns how long each took, and
// all.
func (c *crowd) spread(workers, n int, work func(worker, n int) error) (rig.Times, time.Duration, error) {
	times := make(rig.Times, workers*n)
	errs := make([]error, workers)
	var all sync.WaitGroup
	start := time.Now()
	for w := range workers {
		all.Go(func() {
			for i := range n {
				begun := time.Now()
				if errs[w] = work(w, i); errs[w] != nil {
					return
				}
				times[w*n+i] = time.Since(begun)
			}
		})
	}
	all.Wait()
	return times, time.Since(start), errors.Join(errs...)
}
