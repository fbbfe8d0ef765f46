package zk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// The environment of the process that writes whatever happens.
const (
	writerServer = "COORDD_TEST_WRITER_SERVER"
	writerRoot   = "COORDD_TEST_WRITER_ROOT"
)

// writeWhateverHappens is the worst leader there can be: it looks neither at its
// lease nor at any clock, and goes on writing until the store refuses. It says how
// it went line by line.
func writeWhateverHappens(server, root string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := New(Config{Servers: []string{server}, Root: root, SessionTimeout: sessionTimeout})
	if err != nil {
		return err
	}
	go s.Run(ctx) //nolint:errcheck // it ends with the process
	tenure, err := s.Election().Campaign(ctx, election.Candidate{ID: "writer", StopGrace: sessionTimeout / 8})
	if err != nil {
		return err
	}
	g := tenure.Guard()
	if err := s.Store().Commit(ctx, g, txn.Op{Kind: txn.Create, Path: "state/value", Data: []byte("old 0")}); err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := s.Store().Commit(ctx, g, txn.Op{Kind: txn.Put, Path: "state/value", Data: fmt.Appendf(nil, "old %d", n)})
		switch {
		case err == nil:
			fmt.Println("wrote", n)
		case errors.Is(err, leader.ErrFenced):
			fmt.Println("fenced", err)
			return nil
		default:
			return err
		}
	}
}

// A leader that is paused in the middle of its writes for longer than its session
// and woken up again is refused by the ensemble.
func TestWriterThatWasPausedBeyondItsSessionIsFenced(t *testing.T) {
	srv := zookeepertest.StartServer(t)
	ctx := within(t)
	const root = "/paused/cluster"
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), writerServer+"="+srv.Addr(), writerRoot+"="+root)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 20 { // it is in the middle of its writes
		if !lines.Scan() {
			t.Fatalf("the writer ended: %v", cmd.Wait())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}

	next := participant(t, Config{Servers: []string{srv.Addr()}, Root: root, SessionTimeout: sessionTimeout})
	tenure, err := next.Election().Campaign(ctx, election.Candidate{ID: "next", StopGrace: sessionTimeout / 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Store().Commit(ctx, tenure.Guard(), txn.Op{Kind: txn.Put, Path: "state/value", Data: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the writer failed: %v", err)
	}
	if !strings.HasPrefix(last, "fenced ") {
		t.Errorf("the writer's last line is %q, want that it was fenced", last)
	}
	data, err := next.Store().Get(ctx, tenure.Guard(), "state/value")
	if err != nil || string(data) != "new" {
		t.Errorf("the state is %q, %v; want the successor's", data, err)
	}
	if err := tenure.Release(ctx); err != nil {
		t.Error(err)
	}
}
