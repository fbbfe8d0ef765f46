package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) //nolint:forbidigo // a command begins here
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// settings are what a run consists of.
type settings struct {
	duration, timeout, tick, gap, pace time.Duration
	clients                            int
	seed                               uint64
	race, lenient                      bool
}

// report is the last line.
type report struct {
	Run        string         `json:"run"`
	Seed       uint64         `json:"seed"`
	Duration   float64        `json:"duration_s"`
	Settled    float64        `json:"settled_s"`
	Faults     map[string]int `json:"faults"`
	Clients    map[string]int `json:"clients"`
	Accepted   int            `json:"jobs_acknowledged"`
	Stored     int            `json:"jobs_stored"`
	Statuses   map[string]int `json:"results"`
	Terms      int            `json:"terms"`
	Guarded    int            `json:"guarded_writes"`
	Starts     int            `json:"starts"`
	AtWorkers  int            `json:"starts_at_workers"`
	Late       int            `json:"late_starts_of_former_terms"`
	Unexcused  int            `json:"late_starts_without_a_pause"`
	Txns       int            `json:"transactions"`
	Violations int            `json:"violations"`
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("torture", flag.ContinueOnError)
	var s settings
	fs.DurationVar(&s.duration, "duration", time.Minute, "how long faults are injected")
	fs.DurationVar(&s.timeout, "session-timeout", 1500*time.Millisecond, "the agents' session time-out")
	fs.DurationVar(&s.tick, "tick", 100*time.Millisecond, "the servers' tickTime")
	fs.DurationVar(&s.gap, "gap", 1500*time.Millisecond, "the mean time from one fault to the next")
	fs.DurationVar(&s.pace, "pace", 150*time.Millisecond, "the mean pause of a client between two requests")
	fs.IntVar(&s.clients, "clients", 6, "clients that submit jobs")
	fs.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "decides the order of faults and requests")
	fs.BoolVar(&s.race, "race", false, "build the agents with the race detector")
	fs.BoolVar(&s.lenient, "any-amount", false, "do not fail when little was injected")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if s.duration <= 0 || s.gap <= 0 || s.pace <= 0 || s.clients < 1 || s.timeout < 2*s.tick {
		return errors.New("--duration, --gap, --pace and --clients must be above zero, and --session-timeout at least two ticks")
	}
	dir, err := os.MkdirTemp("", "torture-")
	if err != nil {
		return fmt.Errorf("make a folder for the run: %w", err)
	}
	fmt.Fprintf(out, "seed %d, %v\n", s.seed, s.duration)
	r, violations, err := torture(ctx, s, dir)
	keep(dir, err != nil || len(violations) > 0)
	if err != nil {
		return err
	}
	for _, v := range violations {
		fmt.Fprintln(out, v)
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return fmt.Errorf("print the figures: %w", err)
	}
	if len(violations) > 0 {
		return fmt.Errorf("%d violations, see above", len(violations))
	}
	return nil
}

// torture is the whole run: it suffers, settles, and is judged.
func torture(ctx context.Context, s settings, dir string) (r report, violations []string, err error) {
	binary, err := build(ctx, s, dir)
	if err != nil {
		return r, nil, err
	}
	failed := zookeepertest.Run(func(tb zookeepertest.TB) {
		var w *world
		if w, err = newWorld(tb, s, dir, binary); err != nil {
			return
		}
		r, violations, err = w.suffer(ctx, s)
	})
	return r, violations, errors.Join(failed, err)
}

func (w *world) suffer(ctx context.Context, s settings) (r report, violations []string, err error) {
	l, i := newLedger(), newInjector(w, s)
	if err := w.under(ctx, s, l, func() error { return i.run(ctx) }); err != nil {
		return r, nil, err
	}
	calm := time.Now()
	if err := w.settle(ctx, l); err != nil {
		return r, nil, err
	}
	settled := time.Since(calm)
	history, err := w.history(ctx)
	if err != nil {
		return r, nil, err
	}
	runs, err := readRuns(w.runs())
	if err != nil {
		return r, nil, err
	}
	o := newOracle()
	o.follow(history)
	o.settled()
	entries := l.all()
	o.told(entries)
	o.ran(runs, i.pauses)
	r = report{
		Run: "torture", Seed: s.seed, Duration: s.duration.Seconds(), Settled: settled.Seconds(), Faults: i.counts, Clients: l.counts,
		Stored: len(o.jobs), Statuses: o.results(), Terms: o.terms, Guarded: o.guarded, Starts: len(runs), Late: len(o.late), Unexcused: len(o.unexplained(i.pauses)), Txns: len(history),
	}
	for _, e := range entries {
		if e.acked {
			r.Accepted++
		}
	}
	for _, start := range runs {
		if slices.ContainsFunc(w.workers, func(a *agent) bool { return slices.Contains(a.pids, start.worker) }) {
			r.AtWorkers++
		}
	}
	violations = append(o.violations, l.violations...)
	for _, a := range w.members() {
		violations = append(violations, a.crashes()...)
	}
	r.Violations = len(violations)
	if !s.lenient {
		violations = append(violations, i.tooFew()...)
		violations = append(violations, tooIdle(s, r)...)
	}
	return r, violations, nil
}

// tooIdle says of what a run of this length should have seen more.
func tooIdle(s settings, r report) []string {
	var missing []string
	for _, m := range []struct {
		what             string
		count, perMinute int
	}{
		{"jobs acknowledged", r.Accepted, 100}, {"terms", r.Terms, 4}, {"answers lost", r.Clients["answers_lost"], 5},
		{"conflicts", r.Clients["conflicts"], 5}, {"cancels", r.Clients["cancels"], 5}, {"repeated", r.Clients["repeated"], 5},
		{"starts at workers", r.AtWorkers, 100},
	} {
		if want := max(1, int(float64(m.perMinute)*s.duration.Minutes())); m.count < want {
			missing = append(missing, fmt.Sprintf("too little happened: %d %s, want %d", m.count, m.what, want))
		}
	}
	return missing
}
