// Command failover measures what the death of the leading agent costs a job that runs: a
// process that leads is killed with SIGKILL while workers, which live, run the job's
// subtasks, and the time until the next leader has deployed something new is compared
// with the time until a bare watcher of the dead leader's node has its event. The same is
// measured with a job of which all but one subtask have finished: what running ones cost
// is the difference.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/fleet"
	"github.com/coordd/coordd/bench/internal/rig"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line. AfterBare is the difference to the bare watcher's event of the
// same round; nearly all of what comes before is the session time-out.
type result struct {
	Benchmark string `json:"benchmark"`
	Rounds    int    `json:"rounds"`
	// Running is how many subtasks run when the leader is killed. All of them were
	// adopted, none was started again: else the benchmark fails.
	Running      int     `json:"running_subtasks"`
	P50          float64 `json:"p50_ms"`
	FloorP50     float64 `json:"floor_p50_ms"`
	Ratio        float64 `json:"ratio"`
	AfterBareP50 float64 `json:"after_bare_ms_p50"`
	AfterBareP99 float64 `json:"after_bare_ms_p99"`
	// Idle is the same of a job of as many subtasks of which one runs.
	IdleAfterBareP50 float64 `json:"idle_after_bare_ms_p50"`
	IdleAfterBareP99 float64 `json:"idle_after_bare_ms_p99"`
	// IdleRatio is the time after the bare event with running subtasks in terms of that
	// without.
	IdleRatio float64 `json:"in_terms_of_idle"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	workers, subtasks int
	cluster           string
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("failover", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 5, 4*time.Second)}
	o.Servers, o.Heap = 3, "512m"
	fs.Lookup("servers").DefValue = "3"
	fs.IntVar(&o.workers, "workers", 4, "how many workers run subtasks")
	fs.IntVar(&o.subtasks, "subtasks", 1000, "how many subtasks run when the leader is killed")
	victim := fs.String("victim", "", "be the leader that is killed, below this path; for the benchmark's own use")
	fs.StringVar(&o.cluster, "cluster", "", "the victim's cluster; for the benchmark's own use")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *victim != "" {
		e := rig.Ensemble{Servers: strings.Split(o.ZooKeeper, ","), Root: *victim, SessionTimeout: o.SessionTimeout}
		return lead(ctx, fleet.Config{Ensemble: e, Cluster: o.cluster}, in, out)
	}
	if o.workers < 1 || o.subtasks < 1 {
		return fmt.Errorf("--workers %d, --subtasks %d: at least one of each is needed", o.workers, o.subtasks)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r, err := measure(ctx, e, o)
		if err != nil {
			return err
		}
		return rig.Print(out, r,
			fmt.Sprintf("%d leaders killed %s, sessions of %v, %d subtasks running: the next leader's first new task starts %.0f ms after the kill (half of them)",
				r.Rounds, o.Flavour(), e.SessionTimeout, r.Running, r.P50),
			fmt.Sprintf("a bare watcher has its event after %.0f ms; the task starts %.0f ms after it (half), %.0f ms (99 %%)", r.FloorP50, r.AfterBareP50, r.AfterBareP99),
			fmt.Sprintf("the same job with one subtask running: %.0f ms (half), %.0f ms (99 %%); ratio %.2f", r.IdleAfterBareP50, r.IdleAfterBareP99, r.IdleRatio))
	})
}

// measure makes rounds with and without running subtasks by turns.
func measure(ctx context.Context, e rig.Ensemble, o options) (result, error) {
	var ours, bare, after, idle rig.Times
	for n := range o.Rounds {
		busy, err := round(ctx, e, o, fmt.Sprintf("busy-%d", n), true)
		if err != nil {
			return result{}, err
		}
		still, err := round(ctx, e, o, fmt.Sprintf("idle-%d", n), false)
		if err != nil {
			return result{}, err
		}
		ours, bare = append(ours, busy.deployed), append(bare, busy.event)
		after, idle = append(after, busy.deployed-busy.event), append(idle, still.deployed-still.event)
	}
	r := result{
		Benchmark: "failover", Rounds: o.Rounds, Running: o.subtasks,
		P50: ours.At(50), FloorP50: bare.At(50), Ratio: rig.Ratio(ours.At(50), bare.At(50)),
		AfterBareP50: after.At(50), AfterBareP99: after.At(99), IdleAfterBareP50: idle.At(50), IdleAfterBareP99: idle.At(99),
	}
	r.IdleRatio = rig.Ratio(r.AfterBareP50, r.IdleAfterBareP50)
	return r, nil
}
