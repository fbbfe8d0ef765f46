package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen; only a failing test waits for it.
const patience = 20 * time.Second

// tenures is a driver that grants what the test hands it.
type tenures chan *tenure

func (d tenures) Campaign(ctx context.Context, _ election.Candidate) (election.Tenure, error) {
	select {
	case t := <-d:
		return t, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Participants and Transfer are nothing that a runner calls.
func (tenures) Participants(context.Context) ([]election.Participant, error) { return nil, nil }
func (tenures) Transfer(context.Context, string) error                       { return nil }

// tenure is lost when the test says so.
type tenure struct {
	epoch    leader.Epoch
	lost     chan struct{}
	err      error
	released chan struct{}
}

func newTenure(epoch leader.Epoch) *tenure {
	return &tenure{epoch: epoch, lost: make(chan struct{}), released: make(chan struct{})}
}

func (t *tenure) Guard() leader.Guard                         { return leader.NewGuard(t.epoch, t) }
func (t *tenure) Lost() <-chan struct{}                       { return t.lost }
func (t *tenure) Err() error                                  { return t.err }
func (*tenure) Publish(context.Context, ...leader.Info) error { return nil }
func (t *tenure) Release(context.Context) error               { close(t.released); return nil }
func (t *tenure) lose(err error)                              { t.err = err; close(t.lost) }

// world is an elector that runs a script in each term.
type world struct {
	driver tenures
	dir    string
	result chan error
	cancel context.CancelFunc
	kill   func()
	// contender is what the elector runs.
	contender *contender

	mu      sync.Mutex
	notices []string
}

// start runs the script, which sees a folder as its first argument, in each term
// that the test grants.
func start(t *testing.T, script string, restart bool) *world {
	t.Helper()
	w := &world{driver: make(tenures), dir: t.TempDir(), result: make(chan error, 1)}
	cfg := Config{
		ID: "me", Command: []string{"sh", "-c", script, "sh", w.dir}, Restart: restart,
		StopGrace: 2 * patience, Stderr: os.Stderr, Notice: w.notice,
	}
	killed := make(chan struct{})
	w.kill = sync.OnceFunc(func() { close(killed) })
	c := newContender(cfg, killed)
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	c.path = path
	e, err := election.New(election.Config{ID: "me", Driver: w.driver, StopGrace: cfg.StopGrace})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel, w.contender, c.over = cancel, c, ctx.Done()
	var running sync.WaitGroup
	running.Go(c.spawner.Run)
	running.Go(func() {
		w.result <- e.Run(ctx, c)
		c.spawner.Stop()
	})
	t.Cleanup(func() {
		cancel()
		w.kill()
		running.Wait()
	})
	return w
}

func (w *world) notice(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notices = append(w.notices, text)
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.notices, "\n")
}

func (w *world) exists(name string) bool {
	_, err := os.Stat(filepath.Join(w.dir, name))
	return err == nil
}

// await waits until the script has made a file.
func (w *world) await(t *testing.T, name string) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !w.exists(name) {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the script did not make %s", name)
		}
	}
}

func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited for %s", what)
	}
	return v
}

const (
	// asks says when it was asked to stop, and does.
	asks = `trap 'touch "$1/asked"; exit 0' TERM; touch "$1/up"; while :; do sleep 0.02; done`
	// ignores does not stop.
	ignores = `trap "" TERM; touch "$1/up"; while :; do sleep 0.02; done`
)

// The stop grace is longer than the tests' patience: who waits for it fails.
func TestLossStopsTheCommandWithTheTimeThatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		cause  error
		asked  bool
	}{
		"the lease ends":          {asks, election.ErrLeaseExpired, true},
		"the node was deleted":    {asks, election.ErrNodeDeleted, true},
		"the session has expired": {ignores, election.ErrSessionExpired, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, c.script, false)
			term := newTenure(1)
			w.driver <- term
			w.await(t, "up")
			term.lose(fmt.Errorf("%w: in the test", c.cause))
			within(t, term.released, "the release")
			if w.exists("asked") != c.asked {
				t.Errorf("the command got TERM: %v, want %v", !c.asked, c.asked)
			}
			if said := w.said(); !strings.Contains(said, c.cause.Error()) {
				t.Errorf("the user was told %q, want the cause %q", said, c.cause)
			}
			select {
			case err := <-w.result:
				t.Errorf("Run ended with %v, want it to contend again", err)
			case w.driver <- newTenure(2):
			case <-time.After(patience):
				t.Error("it does not contend again")
			}
		})
	}
}

func TestEndOfTheCommandEndsTheContest(t *testing.T) {
	w := start(t, `exit 9`, false)
	term := newTenure(1)
	w.driver <- term
	within(t, term.released, "the release")
	if e, ok := errors.AsType[*ended](within(t, w.result, "the end of Run")); !ok || e.code != 9 {
		t.Errorf("Run ended with %v, want exit code 9", e)
	}
}

