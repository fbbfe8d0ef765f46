// Command handover measures a clean hand-over: from the start of a leader's
// Resign until its successor's Lead is called. The floor is what ZooKeeper itself
// takes for it: a delete, the event of a watch, and one check-only multi.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/bench/internal/rig"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "handover:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark  string  `json:"benchmark"`
	Rounds     int     `json:"rounds"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	FloorP50   float64 `json:"floor_p50_ms"`
	FloorP99   float64 `json:"floor_p99_ms"`
	Ratio      float64 `json:"ratio"`
	GoalAtMost float64 `json:"goal_at_most"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("handover", flag.ContinueOnError)
	o := rig.Flags(fs, 500, 10*time.Second)
	if err := fs.Parse(args); err != nil {
		return err
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		var ours, bare rig.Times
		err := rig.WithCrew(ctx, e, 2, func(ctx context.Context, c *rig.Crew) (err error) {
			ours, bare, err = measure(ctx, e, c, o.Rounds)
			return err
		})
		if err != nil {
			return err
		}
		r := result{
			Benchmark: "handover", Rounds: o.Rounds,
			P50: ours.At(50), P99: ours.At(99), FloorP50: bare.At(50), FloorP99: bare.At(99),
			Ratio: rig.Ratio(ours.At(50), bare.At(50)), GoalAtMost: 1.3,
		}
		return rig.Print(out, r,
			fmt.Sprintf("%d hand-overs %s: half within %.3f ms, 99 %% within %.3f ms", r.Rounds, o.Flavour(), r.P50, r.P99),
			fmt.Sprintf("ZooKeeper itself (delete, event, check): %.3f and %.3f ms; ratio %.2f", r.FloorP50, r.FloorP99, r.Ratio))
	})
}

// measure makes rounds of both by turns.
func measure(ctx context.Context, e rig.Ensemble, c *rig.Crew, rounds int) (ours, bare rig.Times, err error) {
	f, err := newFloor(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	defer f.close()
	for i := range rig.Warmup + rounds {
		if err := c.Settled(ctx); err != nil {
			return nil, nil, err
		}
		took, err := c.HandOver(ctx)
		if err != nil {
			return nil, nil, err
		}
		// The one that resigned queues again first, so as not to disturb.
		if err := c.Settled(ctx); err != nil {
			return nil, nil, err
		}
		least, err := f.round(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("floor: %w", err)
		}
		if i >= rig.Warmup {
			ours, bare = append(ours, took), append(bare, least)
		}
	}
	return ours, bare, nil
}

// floor is a hand-over between two bare sessions that share nothing with ours but
// the servers.
type floor struct {
	from, to *rig.Bare
	root     string
}

func newFloor(ctx context.Context, e rig.Ensemble) (*floor, error) {
	from, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	to, err := e.Open(ctx)
	if err != nil {
		from.Close()
		return nil, err
	}
	f := &floor{from: from, to: to, root: e.Root}
	if _, err := to.Create(f.next(), zk.FlagEphemeral); err != nil {
		f.close()
		return nil, fmt.Errorf("create %s: %w", f.next(), err)
	}
	return f, nil
}

func (f *floor) first() string { return f.root + "/first" }
func (f *floor) next() string  { return f.root + "/next" }

func (f *floor) close() { f.from.Close(); f.to.Close() }

// round returns the time from the delete until the check was acknowledged.
func (f *floor) round(ctx context.Context) (time.Duration, error) {
	if _, err := f.from.Create(f.first(), zk.FlagEphemeral); err != nil {
		return 0, err
	}
	event, err := f.to.Watch(f.first())
	if err != nil {
		return 0, err
	}
	if err := rig.Pause(ctx, rig.Settle); err != nil {
		return 0, err
	}
	deleted := make(chan error, 1)
	start := time.Now()
	go func() { deleted <- f.from.Conn.Delete(f.first(), -1) }()
	select {
	case <-event:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	err = f.to.Check(f.next())
	took := time.Since(start)
	if failed := <-deleted; failed != nil {
		return 0, failed
	}
	return took, err
}
