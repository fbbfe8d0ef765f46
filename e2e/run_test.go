package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// latch is where the runs of these tests contend; a Curator contender would name
// the same path.
const latch = "/runs/latch"

// contestant is one coordd run. Its command appends a line for each run to the file
// "log" of the test's folder.
type contestant struct {
	id     string
	cmd    *exec.Cmd
	stderr string
	exited chan error
}

// startRun starts coordd run with a script that sees the test's folder as $DIR.
func startRun(t *testing.T, dir, ensemble, id, script string, flags ...string) *contestant {
	t.Helper()
	c := &contestant{id: id, stderr: filepath.Join(t.TempDir(), id+".err"), exited: make(chan error, 1)}
	errs, err := os.Create(c.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	args := append([]string{"run", "--zookeeper", ensemble, "--latch", latch, "--id", id, "--log-level", "debug"}, flags...)
	c.cmd = exec.Command(binary(), append(args, "--", "sh", "-c", script)...)
	c.cmd.Env = append(os.Environ(), "DIR="+dir)
	c.cmd.Stderr = errs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait(); close(c.exited) }()
	t.Cleanup(func() {
		c.signal(t, syscall.SIGKILL)
		<-c.exited
		said := c.said(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", id, said)
		}
		if strings.Contains(said, "DATA RACE") {
			t.Errorf("%s has a data race:\n%s", id, said)
		}
	})
	return c
}

func (c *contestant) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %v to %s: %v", s, c.id, err)
	}
}

func (c *contestant) said(t *testing.T) string {
	t.Helper()
	said, err := os.ReadFile(c.stderr)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// wantCode waits for the end and fails unless it has the code.
func (c *contestant) wantCode(t *testing.T, want int) {
	t.Helper()
	<-c.exited
	if got := c.cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("%s ended with exit code %d, want %d", c.id, got, want)
	}
}

// note is what a script says at the start of each run.
const note = `echo "$COORDD_ID $COORDD_EPOCH $$ $COORDD_SESSION_ID" >> "$DIR/log"; `

// serve is a command that runs until it is told to stop.
const serve = note + `while :; do sleep 0.05; done`

// entry is a line of the log.
type entry struct {
	id      string
	epoch   int64
	pid     int
	session string
}

func entries(t *testing.T, dir string) []entry {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []entry
	for line := range strings.Lines(string(log)) {
		f := strings.Fields(line)
		if len(f) != 4 || !strings.HasSuffix(line, "\n") {
			continue // being written
		}
		epoch, err1 := strconv.ParseInt(f[1], 10, 64)
		pid, err2 := strconv.Atoi(f[2])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, entry{f[0], epoch, pid, f[3]})
	}
	return all
}

// awaitEntry waits for the n-th run, counted from 1, of all contestants, and checks
// that epochs grow.
func awaitEntry(t *testing.T, dir string, n int) entry {
	t.Helper()
	var all []entry
	eventually(t, "run number "+strconv.Itoa(n), func() bool { all = entries(t, dir); return len(all) >= n })
	for i, e := range all[1:] {
		if e.epoch <= all[i].epoch || e.session == all[i].session {
			t.Errorf("run %+v follows %+v; want a larger epoch and another session ID", e, all[i])
		}
	}
	return all[n-1]
}

// dead reports whether a process has ended, reaped or not.
func dead(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" Z"))
}

// awaitContenders waits until n contend.
func awaitContenders(t *testing.T, s *zookeeper.Session, n int) {
	t.Helper()
	eventually(t, strconv.Itoa(n)+" contenders", func() bool {
		children, _, err := s.Children(t.Context(), latch)
		if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
			t.Fatal(err)
		}
		return len(children) == n
	})
}

