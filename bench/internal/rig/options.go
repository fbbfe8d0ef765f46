package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// Options are the flags that all benchmarks have.
type Options struct {
	// ZooKeeper is a connection string; empty to start servers for this run.
	ZooKeeper string
	// Servers is how many servers are started, 1 or 3.
	Servers int
	// Fsync has the started servers wait for the disk at every write.
	Fsync bool
	// Heap is the heap of each started server, as in Java's -Xmx; empty for 64m, which
	// is enough for elections and not for tens of thousands of nodes.
	Heap string
	// Rounds is how often is measured.
	Rounds int
	// SessionTimeout is what the sessions ask for.
	SessionTimeout time.Duration
}

// Flags defines the flags in fs and returns where their values will be.
func Flags(fs *flag.FlagSet, rounds int, sessionTimeout time.Duration) *Options {
	o := &Options{}
	fs.StringVar(&o.ZooKeeper, "zookeeper", "", "servers to use, as HOST:PORT,HOST:PORT; none to start some for this run")
	fs.IntVar(&o.Servers, "servers", 1, "how many servers to start, 1 or 3")
	fs.BoolVar(&o.Fsync, "fsync", false, "have the started servers wait for the disk at every write")
	fs.IntVar(&o.Rounds, "rounds", rounds, "how often to measure")
	fs.DurationVar(&o.SessionTimeout, "session-timeout", sessionTimeout, "session time-out to ask for")
	return o
}

// Ensemble is where a benchmark runs.
type Ensemble struct {
	// Servers are its members, as host:port.
	Servers []string
	// Root is a path that only this run uses. It exists, and is removed at the end.
	Root string
	// SessionTimeout is what sessions ask for.
	SessionTimeout time.Duration
}

// Latch returns the path of the contenders.
func (e Ensemble) Latch() string { return e.Root + "/latch" }

// Client returns a client for one participant; its Run is the caller's.
func (e Ensemble) Client() (*zookeeper.Client, error) {
	return zookeeper.New(zookeeper.Config{Servers: e.Servers, SessionTimeout: e.SessionTimeout})
}

// Run calls f with the ensemble that the options name, started for this call if
// they name none. It blocks until f has returned and everything it started is gone.
func (o *Options) Run(ctx context.Context, f func(context.Context, Ensemble) error) error {
	if o.Rounds < 1 {
		return fmt.Errorf("--rounds is %d: at least one round is needed", o.Rounds)
	}
	if o.ZooKeeper != "" {
		return o.within(ctx, o.ZooKeeper, f)
	}
	var opts []zookeepertest.Option
	if o.Fsync {
		opts = append(opts, zookeepertest.Fsync())
	}
	if o.Heap != "" {
		opts = append(opts, zookeepertest.JavaFlags("-Xmx"+o.Heap))
	}
	var err error
	failed := zookeepertest.Run(func(tb zookeepertest.TB) {
		var connect string
		switch o.Servers {
		case 1:
			connect = zookeepertest.StartServer(tb, opts...).Addr()
		case 3:
			connect = zookeepertest.StartEnsemble(tb, o.Servers, opts...).Connect()
		default:
			tb.Fatalf("--servers is %d: start 1 or 3", o.Servers)
		}
		err = o.within(ctx, connect, f)
	})
	return errors.Join(failed, err)
}

// within calls f with a root of its own, and removes that afterwards.
func (o *Options) within(ctx context.Context, connect string, f func(context.Context, Ensemble) error) (err error) {
	servers, chroot, err := zookeeper.ParseConnect(connect)
	if err != nil {
		return err
	}
	e := Ensemble{Servers: servers, Root: chroot + "/bench-" + uuid.NewString(), SessionTimeout: o.SessionTimeout}
	b, err := e.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	for i := range len(e.Root) + 1 {
		if i == len(e.Root) || i > 0 && e.Root[i] == '/' {
			if err := b.Ensure(e.Root[:i]); err != nil {
				return err
			}
		}
	}
	defer func() { err = errors.Join(err, b.Remove(e.Root)) }()
	return f(ctx, e)
}

// Flavour says in a few words what was measured on.
func (o *Options) Flavour() string {
	switch {
	case o.ZooKeeper != "":
		return "at " + strings.ReplaceAll(o.ZooKeeper, ",", ", ")
	case o.Fsync:
		return fmt.Sprintf("on %d started server(s) with fsync", o.Servers)
	default:
		return fmt.Sprintf("on %d started server(s) without fsync", o.Servers)
	}
}
