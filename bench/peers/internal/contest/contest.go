package contest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Peer is one product's election.
type Peer struct {
	// Name is the product's, for the result.
	Name string
	// Version is what of it was measured.
	Version string
	// TTL is how long the product lets a silent leader lead, by its own word for it:
	// session time-out, lease duration, time to live.
	TTL time.Duration
	// Phase is the range of the random pause before each measurement: the period of
	// those that ask at intervals, zero for those that are told.
	Phase time.Duration
	// Serve starts the servers for this run and returns where they answer. They end
	// with tb, and wait for the disk at each write or not.
	Serve func(tb zookeepertest.TB, fsync bool) string
	// New returns a contender.
	New func(ctx context.Context, endpoint, id string, ttl time.Duration) (Contender, error)
	// Delete removes what stands for the leader's leadership, as an operator might.
	Delete func(ctx context.Context, endpoint string) error
	// Requests returns how many requests contenders have made of the servers so far.
	Requests func(ctx context.Context, endpoint string) (float64, error)
}

// Contender is one participant. Its methods are not called at the same time, but
// Close may be called during Campaign.
type Contender interface {
	// Campaign blocks until the contender leads, or ctx ends.
	Campaign(ctx context.Context) error
	// Lost is closed when the product has told the contender that it leads no more.
	// It is called after Campaign; nil when the product tells nothing.
	Lost() <-chan struct{}
	// Resign gives leadership up.
	Resign(ctx context.Context) error
	// Close ends the contender and returns when nothing of it runs any more.
	Close()
}

// result is the last line.
type result struct {
	Benchmark string  `json:"benchmark"`
	Version   string  `json:"version"`
	TTL       float64 `json:"ttl_ms"`
	Fsync     bool    `json:"fsync"`
	Rounds    int     `json:"rounds"`
	P50       float64 `json:"handover_p50_ms"`
	P99       float64 `json:"handover_p99_ms"`
	Crashes   int     `json:"crashes"`
	CrashP50  float64 `json:"crash_p50_ms"`
	CrashMax  float64 `json:"crash_max_ms"`
	// Ratio is CrashP50 in terms of TTL.
	Ratio float64 `json:"crash_ratio"`
	// Paused and Deleted are what came of a pause of the leader and of the deletion
	// of what stands for its leadership.
	Paused  fate `json:"paused"`
	Deleted fate `json:"deleted"`
	// Idle is the requests a second of three contenders of which one leads.
	Idle float64 `json:"idle_requests_per_second"`
}

const (
	// settle is how long a contender gets to stand in line.
	settle = 200 * time.Millisecond
	// warmup is how many hand-overs are not counted.
	warmup = 3
	// patience bounds each wait.
	patience = 3 * time.Minute
)