func session(t *testing.T, srv *zookeepertest.Server) *zookeeper.Session {
	t.Helper()
	s, err := zookeeper.Open(t.Context(), zookeeper.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// longSession is longer than the test's patience: leadership can pass only if it
// is released.
func longSession(t *testing.T) (*zookeepertest.Server, []string) {
	t.Helper()
	srv := zookeepertest.StartServer(t, zookeepertest.MaxSessionTimeout(10*patience))
	return srv, []string{"--session-timeout", (5 * patience).String()}
}

// shortSession makes faults cheap.
func shortSession(t *testing.T) (*zookeepertest.Server, []string) {
	t.Helper()
	return zookeepertest.StartServer(t, zookeepertest.TickTime(200e6)), []string{"--session-timeout", "4s"}
}

func TestRunRunsOnlyWhileLeading(t *testing.T) {
	t.Parallel()
	srv, flags := shortSession(t)
	dir := t.TempDir()
	wantExit(t, 2, "leader", "--zookeeper", srv.Addr(), "--latch", latch)
	a := startRun(t, dir, srv.Addr(), "a", serve, flags...)
	first := awaitEntry(t, dir, 1)
	b := startRun(t, dir, srv.Addr(), "b", serve, flags...)
	awaitContenders(t, session(t, srv), 2)
	wantLeader(t, srv, "a", first.epoch)
	if all := entries(t, dir); len(all) != 1 || dead(first.pid) {
		t.Fatalf("with a leading the runs are %+v, the first is dead: %v; want only the first, alive", all, dead(first.pid))
	}

	a.signal(t, syscall.SIGKILL)
	second := awaitEntry(t, dir, 2)
	if second.id != b.id {
		t.Errorf("after the death of a the run is %+v, want b's", second)
	}
	eventually(t, "the death of the killed one's command", func() bool { return dead(first.pid) })
	wantLeader(t, srv, "b", second.epoch)
	b.signal(t, syscall.SIGTERM)
	b.wantCode(t, 128+int(syscall.SIGTERM))
	if !dead(second.pid) {
		t.Error("b's command outlives b")
	}
	wantExit(t, 2, "leader", "--zookeeper", srv.Addr(), "--latch", latch)
}

// wantLeader fails unless coordd leader names the leader of the latch.
func wantLeader(t *testing.T, srv *zookeepertest.Server, id string, epoch int64) {
	t.Helper()
	out := wantExit(t, 0, "leader", "--zookeeper", srv.Addr(), "--latch", latch, "-o", "json")
	var l leaderAnswer
	if err := json.Unmarshal([]byte(out), &l); err != nil || !l.Known || l.Leader.ID != id || l.Leader.Epoch != epoch {
		t.Errorf("coordd leader says %s (%v), want %s in epoch %d", out, err, id, epoch)
	}
}

func TestRunPassesExitCodeAndLeadershipOn(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	for name, c := range map[string]struct {
		script string
		code   int
	}{
		"success":                  {note + `exit 0`, 0},
		"failure":                  {note + `exit 7`, 7},
		"a signal":                 {note + `kill -9 $$`, 128 + 9},
		"with children of its own": {note + `(trap "" TERM; while :; do sleep 0.05; done) & echo $! > "$DIR/child"; exit 5`, 5},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a := startRun(t, dir, srv.Addr(), "a", note+`while [ ! -e "$DIR/go" ]; do sleep 0.05; done; `+c.script, append(flags, "--stop-grace", "5s")...)
			awaitEntry(t, dir, 1)
			b := startRun(t, dir, srv.Addr(), "b", serve, flags...)
			awaitContenders(t, session(t, srv), 2)
			letGo(t, dir)
			a.wantCode(t, c.code)
			if child, err := os.ReadFile(filepath.Join(dir, "child")); err == nil {
				if pid, err := strconv.Atoi(strings.TrimSpace(string(child))); err != nil || !dead(pid) {
					t.Errorf("the command's child %s outlives coordd run (%v)", child, err)
				}
			}
			eventually(t, "b's turn", func() bool { all := entries(t, dir); return all[len(all)-1].id == "b" })
			b.signal(t, syscall.SIGTERM)
			<-b.exited
		})
	}
}

func TestRunStopsItsGroup(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	flags = append(flags, "--stop-grace", "5s")
	for name, c := range map[string]struct {
		script string
		code   int
	}{
		"a command that cleans up": {`trap 'echo bye > "$DIR/bye"; exit 4' TERM; ` + serve, 4},
		"one that ignores TERM":    {`trap "" TERM; ` + serve, 128 + 9},
		"one that is stopped":      {note + `kill -STOP $$; exit 3`, 128 + 15},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a := startRun(t, dir, srv.Addr(), "a", c.script, flags...)
			e := awaitEntry(t, dir, 1)
			a.signal(t, syscall.SIGTERM)
			a.wantCode(t, c.code)
			if !dead(e.pid) {
				t.Error("the command outlives coordd run")
			}
			if _, err := os.Stat(filepath.Join(dir, "bye")); (err == nil) != (c.code == 4) {
				t.Errorf("the command's own clean-up: %v", err)
			}
			wantExit(t, 2, "leader", "--zookeeper", srv.Addr(), "--latch", latch)
		})
	}
}

// The command would take for ever, and so would the grace.
func TestSecondSignalKillsTheCommand(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	a := startRun(t, dir, srv.Addr(), "a", `trap 'touch "$DIR/asked"' TERM; `+serve, append(flags, "--stop-grace", patience.String())...)
	e := awaitEntry(t, dir, 1)
	a.signal(t, syscall.SIGINT)
	eventually(t, "TERM", func() bool { _, err := os.Stat(filepath.Join(dir, "asked")); return err == nil })
	a.signal(t, syscall.SIGINT)
	a.wantCode(t, 128+9)
	if !dead(e.pid) {
		t.Error("the command outlives coordd run")
	}
	wantExit(t, 2, "leader", "--zookeeper", srv.Addr(), "--latch", latch)
}

func TestRunContendsAgainWhenItsNodeIsDeleted(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	startRun(t, dir, srv.Addr(), "a", `trap 'exit 0' TERM; `+serve, flags...)
	first := awaitEntry(t, dir, 1)
	s := session(t, srv)
	children, _, err := s.Children(t.Context(), latch)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %q, error %v, want one", children, err)
	}
	if err := s.Delete(t.Context(), latch+"/"+children[0], -1); err != nil {
		t.Fatal(err)
	}
	if second := awaitEntry(t, dir, 2); second.id != "a" || !dead(first.pid) {
		t.Errorf("run %+v follows %+v, which is dead: %v; want it dead", second, first, dead(first.pid))
	}
}

