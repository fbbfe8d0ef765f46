package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/coordd/coordd/bench/internal/fleet"
	"github.com/coordd/coordd/client"
)

// child is the leader that is to be killed, this program in another process.
type child struct {
	cmd   *exec.Cmd
	in    io.Closer // at its end the child exits by itself
	said  io.Reader
	ended bool
}

func start(ctx context.Context, cfg fleet.Config) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, //nolint:gosec // it is this program
		"--victim", cfg.Ensemble.Root, "--cluster", cfg.Cluster,
		"--zookeeper", strings.Join(cfg.Ensemble.Servers, ","), "--session-timeout", cfg.Ensemble.SessionTimeout.String())
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

// client returns one of the child, which leads.
func (c *child) client(ctx context.Context) (*client.Client, error) {
	var address string
	if _, err := fmt.Fscanf(c.said, "listening %s\n", &address); err != nil {
		return nil, fmt.Errorf("the child did not listen: %w", err)
	}
	to, err := client.New(client.Config{Addresses: []string{address}, Timeout: time.Minute, Patience: patience})
	if err != nil {
		return nil, err
	}
	if err := leads(ctx, to); err != nil {
		to.Close()
		return nil, err
	}
	return to, nil
}

// kill ends the child at once and waits until it is gone. It may be called again.
func (c *child) kill() error {
	if c.ended {
		return nil
	}
	c.ended = true
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the leader: %w", err)
	}
	_ = c.cmd.Wait() // it says that the child was killed
	_ = c.in.Close()
	return nil
}

// lead is what the child does: it says where it listens, leads, and waits to be killed.
func lead(ctx context.Context, cfg fleet.Config, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listener, err := fleet.Listen(ctx)
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, in); cancel() }()
	if _, err := fmt.Fprintf(out, "listening %s\n", listener.Addr()); err != nil {
		return err
	}
	return fleet.RunAgent(ctx, cfg, "victim", listener)
}
