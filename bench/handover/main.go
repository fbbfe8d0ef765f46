// Command handover measures a clean hand-over: from the start of a leader's
// Resign until its successor's Lead is called. The floor is what ZooKeeper itself
// takes for it: a delete, the event of a watch, and one check-only multi. What
// Curator's LeaderLatch takes is measured in the same run: from the start of the
// leader's close() until isLeader() of its successor's listener.
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
	// Curator's figures are left out with --curator=false. Its ratio is to the floor too.
	CuratorP50   float64 `json:"curator_p50_ms,omitempty"`
	CuratorP99   float64 `json:"curator_p99_ms,omitempty"`
	CuratorRatio float64 `json:"curator_ratio,omitempty"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("handover", flag.ContinueOnError)
	o := rig.Flags(fs, 500, 10*time.Second)
	withCurator := fs.Bool("curator", true, "measure Curator's LeaderLatch too, which needs its Debian package and a Java compiler")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		var m measured
		err := rig.WithCrew(ctx, e, 2, func(ctx context.Context, c *rig.Crew) (err error) {
			m, err = measure(ctx, e, c, o.Rounds, *withCurator)
			return err
		})
		if err != nil {
			return err
		}
		r := m.result()
		lines := []string{
			fmt.Sprintf("%d hand-overs %s: half within %.3f ms, 99 %% within %.3f ms", r.Rounds, o.Flavour(), r.P50, r.P99),
			fmt.Sprintf("ZooKeeper itself (delete, event, check): %.3f and %.3f ms; ratio %.2f", r.FloorP50, r.FloorP99, r.Ratio),
		}
		if *withCurator {
			lines = append(lines, fmt.Sprintf("Curator's LeaderLatch (close to isLeader, no check): %.3f and %.3f ms; ratio %.2f",
				r.CuratorP50, r.CuratorP99, r.CuratorRatio))
		}
		return rig.Print(out, r, lines...)
	})
}

// measured are the times of all rounds.
type measured struct{ ours, bare, curator rig.Times }

func (m measured) result() result {
	return result{
		Benchmark: "handover", Rounds: len(m.ours),
		P50: m.ours.At(50), P99: m.ours.At(99), FloorP50: m.bare.At(50), FloorP99: m.bare.At(99),
		Ratio: rig.Ratio(m.ours.At(50), m.bare.At(50)), GoalAtMost: 1.3,
		CuratorP50: m.curator.At(50), CuratorP99: m.curator.At(99),
		CuratorRatio: rig.Ratio(m.curator.At(50), m.bare.At(50)),
	}
}

// measure makes rounds of all by turns.
func measure(ctx context.Context, e rig.Ensemble, c *rig.Crew, rounds int, withCurator bool) (m measured, err error) {
	f, err := newFloor(ctx, e)
	if err != nil {
		return m, err
	}
	defer f.close()
	var java *curator
	if withCurator {
		if java, err = newCurator(ctx, e); err != nil {
			return m, err
		}
		defer java.close()
	}
	for i := range rig.Warmup + rounds {
		took, err := one(ctx, c, f, java)
		if err != nil {
			return m, err
		}
		if i >= rig.Warmup {
			m.ours, m.bare = append(m.ours, took.ours), append(m.bare, took.bare)
			if java != nil {
				m.curator = append(m.curator, took.curator)
			}
		}
	}
	return m, nil
}

// took are the times of one round.
type took struct{ ours, bare, curator time.Duration }

// one makes one round of each, and has each rest as long before as the others.
func one(ctx context.Context, c *rig.Crew, f *floor, java *curator) (t took, err error) {
	if err := c.Settled(ctx); err != nil {
		return t, err
	}
	if t.ours, err = c.HandOver(ctx); err != nil {
		return t, err
	}
	// The one that resigned queues again first, so as not to disturb.
	if err := c.Settled(ctx); err != nil {
		return t, err
	}
	if t.bare, err = f.round(ctx); err != nil {
		return t, fmt.Errorf("floor: %w", err)
	}
	if java == nil {
		return t, nil
	}
	if err := rig.Pause(ctx, rig.Settle); err != nil {
		return t, err
	}
	t.curator, err = java.round()
	return t, err
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
