// Command tasks measures how many subtasks a second a cluster runs that do nothing:
// registered functions, on workers over the wire, with the success of each recorded
// durably; of one large job and of many small ones. The floor is what a leader would do
// that recorded each success by itself: guarded writes of about the same bytes by bare
// go-zookeeper, one after the other.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/bench/internal/fleet"
	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/cluster/taskexecutor"
	"github.com/coordd/coordd/job"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "tasks:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// shape is one way of having many subtasks.
type shape struct {
	Jobs int `json:"jobs"`
	// Each is how many subtasks a job has.
	Each int `json:"subtasks_of_each"`
	// PerSecond is the median of the rounds, from the first submission until the last
	// result is stored.
	PerSecond float64 `json:"per_second"`
	// Bytes is what the floor writes: the size of the largest record of progress that
	// was seen.
	Bytes          int     `json:"bytes"`
	FloorPerSecond float64 `json:"floor_per_second"`
	Ratio          float64 `json:"ratio"`

	rates, floor []float64
}

// result is the last line. The figures beside one job and many are of whichever has
// the lower ratio.
type result struct {
	Benchmark      string  `json:"benchmark"`
	Workers        int     `json:"workers"`
	Slots          int     `json:"slots_of_each"`
	PerSecond      float64 `json:"per_second"`
	FloorPerSecond float64 `json:"floor_per_second"`
	Ratio          float64 `json:"ratio"`
	GoalAtLeast    float64 `json:"goal_at_least"`
	OneJob         *shape  `json:"one_job"`
	ManyJobs       *shape  `json:"many_jobs"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	workers, slots, subtasks, jobs, each int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("tasks", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 3, 10*time.Second)}
	o.Servers, o.Heap = 3, "512m"
	fs.Lookup("servers").DefValue = "3"
	fs.IntVar(&o.workers, "workers", 4, "how many workers run tasks")
	fs.IntVar(&o.slots, "slots", 256, "how many slots each has")
	fs.IntVar(&o.subtasks, "subtasks", 20_000, "how many subtasks the one job has")
	fs.IntVar(&o.jobs, "jobs", 200, "how many small jobs are submitted at once")
	fs.IntVar(&o.each, "each", 100, "how many subtasks each of them has")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.workers < 1 || o.slots < 1 || o.subtasks < 1 || o.jobs < 1 || o.each < 1 {
		return fmt.Errorf("--workers %d, --slots %d, --subtasks %d, --jobs %d, --each %d: at least one of each is needed",
			o.workers, o.slots, o.subtasks, o.jobs, o.each)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r, err := measure(ctx, e, o)
		if err != nil {
			return err
		}
		return rig.Print(out, r, r.OneJob.line(), r.ManyJobs.line(), fmt.Sprintf(
			"%s, %d workers of %d slots; one durable write for each task would have made the same at %.0f and %.0f a second",
			o.Flavour(), r.Workers, r.Slots, r.OneJob.FloorPerSecond, r.ManyJobs.FloorPerSecond))
	})
}

func (s *shape) line() string {
	return fmt.Sprintf("%d job(s) of %d tasks: %.0f tasks/s; guarded writes of %d bytes one by one: %.0f/s; ratio %.2f",
		s.Jobs, s.Each, s.PerSecond, s.Bytes, s.FloorPerSecond, s.Ratio)
}

func (s *shape) conclude() {
	s.PerSecond, s.FloorPerSecond = rig.Round(rig.Median(s.rates)), rig.Round(rig.Median(s.floor))
	s.Ratio = rig.Ratio(s.PerSecond, s.FloorPerSecond)
}

// warmups is how many rounds are not counted: the servers' Java compiles meanwhile.
const warmups = 1

// measure makes rounds of one job, of many, and of the floors by turns.
func measure(ctx context.Context, e rig.Ensemble, o options) (r result, err error) {
	bare, err := e.Open(ctx)
	if err != nil {
		return r, err
	}
	defer bare.Close()
	r = result{
		Benchmark: "tasks", Workers: o.workers, Slots: o.slots, GoalAtLeast: 6,
		OneJob: &shape{Jobs: 1, Each: o.subtasks}, ManyJobs: &shape{Jobs: o.jobs, Each: o.each},
	}
	b := &bench{bare: bare, root: e.Root}
	cfg := fleet.Config{
		Ensemble: e, Cluster: "tasks", Workers: o.workers, Slots: o.slots,
		Funcs: taskexecutor.Funcs{"nothing": b.nothing},
	}
	err = fleet.With(ctx, cfg, func(ctx context.Context, f *fleet.Fleet) error {
		for n := range warmups + o.Rounds {
			for name, s := range map[string]*shape{"one": r.OneJob, "many": r.ManyJobs} {
				if err := b.round(ctx, f, s, fmt.Sprintf("%s-%d", name, n), n >= warmups); err != nil {
					return err
				}
			}
		}
		return nil
	})
	r.OneJob.conclude()
	r.ManyJobs.conclude()
	lower := r.OneJob
	if r.ManyJobs.Ratio < lower.Ratio {
		lower = r.ManyJobs
	}
	r.PerSecond, r.FloorPerSecond, r.Ratio = lower.PerSecond, lower.FloorPerSecond, lower.Ratio
	return r, err
}

// bench is what the rounds have in common.
type bench struct {
	bare *rig.Bare
	root string
	// calls counts the subtasks that ran.
	calls atomic.Int64
}

// nothing is what the tasks do.
func (b *bench) nothing(context.Context, taskexecutor.TaskContext) error {
	b.calls.Add(1)
	return nil
}

// floorWrites is how many writes are made for one rate of the floor.
const floorWrites = 500

// round measures one shape and its floor once.
func (b *bench) round(ctx context.Context, f *fleet.Fleet, s *shape, name string, counts bool) error {
	took, err := b.jobs(ctx, f, s, name)
	if err != nil {
		return err
	}
	g, err := b.bare.Guarded(b.root+"/floor-"+name, s.Bytes)
	if err != nil {
		return err
	}
	start := time.Now()
	if _, err := g.OneByOne(floorWrites); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	raw := time.Since(start)
	if counts {
		s.rates = append(s.rates, float64(s.Jobs*s.Each)/took.Seconds())
		s.floor = append(s.floor, floorWrites/raw.Seconds())
	}
	return nil
}

// clients is how many submissions are under way at once.
const clients = 32

// jobs runs the jobs of a shape and returns how long that took.
func (b *bench) jobs(ctx context.Context, f *fleet.Fleet, s *shape, name string) (time.Duration, error) {
	file := fmt.Appendf(nil, `{"name":"nothing","tasks":[{"id":"nothing","parallelism":%d,"func":"nothing"}]}`, s.Each)
	ids := make([]job.ID, s.Jobs)
	next := make(chan job.ID, s.Jobs)
	for i := range ids {
		ids[i] = job.ID(fmt.Sprintf("%s-%d", name, i))
		next <- ids[i]
	}
	close(next)
	e, err := f.Expect(ids...)
	if err != nil {
		return 0, err
	}
	b.calls.Store(0)
	start := time.Now()
	failed := make(chan error, clients)
	var submitting sync.WaitGroup
	for range min(clients, s.Jobs) {
		submitting.Go(func() {
			for id := range next {
				if err := f.Submit(ctx, id, file); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	submitting.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	if err := e.Results(ctx); err != nil {
		return 0, err
	}
	took := time.Since(start)
	s.Bytes = max(s.Bytes, e.Bytes)
	if ran, want := b.calls.Load(), int64(s.Jobs*s.Each); ran != want {
		return 0, fmt.Errorf("%s: %d subtasks ran, want %d, each once", name, ran, want)
	}
	return took, e.Cleaned(ctx)
}
