// Command idle measures what waiting costs: memory and goroutines of an idle
// contender against a bare session with one watch, those of an idle listener
// against a goroutine that waits for two channels, and the operations of an idle
// cluster against the pings of as many bare sessions and the leader's renewals.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/retrieval"
	retrievalzk "github.com/coordd/coordd/retrieval/zk"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// cost is what one of something takes, on the average.
type cost struct {
	Heap       float64 `json:"heap_bytes"`
	Stack      float64 `json:"stack_bytes"`
	Goroutines float64 `json:"goroutines"`
}

// part compares one of ours with its floor.
type part struct {
	Ours  cost    `json:"ours"`
	Floor cost    `json:"floor"`
	Ratio float64 `json:"ratio"` // of heap and stack together
}

// result is the last line.
type result struct {
	Benchmark  string  `json:"benchmark"`
	Contender  part    `json:"contender"`
	Listener   part    `json:"listener"`
	Operations traffic `json:"operations"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("idle", flag.ContinueOnError)
	o := rig.Flags(fs, 12, 4*time.Second) // a round is a second of counting
	contenders := fs.Int("contenders", 50, "how many contenders to divide by")
	listeners := fs.Int("listeners", 10_000, "how many listeners to divide by")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *contenders < 2 || *listeners < 1 {
		return fmt.Errorf("--contenders %d, --listeners %d: at least 2 and 1 are needed", *contenders, *listeners)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		r := result{Benchmark: "idle"}
		var err error
		if r.Contender, err = contender(ctx, e, *contenders); err != nil {
			return err
		}
		if r.Listener, err = listener(ctx, e, *listeners); err != nil {
			return err
		}
		if r.Operations, err = operations(ctx, e, time.Duration(o.Rounds)*time.Second); err != nil {
			return err
		}
		return rig.Print(out, r,
			describe("contender with its session", "a bare session with a watch", r.Contender),
			describe("listener", "a goroutine and two channels", r.Listener),
			fmt.Sprintf("3 idle contenders %s, sessions of %v: %.2f packets a second; pings and renewals alone %.2f; ratio %.2f",
				o.Flavour(), e.SessionTimeout, r.Operations.Ours, r.Operations.Floor, r.Operations.Ratio))
	})
}

func describe(ours, floor string, p part) string {
	return fmt.Sprintf("an idle %s: %.0f bytes of heap, %.0f of stack, %.1f goroutines; %s: %.0f, %.0f, %.1f; ratio %.2f",
		ours, p.Ours.Heap, p.Ours.Stack, p.Ours.Goroutines, floor, p.Floor.Heap, p.Floor.Stack, p.Floor.Goroutines, p.Ratio)
}

// snapshot is what the process takes now, after everything unused was collected.
func snapshot() cost {
	runtime.GC()
	runtime.GC() // what finalizers and pools held through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{Heap: float64(m.HeapAlloc), Stack: float64(m.StackInuse), Goroutines: float64(runtime.NumGoroutine())}
}

// since returns a share of what came on top of before.
func since(before cost, n int) cost {
	now, each := snapshot(), float64(n)
	return cost{
		Heap:       rig.Round((now.Heap - before.Heap) / each),
		Stack:      rig.Round(max(0, now.Stack-before.Stack) / each),
		Goroutines: rig.Round((now.Goroutines - before.Goroutines) / each),
	}
}

func compare(ours, floor cost) part {
	return part{Ours: ours, Floor: floor, Ratio: rig.Ratio(ours.Heap+ours.Stack, floor.Heap+floor.Stack)}
}

// contender measures members, of which one leads, against bare sessions.
func contender(ctx context.Context, e rig.Ensemble, n int) (part, error) {
	var ours, floor cost
	before := snapshot()
	err := rig.WithBare(ctx, e, n, func() error { floor = since(before, n); return nil })
	if err != nil {
		return part{}, err
	}
	before = snapshot()
	err = rig.WithCrew(ctx, e, n, func(ctx context.Context, c *rig.Crew) error {
		if err := c.Settled(ctx); err != nil {
			return err
		}
		ours = since(before, n)
		return nil
	})
	return compare(ours, floor), err
}

// listener measures Listen calls of one retriever against goroutines that wait.
func listener(ctx context.Context, e rig.Ensemble, n int) (part, error) {
	client, err := e.Client()
	if err != nil {
		return part{}, err
	}
	driver, err := retrievalzk.New(retrievalzk.Config{Client: client, Leaders: e.Root})
	if err != nil {
		return part{}, err
	}
	r, err := retrieval.New(retrieval.Config{Driver: driver, Component: "service"})
	if err != nil {
		return part{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { _ = client.Run(ctx) }) // all of these end with ctx, and its error
	parts.Go(func() { _ = r.Run(ctx) })
	if _, err := r.Wait(ctx, func(s retrieval.State) bool { return s.Status == retrieval.StatusNone }); err != nil {
		return part{}, err
	}
	floor := waiting(n, func(told func()) {
		told()
		select {
		case <-ctx.Done():
		case <-ctx.Done():
		}
	}, &parts)
	ours := waiting(n, func(told func()) {
		_ = r.Listen(ctx, retrieval.ListenerFunc(func(retrieval.State) { told() }))
	}, &parts)
	return compare(ours, floor), nil
}

// waiting starts n goroutines and measures them when each has called told.
func waiting(n int, f func(told func()), parts *sync.WaitGroup) cost {
	var told atomic.Int64
	all := make(chan struct{})
	before := snapshot()
	for range n {
		parts.Go(func() {
			f(func() {
				if told.Add(1) == int64(n) {
					close(all)
				}
			})
		})
	}
	<-all
	return since(before, n)
}
