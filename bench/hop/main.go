// Command hop measures the time between the end of a task and the start of the one that
// needs it, with the success recorded durably in between: chains of functions that note
// the time, on workers over the wire. The floor is the least that a leader has to do for
// a durable step: one guarded write, by bare go-zookeeper.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coordd/coordd/bench/internal/fleet"
	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "hop:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line. Ratio and P99Ratio are ours in terms of one write, at its p50.
type result struct {
	Benchmark      string  `json:"benchmark"`
	Workers        int     `json:"workers"`
	Hops           int     `json:"hops"`
	P50            float64 `json:"p50_ms"`
	P99            float64 `json:"p99_ms"`
	Bytes          int     `json:"bytes"`
	FloorP50       float64 `json:"floor_p50_ms"`
	FloorP99       float64 `json:"floor_p99_ms"`
	Ratio          float64 `json:"ratio"`
	GoalAtMost     float64 `json:"goal_at_most"`
	P99Ratio       float64 `json:"p99_ratio"`
	GoalP99AtMost  float64 `json:"goal_p99_at_most"`
	P99OfFloorsP99 float64 `json:"p99_in_terms_of_floors_p99"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	workers, tasks int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("hop", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 10, 10*time.Second)}
	o.Servers, o.Heap = 3, "512m"
	fs.Lookup("servers").DefValue = "3"
	fs.IntVar(&o.workers, "workers", 2, "how many workers run tasks")
	fs.IntVar(&o.tasks, "tasks", 100, "how many tasks a chain has; each needs the one before")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.workers < 1 || o.tasks < 2 {
		return fmt.Errorf("--workers %d, --tasks %d: at least one worker and two tasks are needed", o.workers, o.tasks)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r, err := measure(ctx, e, o)
		if err != nil {
			return err
		}
		return rig.Print(out, r,
			fmt.Sprintf("%d hops %s: half within %.2f ms, 99 %% within %.2f ms", r.Hops, o.Flavour(), r.P50, r.P99),
			fmt.Sprintf("one guarded write of %d bytes: half within %.2f ms, 99 %% within %.2f ms; ratio %.2f, of the 99 %% %.2f",
				r.Bytes, r.FloorP50, r.FloorP99, r.Ratio, r.P99Ratio))
	})
}

// warmups is how many chains are not counted: the servers' Java compiles meanwhile.
const warmups = 3

// measure runs chains and makes writes by turns.
func measure(ctx context.Context, e rig.Ensemble, o options) (r result, err error) {
	bare, err := e.Open(ctx)
	if err != nil {
		return r, err
	}
	defer bare.Close()
	c := &chain{times: make([]visit, o.tasks)}
	file, err := chainFile(o.tasks)
	if err != nil {
		return r, err
	}
	r = result{Benchmark: "hop", Workers: o.workers, GoalAtMost: 3, GoalP99AtMost: 20}
	var ours, floor rig.Times
	cfg := fleet.Config{
		Ensemble: e, Cluster: "hop", Workers: o.workers, Slots: 1, Funcs: taskexecutor.Funcs{"note": c.note},
	}
	err = fleet.With(ctx, cfg, func(ctx context.Context, f *fleet.Fleet) error {
		for n := range warmups + o.Rounds {
			size, err := f.Run(ctx, job.ID(fmt.Sprintf("chain-%d", n)), file)
			if err != nil {
				return err
			}
			r.Bytes = max(r.Bytes, size)
			g, err := bare.Guarded(e.Root+"/floor-"+strconv.Itoa(n), r.Bytes)
			if err != nil {
				return err
			}
			writes, err := g.OneByOne(o.tasks)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			if n >= warmups {
				ours, floor = append(ours, c.hops()...), append(floor, writes...)
			}
		}
		return nil
	})
	r.Hops, r.P50, r.P99, r.FloorP50, r.FloorP99 = len(ours), ours.At(50), ours.At(99), floor.At(50), floor.At(99)
	r.Ratio, r.P99Ratio = rig.Ratio(r.P50, r.FloorP50), rig.Ratio(r.P99, r.FloorP50)
	r.P99OfFloorsP99 = rig.Ratio(r.P99, r.FloorP99)
	return r, err
}

// position is the variable that tells a task where in the chain it is.
const position = "POSITION"

// chainFile returns the file of a job of n tasks, each of which needs the one before.
func chainFile(n int) ([]byte, error) {
	g := job.Graph{Name: "chain"}
	for i := range n {
		t := job.Task{ID: "t" + strconv.Itoa(i), Func: "note", Env: map[string]string{position: strconv.Itoa(i)}}
		if i > 0 {
			t.Needs = []string{"t" + strconv.Itoa(i-1)}
		}
		g.Tasks = append(g.Tasks, t)
	}
	var file bytes.Buffer
	err := json.NewEncoder(&file).Encode(g)
	return file.Bytes(), err
}

// visit is when a task ran.
type visit struct{ start, end time.Time }

// chain notes when the tasks of one run.
type chain struct {
	mu    sync.Mutex
	times []visit
}

// note is what the tasks do.
func (c *chain) note(_ context.Context, t taskexecutor.TaskContext) error {
	start := time.Now()
	i, err := strconv.Atoi(t.Env[position])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[i] = visit{start: start, end: time.Now()}
	return nil
}

// hops returns the times from the end of each task to the start of the next.
func (c *chain) hops() rig.Times {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hops rig.Times
	for i := range c.times[1:] {
		hops = append(hops, c.times[i+1].start.Sub(c.times[i].end))
	}
	return hops
}