// Who gave leadership up on somebody's request and stands by has no command whose
// exit code its end could have.
func TestAnEndWhileStandingByHasNoExitCode(t *testing.T) {
	for name, whileRunning := range map[string]bool{"standing by": false, "running": true} {
		t.Run(name, func(t *testing.T) {
			w := start(t, asks, false)
			term := newTenure(1)
			w.driver <- term
			w.await(t, "up")
			if whileRunning {
				w.cancel()
			} else {
				term.lose(fmt.Errorf("%w: a transfer was asked for", election.ErrResigned))
			}
			within(t, term.released, "the release")
			w.cancel()
			within(t, w.result, "the end of Run")
			if code, ran := w.contender.code(); ran != whileRunning {
				t.Errorf("Run has the exit code %d of a command: %v, want %v", code, ran, whileRunning)
			}
		})
	}
}

// What a command leaves behind does not outlive a session that expires meanwhile by
// the time that is between TERM and KILL.
func TestExpiryKillsWhatAnEndedCommandLeft(t *testing.T) {
	const script = `(trap 'touch "$1/asked"' TERM; touch "$1/up"; while :; do sleep 0.02; done) & ` +
		`while ! test -e "$1/up"; do sleep 0.02; done; exit 9`
	w := start(t, script, false)
	term := newTenure(1)
	w.driver <- term
	w.await(t, "asked")
	term.lose(fmt.Errorf("%w: in the test", election.ErrSessionExpired))
	within(t, term.released, "the release")
	if e, ok := errors.AsType[*ended](within(t, w.result, "the end of Run")); !ok || e.code != 9 {
		t.Errorf("Run ended with %v, want exit code 9", e)
	}
}

func TestRestartContendsAgain(t *testing.T) {
	for _, code := range []string{"0", "1"} {
		w := start(t, `exit `+code, true)
		for epoch := range leader.Epoch(3) {
			term := newTenure(epoch + 1)
			select {
			case w.driver <- term:
			case err := <-w.result:
				t.Fatalf("Run ended with %v after exit code %s", err, code)
			}
			within(t, term.released, "the release")
		}
	}
}

func TestKillLeavesNobody(t *testing.T) {
	w := start(t, ignores, false)
	term := newTenure(1)
	w.driver <- term
	w.await(t, "up")
	w.cancel()
	w.kill()
	within(t, term.released, "the release")
	if err := within(t, w.result, "the end of Run"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v, want %v", err, context.Canceled)
	}
}

// The command ends at once with TERM, its child cleans up first.
func TestTheWholeGroupHasTheGrace(t *testing.T) {
	const script = `(trap 'sleep 0.2; touch "$1/clean"; exit' TERM; touch "$1/up"; while :; do sleep 0.02; done) & wait`
	w := start(t, script, false)
	term := newTenure(1)
	w.driver <- term
	w.await(t, "up")
	term.lose(election.ErrLeaseExpired)
	within(t, term.released, "the release")
	if !w.exists("clean") {
		t.Error("the command's child was killed while it cleaned up, or leadership was released before it had")
	}
}

func TestPulseNoticesAPause(t *testing.T) {
	const limit = time.Second
	start := time.Now()
	p := &pulse{limit: limit, last: start.Round(0)}
	for _, step := range []struct {
		at   time.Duration
		late bool
	}{
		{limit / 2, false},
		{limit, false},
		{3 * limit, true}, // nothing for two seconds
		{3*limit + limit/2, true},
		{4 * limit, true},
		{4*limit + limit/2, false}, // long enough ago: the term would have ended
	} {
		p.beat(start.Add(step.at))
		if p.late() != step.late {
			t.Errorf("at %s: late %v, want %v", step.at, p.late(), step.late)
		}
	}
}

func TestStartErrorsAreAShells(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]error{"no-such-program": ErrNotFound, script: ErrNotFound, dir: ErrNotExecutable} {
		err := exec.Command(program).Run()
		if got := startError(program, err); !errors.Is(got, want) {
			t.Errorf("%s: %v, want %v", program, got, want)
		}
	}
	if got := startError("p", fmt.Errorf("exec: %w", syscall.ENOEXEC)); !errors.Is(got, ErrNotExecutable) {
		t.Errorf("a format error is %v, want %v", got, ErrNotExecutable)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	whole := Config{Servers: []string{"127.0.0.1:1"}, Latch: "/latch", ID: "me", Command: []string{"true"}}
	if _, err := New(whole); err != nil {
		t.Fatal(err)
	}
	for word, spoil := range map[string]func(*Config){
		"server":  func(c *Config) { c.Servers = nil },
		"latch":   func(c *Config) { c.Latch = "" },
		"ID":      func(c *Config) { c.ID = "" },
		"Command": func(c *Config) { c.Command = nil },
	} {
		cfg := whole
		spoil(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("without %s: %v, want an error that names it", word, err)
		}
	}
}
