package zookeeper_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// within bounds a test that waits for something that should happen soon.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, timeout time.Duration, servers ...string) *zookeeper.Session {
	t.Helper()
	s, err := zookeeper.Open(within(t), zookeeper.Config{Servers: servers, SessionTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("%s: error %v, want one that wraps %v", what, err, w)
		}
	}
}

func TestSessionOperationsOnARealServer(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s := open(t, 2*time.Second, srv.Addr())
	ctx := within(t)

	if s.Timeout() != 2*time.Second {
		t.Errorf("negotiated time-out %v, want 2s", s.Timeout())
	}
	wantErr(t, "create below nothing", s.Create(ctx, "/a/b", nil, zookeeper.Persistent), zookeeper.ErrNoNode)
	must(t, s.EnsurePath(ctx, "/a/b", zookeeper.Container))
	wantErr(t, "create twice", s.Create(ctx, "/a/b", nil, zookeeper.Persistent), zookeeper.ErrNodeExists)
	wantErr(t, "delete with children", s.Delete(ctx, "/a", -1), zookeeper.ErrNotEmpty)
	wantErr(t, "oversized create", s.Create(ctx, "/a/big", make([]byte, zookeeper.MaxData+1), zookeeper.Persistent), zookeeper.ErrTooLarge)
	must(t, s.Create(ctx, "/a/big", make([]byte, zookeeper.MaxData), zookeeper.Persistent))

	path, stat, err := s.CreateProtected(ctx, "/a/b", "latch-", []byte("me"))
	must(t, err)
	if stat.EphemeralOwner != s.ID() {
		t.Errorf("owner %#x, want this session %#x", stat.EphemeralOwner, s.ID())
	}
	data, _, err := s.Get(ctx, path)
	must(t, err)
	if !bytes.Equal(data, []byte("me")) {
		t.Errorf("data %q, want %q", data, "me")
	}

	_, exists, fired, err := s.Watch(ctx, path)
	must(t, err)
	_, _, second, err := s.Watch(ctx, path)
	must(t, err)
	if !exists || fired != second {
		t.Errorf("exists %v and a shared watch %v, want both", exists, fired == second)
	}
	must(t, s.Delete(ctx, path, -1))
	select {
	case <-fired:
	case <-ctx.Done():
		t.Fatal("the watch did not fire on the deletion")
	}
	names, _, err := s.Children(ctx, "/a")
	must(t, err)
	if len(names) != 2 {
		t.Errorf("children %q, want b and big", names)
	}
}

func TestFinding12MultiSaysWhichOperationFailed(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s := open(t, 2*time.Second, srv.Addr())
	ctx := within(t)
	must(t, s.Create(ctx, "/x", []byte("1"), zookeeper.Persistent))

	err := s.Multi(ctx, zookeeper.CreateOp("/y", nil, zookeeper.Persistent), zookeeper.SetOp("/x", nil, 7), zookeeper.DeleteOp("/x", -1))
	var failed *zookeeper.MultiError
	if !errors.As(err, &failed) || failed.Index != 1 || !errors.Is(err, zookeeper.ErrBadVersion) {
		t.Errorf("error %v, want the version of operation 1", err)
	}
	if _, exists, _ := s.Exists(ctx, "/y"); exists {
		t.Error("a part of a failed multi was applied")
	}
	big := make([]byte, 400<<10)
	err = s.Multi(ctx, zookeeper.SetOp("/x", big, -1), zookeeper.SetOp("/x", big, -1), zookeeper.SetOp("/x", big, -1))
	wantErr(t, "oversized multi", err, zookeeper.ErrTooLarge)
	if s.Err() != nil {
		t.Errorf("the session ended: %v", s.Err())
	}
}

func TestGuardRefusesADeposedOwner(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	s, other := open(t, 2*time.Second, srv.Addr()), open(t, 2*time.Second, srv.Addr())
	ctx := within(t)
	node, _, err := s.CreateProtected(ctx, "/latch", "latch-", nil)
	must(t, err)
	guard := s.Guard(node)
	must(t, guard.Check(ctx))
	must(t, guard.Commit(ctx, zookeeper.CreateOp("/job", []byte("a"), zookeeper.Persistent)))

	err = guard.Commit(ctx, zookeeper.CreateOp("/job", []byte("b"), zookeeper.Persistent))
	var failed *zookeeper.MultiError
	if !errors.As(err, &failed) || failed.Index != 0 || !errors.Is(err, zookeeper.ErrNodeExists) {
		t.Errorf("error %v, want ErrNodeExists of the caller's operation 0", err)
	}
	must(t, other.Delete(ctx, node, -1))
	// Each with a guard that knows nothing yet: it is the ensemble that has to refuse.
	wantErr(t, "commit", guard.Commit(ctx, zookeeper.SetOp("/job", []byte("c"), -1)), zookeeper.ErrFenced)
	wantErr(t, "check", s.Guard(node).Check(ctx), zookeeper.ErrFenced)
	wantErr(t, "commit after that", guard.Commit(ctx, zookeeper.SetOp("/job", []byte("c"), -1)), zookeeper.ErrFenced)
	if data, _, _ := other.Get(ctx, "/job"); string(data) != "a" {
		t.Errorf("data %q after a fenced write, want %q", data, "a")
	}
}

func TestSessionEndsWhenTheServerForgotIt(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	proxy := zookeepertest.StartProxy(t, srv.Addr())
	s := open(t, time.Second, proxy.Addr())
	ctx := within(t)
	must(t, s.Create(ctx, "/e", nil, zookeeper.Ephemeral))
	watcher := open(t, 2*time.Second, srv.Addr())
	_, _, gone, err := watcher.Watch(ctx, "/e")
	must(t, err)

	proxy.Cut()
	select {
	case <-gone:
	case <-ctx.Done():
		t.Fatal("the server did not expire the session")
	}
	proxy.Heal()
	select {
	case <-s.Done():
	case <-ctx.Done():
		t.Fatal("the client did not notice")
	}
	wantErr(t, "reason", s.Err(), zookeeper.ErrExpired)
	wantErr(t, "write after the end", s.Create(ctx, "/late", nil, zookeeper.Persistent), zookeeper.ErrExpired)
	if _, exists, _ := watcher.Exists(ctx, "/late"); exists {
		t.Error("a write of an ended session was applied")
	}
}

func TestOpenSaysWhyNobodyAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := zookeeper.Open(ctx, zookeeper.Config{Servers: []string{"127.0.0.1:1"}, SessionTimeout: time.Second})
	wantErr(t, "open", err, zookeeper.ErrSuspended, context.DeadlineExceeded)
}

func TestClientOpensTheNextSession(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	c, err := zookeeper.New(zookeeper.Config{Servers: []string{srv.Addr()}, SessionTimeout: 2 * time.Second})
	must(t, err)
	run, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(run) }()
	ctx := within(t)
	first, err := c.Session(ctx)
	must(t, err)
	first.Close()
	second, err := c.Session(ctx)
	must(t, err)
	if first.ID() == second.ID() {
		t.Error("the client handed out the session that had ended")
	}
	stop()
	wantErr(t, "Run", <-ended, context.Canceled)
	_, err = c.Session(ctx)
	wantErr(t, "Session after Run", err, zookeeper.ErrClosed)
}
