package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

// Bare is a session of go-zookeeper as it comes: the floor, and the observer that
// adds nothing of ours.
type Bare struct {
	// Conn is for requests.
	Conn *zk.Conn

	events <-chan zk.Event
	mu     sync.Mutex
	socket net.Conn
}

// quiet keeps go-zookeeper from writing to standard error.
type quiet struct{}

// Printf drops the line.
func (quiet) Printf(string, ...any) {}

// Open returns a bare session that a server has confirmed.
func (e Ensemble) Open(ctx context.Context) (*Bare, error) {
	b := &Bare{}
	conn, events, err := zk.Connect(e.Servers, e.SessionTimeout, zk.WithLogger(quiet{}), zk.WithLogInfo(false), zk.WithDialer(b.dial))
	if err != nil {
		return nil, fmt.Errorf("open a bare session: %w", err)
	}
	b.Conn, b.events = conn, events
	for {
		select {
		case ev := <-events:
			if ev.State == zk.StateHasSession {
				return b, nil
			}
		case <-ctx.Done():
			b.Close()
			return nil, fmt.Errorf("no ZooKeeper server answers at %v: %w", e.Servers, ctx.Err())
		}
	}
}

func (b *Bare) dial(network, addr string, within time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, addr, within) //nolint:noctx // go-zookeeper's dialer has no context
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket = conn
	return conn, err
}

// Close ends the session and blocks until nothing of it runs any more.
func (b *Bare) Close() {
	b.Conn.Close()
	b.mu.Lock()
	socket := b.socket
	b.mu.Unlock()
	if socket != nil {
		socket.Close()
	}
	for range b.events { // closed when go-zookeeper's goroutines have ended
	}
}

// WithBare calls f while n bare sessions have a watch each, and closes them.
func WithBare(ctx context.Context, e Ensemble, n int, f func() error) error {
	var sessions []*Bare
	defer func() {
		var closing sync.WaitGroup
		for _, b := range sessions {
			closing.Go(b.Close)
		}
		closing.Wait()
	}()
	for range n {
		b, err := e.Open(ctx)
		if err != nil {
			return err
		}
		sessions = append(sessions, b)
		if _, err := b.Watch(e.Root); err != nil {
			return err
		}
	}
	return f()
}

// Create creates a node; flags are go-zookeeper's.
func (b *Bare) Create(path string, flags int32) (string, error) {
	return b.Conn.Create(path, []byte("bench"), flags, zk.WorldACL(zk.PermAll))
}

// Ensure creates a persistent node if it is missing.
func (b *Bare) Ensure(path string) error {
	_, err := b.Create(path, zk.FlagPersistent)
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// Check makes a multi that only checks that the node exists, the cheapest write.
func (b *Bare) Check(path string) error {
	_, err := b.Conn.Multi(&zk.CheckVersionRequest{Path: path, Version: -1})
	return err
}

// Barrier has what this session reads next be as new as what others know already.
// It is a write: ZooKeeper's sync waits for nothing at the ensemble's leader, where
// a follower's client can know of a write earlier.
func (b *Bare) Barrier() error {
	if err := b.Check("/"); err != nil {
		return fmt.Errorf("check /: %w", err)
	}
	return nil
}

// Watch returns the channel of a one-time watch on a node that exists.
func (b *Bare) Watch(path string) (<-chan zk.Event, error) {
	if err := b.Barrier(); err != nil {
		return nil, err
	}
	exists, _, event, err := b.Conn.ExistsW(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("watch %s: %w", path, err)
	case !exists:
		return nil, fmt.Errorf("watch %s: %w", path, zk.ErrNoNode)
	}
	return event, nil
}

// Remove deletes a node and all below it, many at a time.
func (b *Bare) Remove(path string) error {
	children, _, err := b.Conn.Children(path)
	below := errgroup.Group{}
	below.SetLimit(atOnce)
	for _, name := range children {
		below.Go(func() error { return b.Remove(path + "/" + name) })
	}
	if err := below.Wait(); err != nil {
		return err
	}
	if err == nil {
		err = b.Conn.Delete(path, -1)
	}
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// AwaitChildren blocks until a node has n children.
func (b *Bare) AwaitChildren(ctx context.Context, path string, n int) error {
	for {
		if err := b.Barrier(); err != nil {
			return err
		}
		children, _, err := b.Conn.Children(path)
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return fmt.Errorf("list %s: %w", path, err)
		}
		if len(children) == n {
			return nil
		}
		if err := Pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("%s has %d children, not %d: %w", path, len(children), n, err)
		}
	}
}

// Lowest returns the first node of a latch: who leads. Names of one length end in the
// sequence.
func (b *Bare) Lowest(latch string) (string, error) {
	if err := b.Barrier(); err != nil {
		return "", err
	}
	names, _, err := b.Conn.Children(latch)
	if err != nil {
		return "", fmt.Errorf("list %s: %w", latch, err)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("nobody stands in line at %s", latch)
	}
	const digits = 10
	lowest := slices.MinFunc(names, func(a, b string) int {
		return strings.Compare(a[max(0, len(a)-digits):], b[max(0, len(b)-digits):])
	})
	return latch + "/" + lowest, nil
}

// Pause blocks for that long; its error is ctx's, when that ends first.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
