package taskexecutor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
)

// deploy runs d in a slot of its own, and returns the master that hears of it.
func deploy(t *testing.T, l *lab, d gateway.Deployment) *master {
	t.Helper()
	_, masters := l.elect(7, d.Attempt.Job)
	d.Slot = l.slots(t, 7, d.Attempt.Job, 1)[0]
	l.launch(t, d)
	return masters[d.Attempt.Job]
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// waitLine returns what a command writes to a named pipe: so it tells the test
// that it has come so far.
func waitLine(t *testing.T, path string) string {
	t.Helper()
	var data []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if data, err = os.ReadFile(path); err != nil {
			t.Error(err)
		}
	}()
	within(t, done, "nothing was written to "+path)
	return string(data)
}

func code(end gateway.AttemptEnd) string {
	if end.ExitCode == nil {
		return "none"
	}
	return strconv.Itoa(*end.ExitCode)
}

func TestAttemptEndSaysHowTheCommandEnded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plain"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command []string
		dir     string
		timeout time.Duration
		outcome gateway.Outcome
		code    string
		reason  string // part of it
		output  string
	}{
		"success":       {command: []string{"sh", "-c", "echo out; echo err >&2"}, outcome: gateway.OutcomeFinished, code: "0", output: "out\nerr\n"},
		"exit code":     {command: []string{"sh", "-c", "echo no; exit 3"}, outcome: gateway.OutcomeFailed, code: "3", reason: "exited with code 3", output: "no\n"},
		"signal":        {command: []string{"sh", "-c", "kill -9 $$"}, outcome: gateway.OutcomeFailed, code: "none", reason: "killed by signal: killed"},
		"time-out":      {command: []string{"sh", "-c", "echo begun; exec sleep 600"}, timeout: 50 * time.Millisecond, outcome: gateway.OutcomeFailed, code: "none", reason: "timed out after 50ms", output: "begun\n"},
		"not found":     {command: []string{"no-such-program"}, outcome: gateway.OutcomeFailed, code: "none", reason: `command "no-such-program" not found in the worker's PATH (`},
		"no such path":  {command: []string{"/nowhere/tool"}, outcome: gateway.OutcomeFailed, code: "none", reason: `command "/nowhere/tool" does not exist on this worker`},
		"no permission": {command: []string{filepath.Join(dir, "plain")}, outcome: gateway.OutcomeFailed, code: "none", reason: "chmod +x"},
		"no folder":     {command: []string{"true"}, dir: "/nowhere", outcome: gateway.OutcomeFailed, code: "none", reason: `working folder "/nowhere"`},
		"no command":    {outcome: gateway.OutcomeFailed, code: "none", reason: "no command"},
		"left-over":     {command: []string{"sh", "-c", "sleep 600 & echo done"}, outcome: gateway.OutcomeFinished, code: "0", output: "done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := begin(t, Config{})
			d := shell("")
			d.Command, d.Dir, d.Timeout = c.command, c.dir, c.timeout
			end := deploy(t, e, d).wait(t)
			if end.Attempt != d.Attempt {
				t.Errorf("report is of %+v, want %+v", end.Attempt, d.Attempt)
			}
			if end.Outcome != c.outcome || code(end) != c.code || end.Output != c.output {
				t.Errorf("got outcome %s, exit code %s, output %q; want %s, %s, %q",
					end.Outcome, code(end), end.Output, c.outcome, c.code, c.output)
			}
			if !strings.Contains(end.Reason, c.reason) || (c.reason == "") != (end.Reason == "") {
				t.Errorf("reason %q, want one with %q", end.Reason, c.reason)
			}
		})
	}
}

func TestCommandSeesItsAttemptAndCannotOverrideIt(t *testing.T) {
	t.Setenv("FROM_WORKER", "yes")
	e := begin(t, Config{Dir: t.TempDir()})
	d := shell(`echo $FROM_WORKER $REGION $COORDD_JOB_ID $COORDD_TASK $COORDD_SUBTASK $COORDD_PARALLELISM $COORDD_ATTEMPT $COORDD_EPOCH; pwd`)
	d.Attempt.Subtask, d.Attempt.N, d.Parallelism = 2, 3, 5
	d.Env = map[string]string{"REGION": "eu", "COORDD_EPOCH": "1"}
	if err := os.Mkdir(filepath.Join(e.cfg.Dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.Dir = "sub"
	end := deploy(t, e, d).wait(t)
	want := "yes eu j t 2 5 3 7\n" + filepath.Join(e.cfg.Dir, "sub") + "\n"
	if end.Output != want {
		t.Errorf("command printed %q, want %q", end.Output, want)
	}
}

func TestCancelSendsTermToTheWholeGroup(t *testing.T) {
	e := begin(t, Config{})
	ready := fifo(t)
	// The inner shell gets the signal too, and says so into the inherited pipe.
	m := deploy(t, e, shell(`trap 'wait; exit 9' TERM; sh -c 'trap "echo inner; exit" TERM; echo up > `+ready+`; while :; do sleep 0.01; done' & wait`))
	waitLine(t, ready)
	if err := e.CancelAttempts(t.Context(), termOf(term(7)), []gateway.AttemptID{shell("").Attempt}); err != nil {
		t.Fatal(err)
	}
	end := m.wait(t)
	if end.Outcome != gateway.OutcomeCanceled || code(end) != "9" || !strings.Contains(end.Output, "inner\n") || end.Reason != "canceled" {
		t.Errorf("got %s, exit code %s, output %q, reason %q; want canceled, 9, \"inner\", \"canceled\"",
			end.Outcome, code(end), end.Output, end.Reason)
	}
}

func TestCommandThatIgnoresTermIsKilledAfterTheGrace(t *testing.T) {
	e := begin(t, Config{TermGrace: 30 * time.Millisecond})
	ready := fifo(t)
	m := deploy(t, e, shell(`trap '' TERM; echo up > `+ready+`; while :; do sleep 1; done`))
	waitLine(t, ready)
	if err := e.CancelAttempts(t.Context(), termOf(term(7)), []gateway.AttemptID{shell("").Attempt}); err != nil {
		t.Fatal(err)
	}
	if end := m.wait(t); end.Outcome != gateway.OutcomeCanceled || end.ExitCode != nil {
		t.Errorf("got %s with exit code %s, want canceled with none", end.Outcome, code(end))
	}
}

func TestProcessThatLeftTheGroupDoesNotHoldTheAttempt(t *testing.T) {
	e := begin(t, Config{})
	pid := fifo(t)
	m := deploy(t, e, shell(`setsid sh -c 'echo $$ > `+pid+`; exec sleep 600' & cat < `+pid+`; true`))
	end := m.wait(t)
	escaped, err := strconv.Atoi(strings.TrimSpace(end.Output))
	if err != nil {
		t.Fatalf("output %q is no process id", end.Output)
	}
	if err := syscall.Kill(escaped, syscall.SIGKILL); err != nil {
		t.Fatalf("the process that left the group is gone: %v", err)
	}
	if end.Outcome != gateway.OutcomeFinished {
		t.Errorf("got %s (%s), want finished", end.Outcome, end.Reason)
	}
}

func TestOutputKeepsItsEnd(t *testing.T) {
	e := begin(t, Config{OutputTail: 10})
	end := deploy(t, e, shell(`i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done`)).wait(t)
	if want := "\nline 299\n"; end.Output != want {
		t.Errorf("kept %q, want %q", end.Output, want)
	}
}
