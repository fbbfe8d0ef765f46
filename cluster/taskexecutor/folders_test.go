package taskexecutor

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/rpc"
)

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestCommandReadsInputsAndLeavesAResult(t *testing.T) {
	l := begin(t, Config{})
	d := shell(`cd "$COORDD_INPUTS" && cat a/0 b/12 > "$COORDD_OUTPUT"; ls -d "$COORDD_WORK" && ls -A "$COORDD_WORK" && echo x > "$COORDD_WORK/y"`)
	d.Inputs = []gateway.Input{{Task: "a", Subtask: 0, Data: []byte("one ")}, {Task: "b", Subtask: 12, Data: []byte("two")}}
	end := deploy(t, l, d).wait(t)
	if end.Outcome != gateway.OutcomeFinished || string(end.Result) != "one two" {
		t.Errorf("ended as %s (%s) with result %q, want finished with \"one two\"", end.Outcome, end.Reason, end.Result)
	}
	if lines := strings.Count(end.Output, "\n"); lines != 1 {
		t.Errorf("the work folder is not there, or not empty: %q", end.Output)
	}
}

func TestResultCountsWhenTheAttemptFinishes(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		outcome gateway.Outcome
		result  string
		reason  string
	}{
		"none":       {`true`, gateway.OutcomeFinished, "", ""},
		"empty":      {`: > $COORDD_OUTPUT`, gateway.OutcomeFinished, "", ""},
		"largest":    {`head -c 65536 /dev/zero > $COORDD_OUTPUT`, gateway.OutcomeFinished, strings.Repeat("\x00", 65536), ""},
		"too large":  {`head -c 65537 /dev/zero > $COORDD_OUTPUT`, gateway.OutcomeFailed, "", "the result has 65537 bytes; at most 65536 are allowed"},
		"no file":    {`mkdir $COORDD_OUTPUT`, gateway.OutcomeFailed, "", "COORDD_OUTPUT names no regular file"},
		"failed":     {`echo x > $COORDD_OUTPUT; exit 1`, gateway.OutcomeFailed, "", "exited with code 1"},
		"no end yet": {`mkfifo $COORDD_OUTPUT`, gateway.OutcomeFailed, "", "COORDD_OUTPUT names no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t, Config{})
			end := deploy(t, l, shell(c.script)).wait(t)
			if end.Outcome != c.outcome || !bytes.Equal(end.Result, []byte(c.result)) || !strings.Contains(end.Reason, c.reason) {
				t.Errorf("ended as %s (%s) with %d bytes, want %s (%s) with %d",
					end.Outcome, end.Reason, len(end.Result), c.outcome, c.reason, len(c.result))
			}
		})
	}
}

func TestReleasedJobsFoldersAreRemoved(t *testing.T) {
	data := t.TempDir()
	l := begin(t, Config{DataDir: data, Slots: 2})
	_, masters := l.elect(7, "j")
	slots := l.slots(t, 7, "j", 2)
	first, second := shell(`mkdir $COORDD_WORK/d; chmod 500 $COORDD_WORK/d; echo log`), shell("")
	ready := fifo(t)
	second.Attempt.Subtask = 1
	second.Command = []string{"sh", "-c", `trap '' TERM; echo up > ` + ready + `; while :; do sleep 1; done`}
	first.Slot, second.Slot = slots[0], slots[1]
	l.launch(t, first, second)
	masters["j"].wait(t)
	waitLine(t, ready)
	request := gateway.LogRequest{Job: "j", Task: "t"}
	if chunk, err := l.ReadLog(t.Context(), request); err != nil || string(chunk.Data) != "log\n" {
		t.Errorf("the log of an attempt that was settled is %q, error %v", chunk.Data, err)
	}
	folder := filepath.Join(data, "attempts/j")
	if !exists(t, filepath.Join(folder, "t/0-7-1/work/d")) {
		t.Error("the attempt's folder does not outlive it")
	}
	for range 2 { // again, after a lost answer
		if err := l.ReleaseJob(t.Context(), termOf(term(7)), "j"); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.stop() // waits for the attempt that ignores TERM, and was killed
	if exists(t, folder) {
		t.Errorf("%s is still there", folder)
	}
	quiet(t, masters["j"].ends, "end of an attempt of a released job")
}

func TestFolderBelongsToOneWorker(t *testing.T) {
	data := t.TempDir()
	leftover := filepath.Join(data, "attempts/old/t/0-1-1/work")
	if err := os.MkdirAll(leftover, 0o700); err != nil {
		t.Fatal(err)
	}
	l := begin(t, Config{DataDir: data})
	l.elect(7, "j")
	l.slots(t, 7, "j", 1) // it works
	if exists(t, filepath.Join(data, "attempts")) {
		t.Error("what a former worker left is still there")
	}
	cfg := Config{ID: "w2", Slots: 1, DataDir: data, Network: l.network, Dispatcher: newLeaders(), ResourceManager: newLeaders()}
	second, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, ErrFolderInUse) || !strings.Contains(err.Error(), data) {
		t.Errorf("a second worker got %v, want ErrFolderInUse with the folder", err)
	}
	if _, err := second.RequestSlots(t.Context(), gateway.SlotRequest{Term: termOf(term(7)), Job: "j", Count: 1}); !errors.Is(err, rpc.ErrNotStarted) {
		t.Errorf("slot request at it got %v, want ErrNotStarted", err)
	}
	_ = l.stop()
	after := begin(t, Config{DataDir: data})
	after.elect(7, "j")
	after.slots(t, 7, "j", 1)
}

func TestTemporaryFolderGoesWithTheWorker(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	l := begin(t, Config{})
	end := deploy(t, l, shell(`echo $COORDD_WORK`)).wait(t)
	work := strings.TrimSpace(end.Output)
	if !strings.HasPrefix(work, os.Getenv("TMPDIR")) || !exists(t, work) {
		t.Errorf("the work folder %q is not below TMPDIR, or not there", work)
	}
	_ = l.stop()
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("%v is left, error %v", left, err)
	}
}

func TestOutputOfACommandIsServedFromItsFiles(t *testing.T) {
	data := t.TempDir()
	l := begin(t, Config{DataDir: data, LogFileSize: 1000, LogFiles: 3, OutputTail: 10})
	end := deploy(t, l, shell(`i=100; while [ $i -lt 1100 ]; do echo line $i >&2; i=$((i+1)); done`)).wait(t)
	if end.Outcome != gateway.OutcomeFinished || end.Output != "line 1099\n" {
		t.Fatalf("ended as %s with output %q", end.Outcome, end.Output)
	}
	const total = 900*9 + 100*10
	chunk, err := l.ReadLog(t.Context(), gateway.LogRequest{Job: "j", Task: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if got := chunk.Offset + int64(len(chunk.Data)); got != total || !chunk.Ended {
		t.Errorf("the log ends at %d (ended %v), want %d", got, chunk.Ended, total)
	}
	if n := len(chunk.Data); n > 3000 || n < 2000 {
		t.Errorf("%d bytes are kept, want more than two files of 1000", n)
	}
	if !bytes.HasSuffix(chunk.Data, []byte("line 1098\nline 1099\n")) {
		t.Errorf("the log ends with %q", chunk.Data[max(0, len(chunk.Data)-20):])
	}
	if files, err := filepath.Glob(filepath.Join(data, "attempts/j/t/0-7-1/log.*")); err != nil || len(files) != 3 {
		t.Errorf("files %v, error %v; want 3", files, err)
	}
}
