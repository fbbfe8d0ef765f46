// Command contenders counts the operations that one hand-over costs the servers,
// by their own count, with 10, 100 and 1,000 contenders: from a leader's Resign
// until its successor leads and the former leader stands in line again. The floor
// is the least that Curator's protocol needs for that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/bench/internal/rig"
)

// while is how long after a hand-over its operations are counted.
const while = 250 * time.Millisecond

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "contenders:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark string `json:"benchmark"`
	Rounds    int    `json:"rounds"`
	// Operations is by number of contenders.
	Operations map[string]float64 `json:"operations"`
	// Growth is the operations with most contenders in terms of those with fewest.
	Growth     float64 `json:"growth"`
	GoalGrowth float64 `json:"goal_growth"`
	Floor      float64 `json:"floor_operations"`
	Ratio      float64 `json:"ratio"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("contenders", flag.ContinueOnError)
	// Long sessions ping seldom, and so disturb the count least.
	o := rig.Flags(fs, 15, time.Minute)
	list := fs.String("contenders", "10,100,1000", "how many contenders, fewest first; each has a session")
	if err := fs.Parse(args); err != nil {
		return err
	}
	sizes, err := parse(*list)
	if err != nil {
		return err
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r := result{Benchmark: "contenders", Rounds: o.Rounds, Operations: make(map[string]float64), GoalGrowth: 1}
		lines := []string{"packets that the servers received for one hand-over " + o.Flavour() + ":"}
		if r.Floor, err = floor(ctx, e, o.Rounds); err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		for _, n := range sizes {
			ops, err := count(ctx, e, n, o.Rounds)
			if err != nil {
				return fmt.Errorf("%d contenders: %w", n, err)
			}
			r.Operations[strconv.Itoa(n)] = ops
			lines = append(lines, fmt.Sprintf("  %5d contenders: %g", n, ops))
			r.Growth = rig.Ratio(ops, r.Operations[strconv.Itoa(sizes[0])])
			r.Ratio = rig.Ratio(ops, r.Floor)
		}
		lines = append(lines, fmt.Sprintf("  the least that the protocol needs: %g; ratio %.2f, growth %.2f", r.Floor, r.Ratio, r.Growth))
		return rig.Print(out, r, lines...)
	})
}

func parse(list string) ([]int, error) {
	var sizes []int
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 2 {
			return nil, fmt.Errorf("--contenders %q: %q is not a number of at least 2", list, part)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// count returns the median of the operations of some hand-overs: a burst of pings
// that only half falls into a round's time does not shift it.
func count(ctx context.Context, e rig.Ensemble, n, rounds int) (float64, error) {
	var ops []float64
	err := rig.WithCrew(ctx, e, n, func(ctx context.Context, c *rig.Crew) error {
		for range rounds {
			if err := c.Settled(ctx); err != nil {
				return err
			}
			n, err := e.Operations(ctx, while, func() error {
				_, err := c.HandOver(ctx)
				return err
			})
			if err != nil {
				return err
			}
			ops = append(ops, n)
		}
		return nil
	})
	return rig.Median(ops), err
}

// floor counts what bare sessions need for the same: delete the node; of the
// successor, look at the list and make the check that is its first renewal; of
// the one that queues again, create a node, look at the list and watch the node
// before.
func floor(ctx context.Context, e rig.Ensemble, rounds int) (float64, error) {
	from, err := e.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := e.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer to.Close()
	root := e.Root + "/floor"
	if err := to.Ensure(root); err != nil {
		return 0, err
	}
	var ops []float64
	for range rounds {
		leader, err := from.Create(root+"/n-", zk.FlagEphemeral|zk.FlagSequence)
		if err != nil {
			return 0, err
		}
		next, err := to.Create(root+"/n-", zk.FlagEphemeral|zk.FlagSequence)
		if err != nil {
			return 0, err
		}
		event, err := to.Watch(leader)
		if err != nil {
			return 0, err
		}
		var again string
		n, err := e.Operations(ctx, while, func() error {
			again, err = handOver(ctx, from, to, event, root, leader, next)
			return err
		})
		if err != nil {
			return 0, err
		}
		ops = append(ops, n)
		if err := errors.Join(to.Remove(next), from.Remove(again)); err != nil {
			return 0, err
		}
	}
	return rig.Median(ops), nil
}

// handOver makes one and returns the node of the one that queued again.
func handOver(ctx context.Context, from, to *rig.Bare, event <-chan zk.Event, root, leader, next string) (string, error) {
	if err := from.Conn.Delete(leader, -1); err != nil {
		return "", err
	}
	select {
	case <-event:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if _, _, err := to.Conn.Children(root); err != nil {
		return "", err
	}
	if err := to.Check(next); err != nil {
		return "", err
	}
	again, err := from.Create(root+"/n-", zk.FlagEphemeral|zk.FlagSequence)
	if err != nil {
		return "", err
	}
	if _, _, err := from.Conn.Children(root); err != nil {
		return "", err
	}
	_, _, _, err = from.Conn.ExistsW(next)
	return again, err
}
