package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/zookeeper"
)

const (
	// readWithin bounds how long ZooKeeper may take to say who leads.
	readWithin = 5 * time.Second
	// emptyLook is how often a watched latch is read while nobody contends.
	emptyLook = 500 * time.Millisecond
)

// latchFlags say which latch of which ensemble.
type latchFlags struct {
	zookeeper []string
	path      string
}

func (l *latchFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&l.zookeeper, "zookeeper", nil, "members of the ensemble, `HOST:PORT,...`")
	f.StringVar(&l.path, "latch", "", "`path` in ZooKeeper whose children are the contenders")
}

// parse returns the ensemble and its chroot.
func (l *latchFlags) parse() (servers []string, chroot string, err error) {
	given := strings.Join(l.zookeeper, ",")
	if given == "" {
		return nil, "", &agent.InvalidError{Flag: "zookeeper", Problem: "is missing; give HOST:PORT,... of an ensemble"}
	}
	servers, chroot, err = zookeeper.ParseConnect(given)
	if err != nil {
		return nil, "", &agent.InvalidError{Flag: "zookeeper", Value: given, Problem: "is not HOST:PORT,..."}
	}
	switch {
	case l.path == "":
		err = &agent.InvalidError{Flag: "latch", Problem: "is missing; give a path such as /billing/latch"}
	case !strings.HasPrefix(l.path, "/") || l.path == "/" || path.Clean(l.path) != l.path:
		err = &agent.InvalidError{Flag: "latch", Value: l.path, Problem: "is not a path such as /billing/latch"}
	}
	return servers, chroot, err
}

// latchAnswer is what is said of a latch in JSON, a part of the API's answer.
type latchAnswer struct {
	Known  bool         `json:"known"`
	Leader *latchLeader `json:"leader,omitempty"`
}

type latchLeader struct {
	ID    string       `json:"id"`
	Epoch leader.Epoch `json:"epoch"`
	Since time.Time    `json:"since"`
}

func answerFor(c zk.Contender, known bool) latchAnswer {
	if !known {
		return latchAnswer{}
	}
	return latchAnswer{Known: true, Leader: &latchLeader{ID: c.ID, Epoch: c.Epoch, Since: c.Since}}
}

// latchLeader says who leads at a latch, once or until interrupted.
func (a *app) latchLeader(ctx context.Context, l latchFlags, r remote, watch bool) error {
	servers, chroot, err := l.parse()
	if err == nil {
		err = r.checkOutput()
	}
	if err != nil {
		return err
	}
	cfg := zookeeper.Config{Servers: servers, Chroot: chroot}
	if watch {
		return a.watchLatch(ctx, cfg, l, r.output)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	s, err := zookeeper.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("ZooKeeper at %s does not answer: %w", strings.Join(servers, ","), err)
	}
	defer s.Close()
	first, known, err := zk.First(ctx, s, l.path)
	if err != nil {
		return err
	}
	switch {
	case r.output == "json" && known:
		return writeJSON(a.out, answerFor(first, known))
	case r.output == "json":
		return errors.Join(writeJSON(a.out, latchAnswer{}), &exitError{code: codeNoLeader})
	case !known:
		return &exitError{code: codeNoLeader, cause: fmt.Errorf("nobody contends at %s", l.path)}
	}
	return writeTable(a.out, [][]string{
		{"LATCH", "ID", "EPOCH", "SINCE"},
		{l.path, first.ID, first.Epoch.String(), age(time.Since(first.Since)) + " ago"},
	})
}

// watchLatch prints a line for the leader, and one for each change, until ctx ends.
func (a *app) watchLatch(ctx context.Context, cfg zookeeper.Config, l latchFlags, output string) error {
	client, err := zookeeper.New(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = client.Run(ctx) // it only ends with ctx
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := reach(ctx, client, cfg.Servers); err != nil {
		return err
	}
	printed := ""
	for {
		s, err := client.Session(ctx)
		if err == nil {
			err = follow(ctx, s, l.path, func(c zk.Contender, known bool) error {
				if known && c.Node == printed || !known && printed == nobody {
					return nil // the same, seen in another session
				}
				printed = nobody
				if known {
					printed = c.Node
				}
				return writeChange(a.out, output, c, known)
			})
		}
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, which is how it ends
		case s == nil || s.Err() == nil:
			return err
		}
	}
}

// reach fails unless ZooKeeper can be reached now; once it was, waiting is right.
func reach(ctx context.Context, client *zookeeper.Client, servers []string) error {
	try, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if _, err := client.Session(try); err != nil && ctx.Err() == nil {
		return fmt.Errorf("ZooKeeper at %s does not answer: %w", strings.Join(servers, ","), err)
	}
	return nil
}

// nobody stands in for a node's path.
const nobody = "-"

// follow tells who is first at a latch, and again whenever that changes, until the
// session or ctx ends, or telling fails.
func follow(ctx context.Context, s *zookeeper.Session, latch string, tell func(zk.Contender, bool) error) error {
	for {
		c, known, err := zk.First(ctx, s, latch)
		if err != nil {
			return err
		}
		var fired <-chan struct{}
		var look <-chan time.Time
		if known {
			var there bool
			if _, there, fired, err = s.Watch(ctx, c.Node); err != nil {
				return err
			}
			if !there {
				continue
			}
		} else {
			look = time.After(emptyLook)
		}
		if err := tell(c, known); err != nil {
			return err
		}
		select {
		case <-fired:
		case <-look:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// writeChange prints one line.
func writeChange(out io.Writer, output string, c zk.Contender, known bool) error {
	if output == "json" {
		return writeJSON(out, answerFor(c, known))
	}
	text := "nobody"
	if known {
		text = fmt.Sprintf("%s\tepoch %d\tsince %s", c.ID, c.Epoch, c.Since.Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
