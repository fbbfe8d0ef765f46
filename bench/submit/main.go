// Command submit measures durable submissions a second through HTTP: 64 clients post
// jobs to a leading agent, which answers when ZooKeeper has stored them. The floor is
// what ZooKeeper itself does with as many creates of the same bytes under way, issued
// by bare go-zookeeper in one session. One create alone is measured beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "submit:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark string `json:"benchmark"`
	Clients   int    `json:"clients"`
	// Submissions is how many were measured, Bytes what one stores.
	Submissions int `json:"submissions"`
	Bytes       int `json:"bytes"`
	// PerSecond is the median of the rounds.
	PerSecond      float64 `json:"per_second"`
	FloorPerSecond float64 `json:"floor_per_second"`
	Ratio          float64 `json:"ratio"`
	GoalAtLeast    float64 `json:"goal_at_least"`
	// NodesRatio counts what is created: a submission makes two nodes, its graph and its
	// progress, and the floor one of as many bytes.
	NodesRatio   float64 `json:"nodes_ratio"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	FloorP50     float64 `json:"floor_p50_ms"`
	FloorP99     float64 `json:"floor_p99_ms"`
	OneCreateP50 float64 `json:"one_create_p50_ms"`
	OneCreateP99 float64 `json:"one_create_p99_ms"`
	// P99Ratio is the p99 of a submission under load in terms of one create alone, at
	// its p50.
	P99Ratio float64 `json:"p99_ratio"`
}

// options are the flags of this benchmark.
type options struct {
	*rig.Options
	clients, each int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("submit", flag.ContinueOnError)
	o := options{Options: rig.Flags(fs, 7, 10*time.Second)}
	o.Servers, o.Heap = 3, "512m"
	fs.Lookup("servers").DefValue = "3"
	fs.IntVar(&o.clients, "clients", 64, "how many clients submit at once")
	fs.IntVar(&o.each, "submissions", 2000, "how many jobs are submitted in a round")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.clients < 1 || o.each < o.clients {
		return fmt.Errorf("--clients %d, --submissions %d: at least one of each client is needed", o.clients, o.each)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		m, err := measure(ctx, e, o)
		if err != nil {
			return err
		}
		r := m.result(o)
		return rig.Print(out, r,
			fmt.Sprintf("%d clients %s: %.0f durable submissions/s, half within %.1f ms, 99 %% within %.1f ms",
				r.Clients, o.Flavour(), r.PerSecond, r.P50, r.P99),
			fmt.Sprintf("ZooKeeper itself (creates of the same %d bytes, as many under way): %.0f/s, %.1f and %.1f ms; ratio %.2f, by nodes %.2f",
				r.Bytes, r.FloorPerSecond, r.FloorP50, r.FloorP99, r.Ratio, r.NodesRatio),
			fmt.Sprintf("one create alone: half within %.2f ms, 99 %% within %.2f ms", r.OneCreateP50, r.OneCreateP99))
	})
}

// measured are the times of all rounds.
type measured struct {
	bytes                     int
	perSecond, floorPerSecond []float64
	ours, floor, alone        rig.Times
}

func (m measured) result(o options) result {
	r := result{
		Benchmark: "submit", Clients: o.clients, Submissions: len(m.ours), Bytes: m.bytes, GoalAtLeast: 0.8,
		PerSecond: rig.Round(rig.Median(m.perSecond)), FloorPerSecond: rig.Round(rig.Median(m.floorPerSecond)),
		P50: m.ours.At(50), P99: m.ours.At(99), FloorP50: m.floor.At(50), FloorP99: m.floor.At(99),
		OneCreateP50: m.alone.At(50), OneCreateP99: m.alone.At(99),
	}
	r.Ratio = rig.Ratio(r.PerSecond, r.FloorPerSecond)
	const nodes = 2
	r.NodesRatio = rig.Ratio(nodes*r.PerSecond, r.FloorPerSecond)
	r.P99Ratio = rig.Ratio(r.P99, r.OneCreateP50)
	return r
}

// warmups is how many rounds are not counted: the servers' Java compiles meanwhile,
// and the folders of all buckets are made.
const warmups = 2

// measure makes rounds of ours and of the floor by turns.
func measure(ctx context.Context, e rig.Ensemble, o options) (m measured, err error) {
	bare, err := e.Open(ctx)
	if err != nil {
		return m, err
	}
	defer bare.Close()
	err = withAgent(ctx, e, o.clients, func(ctx context.Context, a *agency) error {
		m.bytes = len(a.graph)
		for round := range warmups + o.Rounds {
			ours, took, err := a.submit(ctx, round, o.clients, o.each)
			if err != nil {
				return err
			}
			f := &floor{bare: bare, root: fmt.Sprintf("%s/floor-%d", e.Root, round), data: a.graph}
			raw, rawTook, alone, err := f.round(o.clients, o.each)
			if err != nil {
				return fmt.Errorf("floor: %w", err)
			}
			if round < warmups {
				continue
			}
			m.ours, m.floor, m.alone = append(m.ours, ours...), append(m.floor, raw...), append(m.alone, alone...)
			m.perSecond = append(m.perSecond, float64(o.each)/took.Seconds())
			m.floorPerSecond = append(m.floorPerSecond, float64(o.each)/rawTook.Seconds())
		}
		return nil
	})
	return m, err
}
