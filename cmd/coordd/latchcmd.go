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
	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/agent"
	"github.com/coordd/coordd/election/zk"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	retrievalzk "github.com/coordd/coordd/retrieval/zk"
	"github.com/coordd/coordd/zookeeper"
)

// readWithin bounds how long ZooKeeper may take to say who leads.
const readWithin = 5 * time.Second

// latchFlags say which latch of which ensemble.
type latchFlags struct {
	ensemble ensembleFlags
	path     string
}

func (l *latchFlags) add(f *pflag.FlagSet) {
	l.ensemble.add(f)
	f.StringVar(&l.path, "latch", "", "`path` in ZooKeeper whose children are the contenders")
}

// config checks the path and returns what a client of the ensemble needs, as
// ensembleFlags.config does.
func (l *latchFlags) config(notice io.Writer) (zookeeper.Config, error) {
	cfg, err := l.ensemble.config(notice)
	switch {
	case err != nil:
	case l.path == "":
		err = &agent.InvalidError{Flag: "latch", Problem: "is missing; give a path such as /billing/latch"}
	case !strings.HasPrefix(l.path, "/") || l.path == "/" || path.Clean(l.path) != l.path:
		err = &agent.InvalidError{Flag: "latch", Value: l.path, Problem: "is not a path such as /billing/latch"}
	}
	return cfg, err
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

func answerFor(info leader.Info, known bool) latchAnswer {
	if !known {
		return latchAnswer{}
	}
	return latchAnswer{Known: true, Leader: &latchLeader{ID: info.ID, Epoch: info.Epoch, Since: info.Since}}
}

// latchLeader says who leads at a latch, once or until interrupted.
func (a *app) latchLeader(ctx context.Context, l latchFlags, r remote, watch bool) error {
	cfg, err := l.config(a.err)
	if err == nil {
		err = r.checkOutput()
	}
	if err != nil {
		return err
	}
	if watch {
		return a.watchLatch(ctx, cfg, l, r.output)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	s, err := zookeeper.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("ZooKeeper at %s does not answer: %w", strings.Join(cfg.Servers, ","), err)
	}
	defer func() { _ = s.Close() }() // nothing of it stays but the session
	first, known, err := zk.First(ctx, s, l.path)
	if err != nil {
		return err
	}
	switch {
	case r.output == "json" && known:
		return writeJSON(a.out, answerFor(leader.Info{ID: first.ID, Epoch: first.Epoch, Since: first.Since}, known))
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
	driver, err := retrievalzk.NewLatch(retrievalzk.LatchConfig{Client: client, Latch: l.path})
	if err != nil {
		return err
	}
	retriever, err := retrieval.New(retrieval.Config{Driver: driver, Component: l.path})
	if err != nil {
		return err
	}
	group, inside := errgroup.WithContext(ctx)
	group.Go(func() error { return client.Run(inside) })
	group.Go(func() error {
		if err := reach(inside, client, cfg.Servers); err != nil {
			return err
		}
		return retriever.Run(inside)
	})
	group.Go(func() error { return announce(inside, retriever, a.out, output) })
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // interrupted, which is how it ends
}

// announce prints a line for the leader that is known first, and one for each
// change, until ctx ends or printing fails.
func announce(ctx context.Context, r *retrieval.Retriever, out io.Writer, output string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	_ = r.ListenLeader(ctx, func(info leader.Info, leads bool) {
		if err := writeChange(out, output, info, leads); err != nil {
			cancel(err)
		}
	}) // it ends with ctx
	return context.Cause(ctx)
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

// writeChange prints one line.
func writeChange(out io.Writer, output string, info leader.Info, known bool) error {
	if output == "json" {
		return writeJSON(out, answerFor(info, known))
	}
	text := "nobody"
	if known {
		text = fmt.Sprintf("%s\tepoch %d\tsince %s", info.ID, info.Epoch, info.Since.Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(out, text)
	return err
}
