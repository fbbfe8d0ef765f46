// Command takeover has three agents accept jobs over HTTP, kills the one that leads,
// and looks whether the next one has them all: how long that takes, and what each
// job, and later each result, costs the leader in memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // a command begins here
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "takeover:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// settings are what a run consists of.
type settings struct {
	jobs, clients int
	timeout, tick time.Duration
}

// result is the last line. Memory is the live heap and the stacks, less what the same
// process had as a standby; the floor is the job's graph, as JSON.
type result struct {
	Benchmark string  `json:"benchmark"`
	Jobs      int     `json:"jobs"`
	T         float64 `json:"session_timeout_ms"`
	// Accepted is how many submissions were acknowledged a second.
	Accepted float64 `json:"accepted_per_second"`
	// Ready is from the kill to a ready leader, Recovery the part of it that comes
	// after the election.
	Ready     float64 `json:"kill_to_ready_ms"`
	Recovery  float64 `json:"recovery_ms"`
	Recovered int     `json:"recovered"`
	// Ended is how many of them ended as FINISHED.
	Ended  int     `json:"finished"`
	Job    float64 `json:"bytes_per_job"`
	Floor  float64 `json:"floor_bytes_per_graph"`
	Ratio  float64 `json:"ratio"`
	Result float64 `json:"bytes_per_result"`
	// Threads are goroutines.
	Threads float64 `json:"goroutines_per_job"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("takeover", flag.ContinueOnError)
	var s settings
	fs.IntVar(&s.jobs, "jobs", 10_000, "jobs that are there when the leader is killed")
	fs.IntVar(&s.clients, "clients", 64, "clients that submit them")
	fs.DurationVar(&s.timeout, "session-timeout", 10*time.Second, "the agents' session time-out")
	fs.DurationVar(&s.tick, "tick", 400*time.Millisecond, "the servers' tickTime")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if s.jobs < 1 || s.clients < 1 {
		return errors.New("--jobs and --clients must be at least 1")
	}
	var r result
	var err error
	failed := zookeepertest.Run(func(tb zookeepertest.TB) { r, err = measure(ctx, tb, s) })
	if failed = errors.Join(failed, err); failed != nil {
		return failed
	}
	return rig.Print(out, r,
		fmt.Sprintf("%d jobs: accepted %.0f a second; the leader killed, ready again after %.0f ms (T %.0f ms), of which recovery %.0f ms",
			r.Jobs, r.Accepted, r.Ready, r.T, r.Recovery),
		fmt.Sprintf("%d recovered, %d FINISHED; a job costs the leader %.0f bytes and %.1f goroutines, a result %.0f bytes; the graph has %.0f",
			r.Recovered, r.Ended, r.Job, r.Threads, r.Result, r.Floor))
}

// measure is the whole run.
func measure(ctx context.Context, tb zookeepertest.TB, s settings) (r result, err error) {
	w, err := newWorld(ctx, tb, s)
	if err != nil {
		return r, err
	}
	old, err := w.ready(ctx, "")
	if err != nil {
		return r, err
	}
	idle := make(map[string]figures)
	for _, a := range w.agents {
		if idle[a.id], err = a.figures(ctx); err != nil {
			return r, err
		}
	}
	begin := time.Now()
	if err := w.submit(ctx); err != nil {
		return r, err
	}
	r = result{
		Benchmark: "takeover", Jobs: s.jobs, T: float64(s.timeout.Milliseconds()),
		Accepted: rig.Round(float64(s.jobs) / time.Since(begin).Seconds()), Floor: float64(len(w.graph.Encode())),
	}
	killed := time.Now()
	if err := old.kill(); err != nil {
		return r, err
	}
	heir, err := w.ready(ctx, old.id)
	if err != nil {
		return r, err
	}
	r.Ready = rig.Round(float64(time.Since(killed).Microseconds()) / 1000)
	if err := w.recovered(ctx, heir, &r); err != nil {
		return r, err
	}
	with, err := heir.figures(ctx)
	if err != nil {
		return r, err
	}
	n := float64(s.jobs)
	r.Recovery = rig.Round(with.takeover * 1000)
	r.Job = rig.Round((with.memory - idle[heir.id].memory) / n)
	r.Threads = rig.Round((with.goroutines - idle[heir.id].goroutines) / n)
	r.Ratio = rig.Ratio(r.Job, r.Floor)
	if err := w.finish(ctx, &r); err != nil {
		return r, err
	}
	after, err := heir.figures(ctx)
	r.Result = rig.Round((after.memory - idle[heir.id].memory) / n)
	return r, err
}
