package zookeepertest

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// connect returns a client of real servers whose session exists.
func connect(t *testing.T, timeout time.Duration, addrs ...string) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect(addrs, timeout, zk.WithLogger(quiet{}), zk.WithDialer(dialCapped))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // closed when the client's goroutines have ended
		}
	})
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return conn
			}
		case <-limit:
			t.Fatalf("no session at %v after 20 s", addrs)
		}
	}
}

// capped limits how long go-zookeeper waits for anything. A server that is just
// starting leaves some handshakes unanswered, and the client waits for nearly
// seven session time-outs.
type capped struct{ net.Conn }

func dialCapped(network, addr string, timeout time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout(network, addr, timeout)
	if err != nil {
		return nil, err
	}
	return capped{c}, nil
}

func (c capped) SetReadDeadline(t time.Time) error {
	if limit := time.Now().Add(5 * time.Second); t.After(limit) {
		t = limit
	}
	return c.Conn.SetReadDeadline(t)
}

// quiet drops the client's log.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func create(t *testing.T, conn *zk.Conn, path, data string, flags int32) string {
	t.Helper()
	name, err := conn.Create(path, []byte(data), flags, zk.WorldACL(zk.PermAll))
	if err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
	return name
}

// await asks until ok, for at most 20 s.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not seen in 20 s: %s", what)
		}
	}
}

func TestServerKeepsItsDataThroughKillAndRestart(t *testing.T) {
	s := StartServer(t)
	if mode := s.Mode(); mode != "standalone" {
		t.Errorf("mode %q, want standalone", mode)
	}
	conn := connect(t, 10*time.Second, s.Addr())
	create(t, conn, "/kept", "value", 0)
	addr := s.Addr()

	s.Kill()
	if s.Running() || s.Mode() != "" {
		t.Errorf("running %t, mode %q after Kill", s.Running(), s.Mode())
	}
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("address %s after Restart, want %s", s.Addr(), addr)
	}
	await(t, "the data after Restart", func() bool {
		data, _, err := conn.Get("/kept")
		return err == nil && string(data) == "value"
	})
	s.Stop()
	if s.Running() {
		t.Error("still running after Stop")
	}
}

func TestServerAnswersNothingWhilePaused(t *testing.T) {
	s := StartServer(t)
	conn := connect(t, 10*time.Second, s.Addr())
	create(t, conn, "/a", "", 0)
	s.Pause()
	reply := make(chan error, 1)
	go func() { _, _, err := conn.Get("/a"); reply <- err }()
	select {
	case err := <-reply:
		t.Fatalf("a paused server answered: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.Resume()
	if err := <-reply; err != nil {
		t.Errorf("read after Resume: %v", err)
	}
	if n := s.Mntr()["zk_znode_count"]; n != "6" {
		t.Errorf("mntr says %s nodes, want 6 (five of ZooKeeper's and /a)", n)
	}
}

func TestServerEndsASessionThatIsSilent(t *testing.T) {
	s := StartServer(t)
	proxy := StartProxy(t, s.Addr())
	owner := connect(t, time.Second, proxy.Addr())
	other := connect(t, 10*time.Second, s.Addr())
	create(t, owner, "/e", "", zk.FlagEphemeral)
	start := time.Now()
	proxy.Freeze()
	await(t, "the end of the ephemeral", func() bool {
		ok, _, err := other.Exists("/e")
		return err == nil && !ok
	})
	if took := time.Since(start); took < 600*time.Millisecond {
		t.Errorf("session of 1 s ended %v after its last sign of life", took)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	dir := t.TempDir()
	s := StartServer(t, DataDir(dir), TickTime(150*time.Millisecond), MaxSessionTimeout(1200*time.Millisecond),
		ConfigLines("maxClientCnxns=7"), JavaFlags("-Dzookeeper.snapCount=500"), Fsync())
	conf := s.FourLetter("conf")
	for _, want := range []string{"tickTime=150", "minSessionTimeout=300", "maxSessionTimeout=1200", "maxClientCnxns=7", dir} {
		if !strings.Contains(conf, want) {
			t.Errorf("configuration lacks %q:\n%s", want, conf)
		}
	}
	if log := s.LogTail(); !strings.Contains(log, "zookeeper") {
		t.Errorf("log tail %q", log)
	}
}

func TestFailedStartShowsTheLog(t *testing.T) {
	err := Run(func(tb TB) { StartServer(tb, ConfigLines("authProvider.1=no.such.Class", "maxClientCnxns=many")) })
	if err == nil || !strings.Contains(err.Error(), "maxClientCnxns") && !strings.Contains(err.Error(), "many") {
		t.Fatalf("error %v, want one that shows the server's own message", err)
	}
}

func TestRunCleansUpAlsoAfterFailure(t *testing.T) {
	var order []string
	err := Run(func(tb TB) {
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() { order = append(order, "second"); tb.Fatalf("again") })
		tb.Fatalf("failed with %d", 7)
	})
	if err == nil || err.Error() != "failed with 7" {
		t.Errorf("error %v, want the first message", err)
	}
	if strings.Join(order, " ") != "second first" {
		t.Errorf("cleanups ran as %q", order)
	}
}

func TestRunReturnsAfterTheServersAreGone(t *testing.T) {
	var s *Server
	if err := Run(func(tb TB) { s = StartServer(tb) }); err != nil {
		t.Fatal(err)
	}
	if s.Running() {
		t.Error("the server still runs")
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server's files are still there: %v", err)
	}
}