// Main is the body of a program's main.
func Main(p Peer) {
	if err := p.run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

func (p Peer) run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	rounds := fs.Int("rounds", 30, "how often leadership is handed over")
	crashes := fs.Int("crashes", 5, "how often the leader is killed")
	fsync := fs.Bool("fsync", false, "have the servers wait for the disk at every write")
	idle := fs.Duration("idle", 30*time.Second, "how long idle contenders are watched")
	fs.DurationVar(&p.TTL, "ttl", p.TTL, "how long a silent leader leads")
	victim := fs.String("victim", "", "be the leader that is killed, at these servers; for the benchmark's own use")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *victim != "" {
		return p.lead(ctx, *victim, in, out)
	}
	r := result{Benchmark: "peers/" + p.Name, Version: p.Version, TTL: float64(p.TTL.Milliseconds()), Fsync: *fsync, Rounds: *rounds, Crashes: *crashes}
	if *rounds < 1 || *crashes < 1 {
		return fmt.Errorf("--rounds %d, --crashes %d: at least one of each is needed", *rounds, *crashes)
	}
	var err error
	failed := zookeepertest.Run(func(tb zookeepertest.TB) {
		endpoint := p.Serve(tb, *fsync)
		if err = p.handOvers(ctx, endpoint, *rounds, &r); err != nil {
			return
		}
		if err = p.crashes(ctx, endpoint, *crashes, &r); err != nil {
			return
		}
		if err = p.faults(ctx, endpoint, &r); err != nil {
			return
		}
		err = p.idle(ctx, endpoint, *idle, &r)
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	return rig.Print(out, r,
		fmt.Sprintf("%s %s, TTL %v: hand-over half within %.1f ms, 99 %% within %.1f ms", p.Name, p.Version, p.TTL, r.P50, r.P99),
		fmt.Sprintf("a killed leader is replaced after %.0f ms (half), %.0f ms at most, %.2f of the TTL; three idle contenders make %.2f requests a second",
			r.CrashP50, r.CrashMax, r.Ratio, r.Idle),
		fmt.Sprintf("leader paused: the next one leads after %s, the paused one is told %s after it woke up", r.Paused.Led, r.Paused.Told),
		fmt.Sprintf("leader's entry deleted: the next one leads after %s, the former is told after %s", r.Deleted.Led, r.Deleted.Told))
}

// campaign has c contend and returns a channel with the time from which it leads.
func campaign(ctx context.Context, c Contender) <-chan led {
	done := make(chan led, 1)
	go func() {
		err := c.Campaign(ctx)
		done <- led{time.Now(), err}
	}()
	return done
}

// led is the end of a campaign.
type led struct {
	at  time.Time
	err error
}

// rest waits until contenders stand in line and, for those that ask at intervals,
// until some instant between two questions.
func (p Peer) rest(ctx context.Context) error {
	pause := settle
	if p.Phase > 0 {
		pause += rand.N(p.Phase)
	}
	return rig.Pause(ctx, pause)
}

// handOvers has two contenders take turns.
func (p Peer) handOvers(ctx context.Context, endpoint string, rounds int, r *result) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := p.New(ctx, endpoint, "a", p.TTL)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := p.New(ctx, endpoint, "b", p.TTL)
	if err != nil {
		return err
	}
	defer second.Close()
	if err := first.Campaign(ctx); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	var times rig.Times
	for i := range rounds + warmup {
		next := campaign(ctx, second)
		if err := p.rest(ctx); err != nil {
			return err
		}
		resigned := make(chan error, 1)
		start := time.Now()
		go func() { resigned <- first.Resign(ctx) }()
		l, err := await(next)
		if err = errors.Join(err, <-resigned); err != nil {
			return fmt.Errorf("hand-over %d: %w", i, err)
		}
		if i >= warmup {
			times = append(times, l.at.Sub(start))
		}
		first, second = second, first
	}
	r.P50, r.P99 = times.At(50), times.At(99)
	return first.Resign(ctx)
}

func await(next <-chan led) (led, error) {
	select {
	case l := <-next:
		return l, l.err
	case <-time.After(patience):
		return led{}, fmt.Errorf("nobody leads within %v", patience)
	}
}

// idle counts the requests of three contenders of which one leads. What comes without
// them is taken off.
func (p Peer) idle(ctx context.Context, endpoint string, window time.Duration, r *result) error {
	const calm = 2 * time.Second // what former contenders still had to say
	if err := rig.Pause(ctx, calm); err != nil {
		return err
	}
	alone, err := p.rate(ctx, endpoint, window/3)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const contenders = 3
	for i := range contenders {
		c, err := p.New(ctx, endpoint, fmt.Sprintf("idle-%d", i), p.TTL)
		if err != nil {
			return err
		}
		defer c.Close()
		if i == 0 {
			if err := c.Campaign(ctx); err != nil {
				return fmt.Errorf("campaign: %w", err)
			}
			continue
		}
		waits := campaign(ctx, c)
		defer func() { cancel(); <-waits }()
	}
	if err := rig.Pause(ctx, calm); err != nil {
		return err
	}
	all, err := p.rate(ctx, endpoint, window)
	r.Idle = rig.Round(all - alone)
	return err
}

// rate returns the requests a second in a while.
func (p Peer) rate(ctx context.Context, endpoint string, window time.Duration) (float64, error) {
	before, err := p.Requests(ctx, endpoint)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := rig.Pause(ctx, window); err != nil {
		return 0, err
	}
	after, err := p.Requests(ctx, endpoint)
	return (after - before) / time.Since(start).Seconds(), err
}
