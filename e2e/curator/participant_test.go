package curator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/zookeeper"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// patience bounds what must happen; no test asserts on how long it takes.
const patience = 60 * time.Second

// kind is whose contender a participant is.
type kind string

const (
	ours   kind = "ours"
	theirs kind = "theirs"
	// bySession is theirs with Curator's session policy instead of its standard one.
	bySession kind = "theirs by session"
)

// participant is a contender in a process of its own, behind a proxy of its own.
//
// It says, a line each: "leader" (ours adds the epoch), "notleader", and in answer to
// the commands "leading" (without asking a server) "yes" or "no", to "claim" (write
// something as the leader) "claimed" or "refused: why", to "participants" that word and
// the IDs in order with a star at the leader, to "close" (leave the contest) "closed".
// "contend" and "exit" are not answered.
type participant struct {
	id      string
	kind    kind
	timeout time.Duration
	ground  *ground
	proxy   *zookeepertest.Proxy

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr string
	exited chan struct{} // closed when the process is gone and all it said is in lines

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced when lines grew

	heard int // lines before this one were awaited; the test's goroutine owns it
}

// ground is where the participants of one test meet.
type ground struct {
	addr          string
	classes       string
	latch, claims string
	session       *zookeeper.Session // an observer's

	participants []*participant // all that joined
}

// join starts a participant.
func (g *ground) join(t *testing.T, id string, k kind, timeout time.Duration) *participant {
	t.Helper()
	p := &participant{id: id, kind: k, timeout: timeout, ground: g, proxy: zookeepertest.StartProxy(t, g.addr)}
	g.participants = append(g.participants, p)
	p.start(t)
	return p
}

// start starts the process, again after it was killed.
func (p *participant) start(t *testing.T) {
	t.Helper()
	args := []string{p.proxy.Addr(), p.ground.latch, p.ground.claims, p.id, strconv.FormatInt(p.timeout.Milliseconds(), 10)}
	if p.kind == ours {
		p.cmd = exec.Command(os.Args[0], append([]string{contenderCommand}, args...)...)
	} else {
		if p.kind == bySession {
			args = append(args, "session")
		}
		p.cmd = exec.Command("java", append(javaFlags(p.ground.classes), args...)...)
	}
	p.stderr = filepath.Join(t.TempDir(), "stderr")
	log, err := os.Create(p.stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.more = make(chan struct{})
	p.mu.Unlock()
	p.exited = make(chan struct{})
	go p.listen(stdout, p.cmd, p.exited)
	cmd, exited := p.cmd, p.exited
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		p.report(t, p.stderr)
	})
}

// listen keeps what the process says, and waits for its end.
func (p *participant) listen(stdout io.Reader, cmd *exec.Cmd, exited chan<- struct{}) {
	defer close(exited)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	_ = cmd.Wait() // most are killed
}

// report shows what a participant of a failed test said, and data races always.
func (p *participant) report(t *testing.T, stderr string) {
	t.Helper()
	log, _ := os.ReadFile(stderr)
	if bytes.Contains(log, []byte("DATA RACE")) {
		t.Errorf("%s has a data race:\n%s", p.id, log)
	} else if t.Failed() {
		t.Logf("%s said:\n\t%s\nand on standard error:\n%s", p.id, strings.Join(p.saidSince(0), "\n\t"), log)
	}
}

// saidSince returns the lines from the given one on.
func (p *participant) saidSince(line int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines[line:])
}

// await blocks until the participant says a line that begins with one of the words,
// after what was awaited before, and returns the line.
func (p *participant) await(t *testing.T, words ...string) string {
	t.Helper()
	limit := time.After(patience)
	for {
		p.mu.Lock()
		more := p.more
		p.mu.Unlock()
		said := p.saidSince(p.heard)
		for i, line := range said {
			if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(line, w) }) {
				p.heard += i + 1
				return line
			}
		}
		select {
		case <-more:
		case <-p.exited:
			if len(p.saidSince(p.heard)) == len(said) {
				t.Fatalf("%s ended without saying %q", p.id, words)
			}
		case <-limit:
			t.Fatalf("waited %v for %s to say %q, it said %q", patience, p.id, words, said)
		}
	}
}

// tell gives a command.
func (p *participant) tell(t *testing.T, command string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		t.Fatalf("tell %s to %s: %v", p.id, command, err)
	}
}

// ask gives a command and returns the line that answers it.
func (p *participant) ask(t *testing.T, command string, answers ...string) string {
	t.Helper()
	p.tell(t, command)
	return p.await(t, answers...)
}

// leads waits until the participant leads and its claim to do so is in the log.
func (p *participant) leads(t *testing.T) {
	t.Helper()
	p.await(t, "leader")
	if got := p.ask(t, "claim", "claimed", "refused"); got != "claimed" {
		t.Fatalf("%s leads, and its write is %s", p.id, got)
	}
}

// wantRefused fails when a participant that does not lead can write as the leader.
func (p *participant) wantRefused(t *testing.T) {
	t.Helper()
	if got := p.ask(t, "claim", "claimed", "refused"); got == "claimed" {
		t.Errorf("%s does not lead, and its write was accepted", p.id)
	}
}

func (p *participant) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v to %s: %v", s, p.id, err)
	}
}

// pause stops the process with SIGSTOP, and returns when all of it has stopped.
func (p *participant) pause(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || !status.Stopped():
			t.Fatalf("pause %s: %v, status %#x", p.id, err, status)
		default:
			return
		}
	}
}

// kill is kill -9, and waits until the process is gone.
func (p *participant) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.exited
	p.heard = len(p.saidSince(0)) // the next process begins anew
}

// exit ends the process cleanly.
func (p *participant) exit(t *testing.T) {
	t.Helper()
	p.tell(t, "exit")
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("%s does not end", p.id)
	}
}

// queue returns the contenders' IDs in the order of their sequences.
func queue(ctx context.Context, s *zookeeper.Session, latch string) ([]string, error) {
	names, _, err := s.Children(ctx, latch)
	if err != nil && !errors.Is(err, zookeeper.ErrNoNode) {
		return nil, err
	}
	slices.SortFunc(names, bySequence)
	var ids []string
	for _, name := range names {
		id, _, err := s.Get(ctx, latch+"/"+name)
		if errors.Is(err, zookeeper.ErrNoNode) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, string(id))
	}
	return ids, nil
}

// awaitQueue waits until exactly these participants contend, in this order.
func (g *ground) awaitQueue(t *testing.T, want ...*participant) {
	t.Helper()
	var wanted []string
	for _, p := range want {
		wanted = append(wanted, p.id)
	}
	limit := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		ids, err := queue(t.Context(), g.session, g.latch)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(ids, wanted) {
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("waited %v for the contenders %q, there are %q", patience, wanted, ids)
		}
	}
}

// wantParticipants fails unless the participant itself sees these in this order, the
// first as the leader.
func (p *participant) wantParticipants(t *testing.T, want ...*participant) {
	t.Helper()
	line := fmt.Sprintf("participants %s*", want[0].id)
	for _, other := range want[1:] {
		line += " " + other.id
	}
	if got := p.ask(t, "participants", "participants", "refused"); got != line {
		t.Errorf("%s sees %q, want %q", p.id, got, line)
	}
}
