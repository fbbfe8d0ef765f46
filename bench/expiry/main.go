// Command expiry measures how soon a crashed leader is replaced: a process that
// leads is killed with SIGKILL, and the time until the successor's Lead is called
// is compared with the time until a bare watcher of the same node has its event.
// Nearly all of it is the session time-out, which only the servers can shorten.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil { //nolint:forbidigo // a command begins here
		fmt.Fprintln(os.Stderr, "expiry:", err)
		os.Exit(1) //nolint:forbidigo // and ends here
	}
}

// result is the last line. What comes after the bare watcher's event is the
// difference of the same round; it is below zero when Lead was called earlier.
type result struct {
	Benchmark    string  `json:"benchmark"`
	Rounds       int     `json:"rounds"`
	AfterBareP50 float64 `json:"after_bare_ms_p50"`
	AfterBareP99 float64 `json:"after_bare_ms_p99"`
	GoalAtMost   float64 `json:"goal_at_most"`
	P50          float64 `json:"p50_ms"`
	FloorP50     float64 `json:"floor_p50_ms"`
	Ratio        float64 `json:"ratio"`
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet("expiry", flag.ContinueOnError)
	o := rig.Flags(fs, 20, time.Second)
	victim := fs.String("victim", "", "be the leader that is killed, below this path; for the benchmark's own use")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *victim != "" {
		e := rig.Ensemble{Servers: strings.Split(o.ZooKeeper, ","), Root: *victim, SessionTimeout: o.SessionTimeout}
		return lead(ctx, e, in, out)
	}
	return o.Run(ctx, func(ctx context.Context, e rig.Ensemble) error {
		var ours, bare, after rig.Times
		err := rig.WithCrew(ctx, e, 1, func(ctx context.Context, c *rig.Crew) error {
			for range o.Rounds {
				lead, event, err := round(ctx, e, c)
				if err != nil {
					return err
				}
				ours, bare, after = append(ours, lead), append(bare, event), append(after, lead-event)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r := result{
			Benchmark: "expiry", Rounds: o.Rounds,
			AfterBareP50: after.At(50), AfterBareP99: after.At(99), GoalAtMost: 10,
			P50: ours.At(50), FloorP50: bare.At(50), Ratio: rig.Ratio(ours.At(50), bare.At(50)),
		}
		return rig.Print(out, r,
			fmt.Sprintf("%d leaders killed %s, sessions of %v: Lead is called %.0f ms after the kill (half of them)", r.Rounds, o.Flavour(), e.SessionTimeout, r.P50),
			fmt.Sprintf("a bare watcher has its event after %.0f ms; Lead comes %.3f ms after it (half), %.3f ms (99 %%)", r.FloorP50, r.AfterBareP50, r.AfterBareP99))
	})
}

// round has a child lead, kills it, and returns the times from the kill until Lead
// and until the bare event.
func round(ctx context.Context, e rig.Ensemble, c *rig.Crew) (lead, event time.Duration, err error) {
	// The child queues behind the leader in this process, which then makes room.
	child, err := start(ctx, e)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, child.kill()) }()
	if err := c.Join(ctx, 1); err != nil {
		return 0, 0, err
	}
	c.Resign()
	if err := child.leads(); err != nil {
		return 0, 0, err
	}
	if err := c.Join(ctx, 1); err != nil {
		return 0, 0, err
	}
	watcher, err := e.Open(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer watcher.Close()
	node, err := c.Lowest()
	if err != nil {
		return 0, 0, err
	}
	fired, err := watcher.Watch(node)
	if err != nil {
		return 0, 0, err
	}
	at := make(chan time.Time, 1)
	go func() { <-fired; at <- time.Now() }() // ends with the watcher's session at the latest

	killed := time.Now()
	if err := child.kill(); err != nil {
		return 0, 0, err
	}
	g, err := c.Granted(ctx)
	if err != nil {
		return 0, 0, err
	}
	return g.At.Sub(killed), (<-at).Sub(killed), nil
}

// child is the leader that is to be killed, this program in another process.
type child struct {
	cmd   *exec.Cmd
	in    io.Closer // at its end the child exits by itself
	said  io.Reader
	ended bool
}

func start(ctx context.Context, e rig.Ensemble) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, //nolint:gosec // it is this program
		"--victim", e.Root, "--zookeeper", strings.Join(e.Servers, ","), "--session-timeout", e.SessionTimeout.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the leader to be killed: %w", err)
	}
	return &child{cmd: cmd, in: in, said: said}, nil
}

// leads blocks until the child has said that it leads.
func (c *child) leads() error {
	var pid int
	if _, err := fmt.Fscanf(c.said, "leading %d\n", &pid); err != nil {
		return fmt.Errorf("the child did not lead: %w", err)
	}
	return nil
}

// kill ends the child at once and waits until it is gone. It may be called again.
func (c *child) kill() error {
	if c.ended {
		return nil
	}
	c.ended = true
	_ = c.in.Close() // it would only end the child sooner
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the leader: %w", err)
	}
	_ = c.cmd.Wait() // it says that the child was killed
	return nil
}

// lead is what the child does: it leads, says so, and waits to be killed.
func lead(ctx context.Context, e rig.Ensemble, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	grants := make(chan rig.Grant, 1)
	m, err := e.NewMember("victim", grants)
	if err != nil {
		cancel()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	go func() { _, _ = io.Copy(io.Discard, in); cancel() }()
	select {
	case <-grants:
		_, _ = io.WriteString(out, "leading "+strconv.Itoa(os.Getpid())+"\n")
	case <-ctx.Done():
	}
	return <-ended
}
