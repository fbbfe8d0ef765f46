// Command rpc measures calls through an endpoint. Over loopback, the floor is a bare
// unary call of grpc-go with the same messages, whose handler answers by itself. Within
// the process, it is a goroutine that is asked through a channel, by callers that heed
// a context; ours is asked directly, and beside that through a gateway.
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
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "rpc:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// part compares asks a second of ours with those of the floor.
type part struct {
	Callers        int     `json:"callers"`
	PerSecond      float64 `json:"per_second"`
	FloorPerSecond float64 `json:"floor_per_second"`
	// Ratio is ours to the floor.
	Ratio float64 `json:"ratio"`
}

// local compares the time of one ask.
type local struct {
	Micros      float64 `json:"micros"`
	FloorMicros float64 `json:"floor_micros"`
	Ratio       float64 `json:"ratio"`
}

// result is the last line.
type result struct {
	Benchmark string `json:"benchmark"`
	// Loopback has a part for 1 caller and one for many.
	Loopback    []part  `json:"loopback"`
	GoalAtLeast float64 `json:"goal_at_least"`
	// Local is an ask of an endpoint, Gateway one through a gateway in the process.
	Local      local   `json:"local"`
	Gateway    local   `json:"gateway"`
	GoalAtMost float64 `json:"goal_at_most"`
}

// options are the flags.
type options struct {
	rounds, callers int
	round           time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("rpc", flag.ContinueOnError)
	var o options
	fs.IntVar(&o.rounds, "rounds", 15, "how often to measure")
	fs.DurationVar(&o.round, "round", 200*time.Millisecond, "how long each measurement takes")
	fs.IntVar(&o.callers, "callers", 64, "how many call at a time, besides one alone")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.rounds < 1 || o.callers < 1 || o.round <= 0 {
		return fmt.Errorf("--rounds %d, --callers %d, --round %v: all must be above zero", o.rounds, o.callers, o.round)
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	lines := make([]string, 0, len(r.Loopback)+2)
	for _, p := range r.Loopback {
		lines = append(lines, fmt.Sprintf("over loopback, %d caller(s): %.0f asks/s; bare unary calls %.0f/s; ratio %.2f",
			p.Callers, p.PerSecond, p.FloorPerSecond, p.Ratio))
	}
	lines = append(lines,
		fmt.Sprintf("ask of an endpoint: %.2f us; through a channel %.2f us; ratio %.2f", r.Local.Micros, r.Local.FloorMicros, r.Local.Ratio),
		fmt.Sprintf("through a gateway in the process: %.2f us; ratio %.2f", r.Gateway.Micros, r.Gateway.Ratio))
	return rig.Print(out, r, lines...)
}

// measure runs everything that is measured.
func measure(ctx context.Context, o options) (result, error) {
	w, err := newWorld(ctx)
	if err != nil {
		return result{}, err
	}
	defer w.close()
	r := result{Benchmark: "rpc", GoalAtLeast: 0.85, GoalAtMost: 3}
	for _, callers := range []int{1, o.callers} {
		rates, err := o.compare(ctx, callers, w.remote, w.bare)
		if err != nil {
			return result{}, err
		}
		r.Loopback = append(r.Loopback, part{
			Callers: callers, PerSecond: rates[0], FloorPerSecond: rates[1], Ratio: rig.Ratio(rates[0], rates[1]),
		})
	}
	rates, err := o.compare(ctx, 1, w.ask, w.direct, w.channel)
	if err != nil {
		return result{}, err
	}
	micros := func(rate float64) local {
		l := local{Micros: rig.Round(1e6 / rate), FloorMicros: rig.Round(1e6 / rates[2])}
		l.Ratio = rig.Ratio(l.Micros, l.FloorMicros)
		return l
	}
	r.Local, r.Gateway = micros(rates[0]), micros(rates[1])
	return r, nil
}

// caller makes one call.
type caller func(ctx context.Context) error

// compare makes rounds of each by turns, after one that does not count, and returns
// the median rate of each.
func (o options) compare(ctx context.Context, callers int, each ...caller) ([]float64, error) {
	rates := make([][]float64, len(each))
	for round := range o.rounds + 1 {
		for i, call := range each {
			rate, err := o.rate(ctx, callers, call)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				rates[i] = append(rates[i], rate)
			}
		}
	}
	medians := make([]float64, len(each))
	for i := range rates {
		medians[i] = rig.Round(rig.Median(rates[i]))
	}
	return medians, nil
}

// batch is how many calls are made between two looks at the clock.
const batch = 16

// rate returns how many calls a second the callers make together.
func (o options) rate(ctx context.Context, callers int, call caller) (float64, error) {
	ctx, cancel := context.WithCancel(ctx) // what asks waits for this one as well
	defer cancel()
	counts, errs := make([]int, callers), make([]error, callers)
	var all sync.WaitGroup
	begun := time.Now()
	for c := range callers {
		all.Go(func() {
			for errs[c] == nil && time.Since(begun) < o.round {
				for range batch {
					errs[c] = errors.Join(errs[c], call(ctx))
				}
				counts[c] += batch
			}
		})
	}
	all.Wait()
	took, n := time.Since(begun), 0
	for _, count := range counts {
		n += count
	}
	return float64(n) / took.Seconds(), errors.Join(errs...)
}
