// Command recovery measures how long a leader that was elected takes until it is
// ready, having read and started all jobs of its predecessors. Two floors are measured
// in the same run, with bare go-zookeeper on the same znodes: reads of all graphs with
// many under way, and one by one as Flink does. A part of it is repeated behind a proxy
// that adds 2 ms to each round trip.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "recovery:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// figures are medians of one cluster.
type figures struct {
	Jobs int `json:"jobs"`
	// Ours is from the start of the term until the leader is published.
	Ours float64 `json:"ours_ms"`
	// Floor is bare go-zookeeper with many reads under way, OneByOne with one.
	Floor    float64 `json:"floor_ms"`
	OneByOne float64 `json:"one_by_one_ms"`
	// Ratio is ours in terms of the floor.
	Ratio float64 `json:"ratio"`
	// Gain says how many times faster ours is than reading one by one, FloorGain the
	// same of the floor, and Share how much of that ours has.
	Gain      float64 `json:"gain"`
	FloorGain float64 `json:"floor_gain"`
	Share     float64 `json:"share_of_gain"`
	// Steps is where ours spends its time, in ms.
	Steps map[string]float64 `json:"steps_ms"`
}

// result is the last line.
type result struct {
	Benchmark string `json:"benchmark"`
	figures
	GoalRatio float64 `json:"goal_ratio_at_most"`
	GoalShare float64 `json:"goal_share_at_least"`
	// Delayed is the same behind the proxy, where Gain has a goal of its own.
	Delayed  *figures `json:"delayed,omitempty"`
	GoalGain float64  `json:"goal_delayed_gain_at_least"`
	// Growth has other numbers of jobs, and Linear the time for each job of the
	// largest number in terms of that of the smallest.
	Growth []figures `json:"growth,omitempty"`
	Linear float64   `json:"time_per_job_largest_to_smallest,omitempty"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	jobs, delayed, reads int
	growth               bool
}

// delay is what the proxy adds to each way, half of what a round trip takes longer.
const delay = time.Millisecond

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("recovery", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 5, 20*time.Second)}
	o.Heap = "768m" // 30,000 jobs, and copies of the newest 500 transactions
	fs.IntVar(&o.jobs, "jobs", 10_000, "how many jobs to recover")
	fs.IntVar(&o.delayed, "delayed", 2000, "how many to recover behind the proxy; zero to do without it")
	fs.IntVar(&o.reads, "reads", 0, "how many graphs the coordinator reads at once; zero for its default")
	fs.BoolVar(&o.growth, "growth", false, "recover 1,000, 3,000, 10,000 and 30,000 jobs, too")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.jobs < 1 || o.delayed < 0 || o.reads < 0 {
		return fmt.Errorf("--jobs %d, --delayed %d, --reads %d: want at least 1, 0 and 0", o.jobs, o.delayed, o.reads)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r := result{Benchmark: "recovery", GoalRatio: 1.5, GoalShare: 0.8, GoalGain: 10}
		var err error
		if r.figures, err = measure(ctx, e, e, o, o.jobs); err != nil {
			return err
		}
		if o.delayed > 0 {
			if r.Delayed, err = behindProxy(ctx, e, o); err != nil {
				return err
			}
		}
		if o.growth {
			if r.Growth, err = growth(ctx, e, o); err != nil {
				return err
			}
			first, last := r.Growth[0], r.Growth[len(r.Growth)-1]
			r.Linear = rig.Ratio(last.Ours/float64(last.Jobs), first.Ours/float64(first.Jobs))
		}
		return rig.Print(out, r, r.lines(o)...)
	})
}

// behindProxy measures with a proxy before the first server.
func behindProxy(ctx context.Context, e rig.Ensemble, o options) (f *figures, err error) {
	failed := zookeepertest.Run(func(tb zookeepertest.TB) {
		proxy := zookeepertest.StartProxy(tb, e.Servers[0])
		proxy.Delay(delay)
		far := e
		far.Servers = []string{proxy.Addr()}
		var got figures
		if got, err = measure(ctx, e, far, o, o.delayed); err == nil {
			f = &got
		}
	})
	if failed != nil {
		return nil, failed
	}
	return f, err
}

// growth measures clusters of several sizes.
func growth(ctx context.Context, e rig.Ensemble, o options) ([]figures, error) {
	var all []figures
	for _, jobs := range []int{1000, 3000, 10_000, 30_000} {
		f, err := measure(ctx, e, e, o, jobs)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// lines are for people.
func (r result) lines(o options) []string {
	lines := []string{"recovery " + o.Flavour() + ", elected to ready; medians", r.line()}
	if r.Delayed != nil {
		lines = append(lines, "behind a proxy that adds 2 ms: "+r.Delayed.line())
	}
	for _, f := range r.Growth {
		lines = append(lines, f.line())
	}
	if r.Linear > 0 {
		lines = append(lines, fmt.Sprintf("a job of the largest cluster takes %.2f times as long as one of the smallest", r.Linear))
	}
	return lines
}

func (f figures) line() string {
	return fmt.Sprintf("%d jobs: %.0f ms %v; bare reads: %.0f ms, ratio %.2f; one by one: %.0f ms, gain %.1f of %.1f (%.2f)",
		f.Jobs, f.Ours, f.Steps, f.Floor, f.Ratio, f.OneByOne, f.Gain, f.FloorGain, f.Share)
}
