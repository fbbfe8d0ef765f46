// Command retrieval measures how soon everybody in a process knows of a new
// leader: from the start of the publication until the last of 10,000 listeners was
// told, against the event of one bare watch. Both are published by the same bare
// multi, in rounds by turns, so that only retrieval is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	retrievalzk "github.com/coordd/coordd/retrieval/zk"
)

// component is what the listeners follow; another one has the bare watch only.
const component = "followed"

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "retrieval:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark    string  `json:"benchmark"`
	Rounds       int     `json:"rounds"`
	Listeners    int     `json:"listeners"`
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	FloorP50     float64 `json:"floor_p50_ms"`
	FloorP99     float64 `json:"floor_p99_ms"`
	AfterBareP50 float64 `json:"after_bare_ms_p50"`
	AfterBareP99 float64 `json:"after_bare_ms_p99"`
	GoalAtMost   float64 `json:"goal_at_most"`
	Ratio        float64 `json:"ratio"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("retrieval", flag.ContinueOnError)
	o := rig.Flags(fs, 200, 10*time.Second)
	listeners := fs.Int("listeners", 10_000, "how many listeners the process has")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *listeners < 1 {
		return fmt.Errorf("--listeners is %d: at least one is needed", *listeners)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		b, err := newBench(ctx, e, *listeners)
		if err != nil {
			return err
		}
		defer b.publisher.Close()
		ours, bare, after, err := b.measure(ctx, o.Rounds)
		if err != nil {
			return err
		}
		r := result{
			Benchmark: "retrieval", Rounds: o.Rounds, Listeners: *listeners,
			P50: ours.At(50), P99: ours.At(99), FloorP50: bare.At(50), FloorP99: bare.At(99),
			AfterBareP50: after.At(50), AfterBareP99: after.At(99), GoalAtMost: 50,
			Ratio: rig.Ratio(ours.At(50), bare.At(50)),
		}
		return rig.Print(out, r,
			fmt.Sprintf("%d publications to %d listeners %s: the last was told after %.3f ms (half), %.3f ms (99 %%)", r.Rounds, r.Listeners, o.Flavour(), r.P50, r.P99),
			fmt.Sprintf("a bare watch has its event after %.3f and %.3f ms; the last listener comes %.3f and %.3f ms later", r.FloorP50, r.FloorP99, r.AfterBareP50, r.AfterBareP99))
	})
}

// bench is one retriever with its listeners, and a publisher.
type bench struct {
	e         rig.Ensemble
	publisher *rig.Bare
	listeners int
	session   leader.SessionID

	expected atomic.Int64 // the epoch of the round
	told     atomic.Int64 // how many listeners know it
	all      chan time.Time
}

func newBench(ctx context.Context, e rig.Ensemble, listeners int) (*bench, error) {
	publisher, err := e.Open(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{e: e, publisher: publisher, listeners: listeners, session: leader.NewSessionID(), all: make(chan time.Time, 1)}
	for _, name := range []string{component, "bare"} {
		if err := publisher.Ensure(b.node(name)); err != nil {
			publisher.Close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) node(name string) string { return b.e.Root + "/" + name }

// LeaderChanged is what every listener does. A listener may be told twice of one
// epoch only if something else changed, which nothing here does.
func (b *bench) LeaderChanged(s retrieval.State) {
	if s.Status != retrieval.StatusKnown || int64(s.Info.Epoch) != b.expected.Load() {
		return
	}
	if b.told.Add(1) == int64(b.listeners) {
		b.all <- time.Now()
	}
}

// measure starts the retriever and the listeners, and makes rounds of both by turns.
func (b *bench) measure(ctx context.Context, rounds int) (ours, bare, after rig.Times, err error) {
	client, err := b.e.Client()
	if err != nil {
		return nil, nil, nil, err
	}
	driver, err := retrievalzk.New(retrievalzk.Config{Client: client, Leaders: b.e.Root})
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := retrieval.New(retrieval.Config{Driver: driver, Component: component})
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { _ = client.Run(ctx) }) // all of these end with ctx, and its error
	parts.Go(func() { _ = r.Run(ctx) })
	for range b.listeners {
		parts.Go(func() { _ = r.Listen(ctx, b) })
	}
	for i := range rig.Warmup + rounds {
		lead, err := b.listened(ctx, int64(i)+1)
		if err != nil {
			return nil, nil, nil, err
		}
		event, err := b.watched(ctx, int64(i)+1)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("floor: %w", err)
		}
		if i >= rig.Warmup {
			ours, bare, after = append(ours, lead), append(bare, event), append(after, lead-event)
		}
	}
	return ours, bare, after, nil
}

// listened publishes and returns when the last listener was told.
func (b *bench) listened(ctx context.Context, epoch int64) (time.Duration, error) {
	// Here and in the floor, all who were busy with the last round fall asleep.
	if err := rig.Pause(ctx, rig.Settle); err != nil {
		return 0, err
	}
	b.told.Store(0)
	b.expected.Store(epoch)
	start := time.Now()
	if err := b.publish(component, epoch); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	select {
	case at := <-b.all:
		return at.Sub(start), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%d of %d listeners were told of epoch %d: %w", b.told.Load(), b.listeners, epoch, context.Cause(ctx))
	}
}

// watched publishes where nobody listens and returns when a bare watch has it.
func (b *bench) watched(ctx context.Context, epoch int64) (time.Duration, error) {
	event, err := b.publisher.Watch(b.node("bare"))
	if err != nil {
		return 0, err
	}
	if err := rig.Pause(ctx, rig.Settle); err != nil {
		return 0, err
	}
	published := make(chan error, 1)
	start := time.Now()
	go func() { published <- b.publish("bare", epoch) }()
	select {
	case <-event:
		took := time.Since(start)
		return took, <-published
	case <-ctx.Done():
		return 0, errors.Join(context.Cause(ctx), <-published)
	}
}

// publish replaces what is published, as a leader does.
func (b *bench) publish(name string, epoch int64) error {
	info := leader.Info{
		Component: component, ID: "bench", Address: "http://bench/" + strconv.FormatInt(epoch, 10),
		SessionID: b.session, Epoch: leader.Epoch(epoch), Phase: leader.PhaseReady,
	}
	data, err := info.Encode()
	if err != nil {
		return err
	}
	_, err = b.publisher.Conn.Multi(
		&zk.DeleteRequest{Path: b.node(name), Version: -1},
		&zk.CreateRequest{Path: b.node(name), Data: data, Acl: zk.WorldACL(zk.PermAll), Flags: zk.FlagEphemeral})
	if err != nil {
		return fmt.Errorf("publish %s: %w", b.node(name), err)
	}
	return nil
}