func TestPausedRunEndsItsCommandWhenItWakesUp(t *testing.T) {
	t.Parallel()
	srv, flags := shortSession(t)
	dir := t.TempDir()
	// It ignores TERM, for which there is no time any more.
	a := startRun(t, dir, srv.Addr(), "a", `trap "" TERM; `+serve, flags...)
	first := awaitEntry(t, dir, 1)
	startRun(t, dir, srv.Addr(), "b", serve, flags...)
	awaitContenders(t, session(t, srv), 2)
	a.signal(t, syscall.SIGSTOP)
	if second := awaitEntry(t, dir, 2); second.id != "b" {
		t.Errorf("beside the paused a the run is %+v, want b's", second)
	}
	a.signal(t, syscall.SIGCONT)
	eventually(t, "the end of the older command", func() bool { return dead(first.pid) })
	eventually(t, "the word that leadership was lost", func() bool { return strings.Contains(a.said(t), "coordd: leadership lost") })
	awaitContenders(t, session(t, srv), 2)
	if said := a.said(t); strings.Contains(said, "did not stop within") {
		t.Error("after the end of the lease the command was given time to stop")
	}
	if all := entries(t, dir); len(all) != 2 {
		t.Errorf("the runs are %+v, want two", all)
	}
}

func TestRestartRunsAgain(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	a := startRun(t, dir, srv.Addr(), "a", note+`[ "$(wc -l < "$DIR/log")" -ge 4 ] || exit 3; exec sleep 1000`, append(flags, "--restart")...)
	last := awaitEntry(t, dir, 4)
	a.signal(t, syscall.SIGTERM)
	a.wantCode(t, 128+int(syscall.SIGTERM))
	if !dead(last.pid) {
		t.Error("the command outlives coordd run")
	}
}

func TestRunWaitsForZooKeeper(t *testing.T) {
	t.Parallel()
	srv, flags := shortSession(t)
	srv.Kill()
	dir := t.TempDir()
	a := startRun(t, dir, srv.Addr(), "a", note+`exit 6`, flags...)
	const words = "does not answer, waiting for it"
	eventually(t, "the word that ZooKeeper is away", func() bool { return strings.Contains(a.said(t), words) })
	srv.Start()
	a.wantCode(t, 6)
	if n := strings.Count(a.said(t), words); n != 1 {
		t.Errorf("it said %d times that ZooKeeper is away, want once", n)
	}
}

func TestRunPassesInputAndOutputThrough(t *testing.T) {
	t.Parallel()
	srv, _ := longSession(t)
	cmd := exec.Command(binary(), "run", "--zookeeper", srv.Addr(), "--latch", latch, "--id", "a", "--",
		"sh", "-c", `read -r line; echo "out $line $COORDD_ID"; echo err >&2`, "--id", "not-ours")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in\n"), &out, &errs
	if err := cmd.Run(); err != nil || out.String() != "out in a\n" || errs.String() != "err\n" {
		t.Errorf("output %q, error output %q (%v); want %q and %q", &out, &errs, err, "out in a\n", "err\n")
	}
}

func TestStandbyEndsWithTheSignal(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	startRun(t, dir, srv.Addr(), "a", serve, flags...)
	awaitEntry(t, dir, 1)
	b := startRun(t, dir, srv.Addr(), "b", serve, flags...)
	s := session(t, srv)
	awaitContenders(t, s, 2)
	b.signal(t, syscall.SIGINT)
	b.wantCode(t, 128+int(syscall.SIGINT))
	awaitContenders(t, s, 1)
}

func TestWatchedLatchShowsEachLeader(t *testing.T) {
	t.Parallel()
	srv, flags := longSession(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	watch := exec.Command(binary(), "leader", "--zookeeper", srv.Addr(), "--latch", latch, "--watch", "-o", "json")
	watch.Stdout, watch.Stderr = file, file
	if err := errors.Join(watch.Start(), file.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill() })
	line := func(n int, want string) {
		t.Helper()
		var lines []string
		eventually(t, "line "+strconv.Itoa(n), func() bool {
			said, err := os.ReadFile(out)
			lines = strings.SplitAfter(string(said), "\n")
			return err == nil && len(lines) > n
		})
		if !strings.HasPrefix(lines[n-1], want) {
			t.Errorf("line %d is %q, want it to begin with %q", n, lines[n-1], want)
		}
	}
	line(1, `{"known":false}`)
	a := startRun(t, dir, srv.Addr(), "a", serve, flags...)
	line(2, `{"known":true,"leader":{"id":"a","epoch":`)
	awaitEntry(t, dir, 1)
	startRun(t, dir, srv.Addr(), "b", serve, flags...)
	awaitContenders(t, session(t, srv), 2)
	a.signal(t, syscall.SIGTERM)
	line(3, `{"known":true,"leader":{"id":"b","epoch":`)
	if err := watch.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err != nil {
		t.Errorf("the interrupted watch ended with %v, want success", err)
	}
}
