// Command faults measures what each fault of a leader or its ensemble costs: it has
// a process lead on an ensemble of three servers, strikes, and measures how long it
// takes until that process knows that its term is over, until another one leads, or,
// where leadership survives, until the leader is connected again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line.
type result struct {
	Benchmark string  `json:"benchmark"`
	T         float64 `json:"session_timeout_ms"`
	Tick      float64 `json:"tick_ms"`
	Grace     float64 `json:"stop_grace_ms"`
	Faults    []cost  `json:"faults"`
}

// cost is what one fault does, in milliseconds from its beginning, the slowest of
// the rounds; zero for what did not happen.
type cost struct {
	Fault string `json:"fault"`
	// Kept says in how many rounds the leader went on leading.
	Kept   int `json:"kept"`
	Rounds int `json:"rounds"`
	// Ended is until the leader's context ended, Led until the next Lead, and Back
	// until a leader that went on was connected again.
	Ended float64 `json:"ended_ms,omitempty"`
	Led   float64 `json:"led_ms,omitempty"`
	Back  float64 `json:"back_ms,omitempty"`
}

// settings are what a run consists of.
type settings struct {
	timeout, tick, grace time.Duration
	syncLimit, rounds    int
	only                 string
	tell                 bool
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("faults", flag.ContinueOnError)
	var s settings
	fs.DurationVar(&s.timeout, "session-timeout", 4*time.Second, "session time-out to ask for")
	fs.DurationVar(&s.tick, "tick", 500*time.Millisecond, "the servers' tickTime")
	fs.IntVar(&s.syncLimit, "sync-limit", 2, "the servers' syncLimit, in ticks")
	fs.DurationVar(&s.grace, "stop-grace", 200*time.Millisecond, "the contenders' stop grace")
	fs.IntVar(&s.rounds, "rounds", 3, "how often each fault strikes")
	fs.BoolVar(&s.tell, "tell-tick", false, "tell the contenders the tick, which makes the lease longer")
	fs.StringVar(&s.only, "fault", "", "the one fault that strikes; none for all")
	leads := fs.String("victim", "", "be the leader, on these servers; for the benchmark's own use")
	root := fs.String("root", "", "where the victim contends")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *leads != "" {
		return lead(ctx, s, strings.Split(*leads, ","), *root, in, out)
	}
	if s.rounds < 1 {
		return fmt.Errorf("--rounds is %d: at least one round is needed", s.rounds)
	}
	if s.only != "" && !slices.Contains(names(), s.only) {
		return fmt.Errorf("--fault %q is none of %s", s.only, strings.Join(names(), ", "))
	}
	return report(ctx, s, out)
}

// report lets the faults strike and prints what they cost.
func report(ctx context.Context, s settings, out io.Writer) error {
	r := result{Benchmark: "faults", T: ms(s.timeout), Tick: ms(s.tick), Grace: ms(s.grace)}
	lines := []string{fmt.Sprintf("three servers, T %v, tick %v, syncLimit %d, stop grace %v; the slowest of %d rounds, in ms:",
		s.timeout, s.tick, s.syncLimit, s.grace, s.rounds)}
	var err error
	failed := zookeepertest.Run(func(tb zookeepertest.TB) {
		w := newWorld(tb, s)
		for _, f := range faults() {
			if s.only != "" && s.only != f.name {
				continue
			}
			var c cost
			if c, err = w.measure(ctx, f); err != nil {
				err = fmt.Errorf("%s: %w", f.name, err)
				return
			}
			r.Faults = append(r.Faults, c)
			lines = append(lines, c.String())
		}
	})
	if failed = errors.Join(failed, err); failed != nil {
		return failed
	}
	return rig.Print(out, r, lines...)
}

func (c cost) String() string {
	if c.Kept == c.Rounds {
		return fmt.Sprintf("%-22s leadership stays; connected again after %.0f", c.Fault, c.Back)
	}
	line := fmt.Sprintf("%-22s the term ends after %.0f, the next begins after %.0f", c.Fault, c.Ended, c.Led)
	if c.Kept > 0 {
		line += fmt.Sprintf("; leadership stayed in %d of %d rounds", c.Kept, c.Rounds)
	}
	return line
}

func ms(d time.Duration) float64 { return rig.Round(float64(d) / float64(time.Millisecond)) }
