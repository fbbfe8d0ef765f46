package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
)

func TestJournalKeepsTheLastFiles(t *testing.T) {
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		home := filepath.Join(root, fmt.Sprint(run))
		limits := journalLimits{
			fileSize: rapid.Int64Range(1, 20).Draw(t, "file size"), files: rapid.IntRange(1, 3).Draw(t, "files"), tail: 5,
		}
		j := newJournal(theAttempt("j", 0), home, limits)
		var all strings.Builder
		for _, chunk := range rapid.SliceOf(rapid.StringMatching(`[a-z]{0,30}`)).Draw(t, "chunks") {
			all.WriteString(chunk)
			if n, err := j.Write([]byte(chunk)); n != len(chunk) || err != nil {
				t.Fatalf("Write returned %d, %v for %d bytes", n, err, len(chunk))
			}
		}
		total := all.Len()
		tail, err := j.finish()
		if want := all.String()[max(0, total-5):]; tail != want || err != nil {
			t.Fatalf("the tail is %q, error %v; want %q", tail, err, want)
		}
		names, _ := os.ReadDir(home)
		if len(names) > limits.files {
			t.Fatalf("%d files are kept, want at most %d", len(names), limits.files)
		}
		offset := rapid.Int64Range(-int64(total)-5, int64(total)+5).Draw(t, "offset")
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		got, _, err := j.read(offset, limit)
		if err != nil {
			t.Fatal(err)
		}
		from := offset
		if from < 0 {
			from = max(0, int64(total)+from)
		}
		// All but the last file are full.
		kept := 0
		if total > 0 {
			kept = (total-1)%int(limits.fileSize) + 1 + (limits.files-1)*int(limits.fileSize)
		}
		from = min(max(from, int64(total-min(kept, total))), int64(total))
		want := all.String()[from:min(int(from)+limit, total)]
		if got.Offset != from || string(got.Data) != want || got.Ended != (int(from)+len(want) == total) {
			t.Fatalf("read %q at %d (ended %v), want %q at %d of %d bytes", got.Data, got.Offset, got.Ended, want, from, total)
		}
	})
}

func TestReaderThatFindsItsFileRotatedAwayReadsOn(t *testing.T) {
	j := newJournal(theAttempt("j", 0), t.TempDir(), journalLimits{fileSize: 4, files: 1, tail: 4})
	_, _ = io.WriteString(j, "0123")
	old := j.look()
	_, _ = io.WriteString(j, "4567")
	if _, err := j.collect(old, 0, 10); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading by an old view got %v, want that the file is gone", err)
	}
	chunk, _, err := j.read(0, 10)
	if err != nil || chunk.Offset != 4 || string(chunk.Data) != "4567" {
		t.Errorf("read %q at %d, error %v; want 4567 at 4", chunk.Data, chunk.Offset, err)
	}
	if err := os.RemoveAll(j.home); err != nil {
		t.Fatal(err)
	}
	if _, _, err := j.read(0, 10); !errors.Is(err, gateway.ErrNoLog) {
		t.Errorf("reading what was removed got %v, want ErrNoLog", err)
	}
	_, _ = j.finish()
}

func TestOutputThatTheDiskDoesNotTakeIsInTheTail(t *testing.T) {
	home := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := newJournal(theAttempt("j", 0), filepath.Join(home, "below"), journalLimits{fileSize: 4, files: 1, tail: 4})
	if n, err := io.WriteString(j, "0123456789"); n != 10 || err != nil {
		t.Errorf("Write returned %d, %v; want that it does not fail", n, err)
	}
	if tail, err := j.finish(); tail != "6789" || err == nil {
		t.Errorf("the tail is %q, error %v; want 6789 and why it is not on disk", tail, err)
	}
}

// printer is a function that prints what it gets from a channel, until that is closed.
func printer(lines <-chan string) Funcs {
	return Funcs{"print": func(_ context.Context, t TaskContext) error {
		for line := range lines {
			_, _ = io.WriteString(t.Output(), line)
		}
		return nil
	}}
}

func TestLogIsFollowedWhileTheAttemptRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := make(chan string)
		l := begin(t, Config{Funcs: printer(lines)})
		_, masters := l.elect(7, "j")
		slots := l.slots(t, 7, "j", 1)
		l.launch(t, function("print", theAttempt("j", 0), slots[0]))
		request := gateway.LogRequest{Job: "j", Task: "t", Wait: 30 * time.Second}
		expect := func(offset int64, data string, ended bool, after time.Duration) {
			t.Helper()
			began := time.Now()
			chunk, err := l.ReadLog(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Offset != offset || string(chunk.Data) != data || chunk.Ended != ended {
				t.Errorf("got %q at %d, ended %v; want %q at %d, %v", chunk.Data, chunk.Offset, chunk.Ended, data, offset, ended)
			}
			if took := time.Since(began); took != after {
				t.Errorf("it took %s, want %s", took, after)
			}
			request.Offset = chunk.Offset + int64(len(chunk.Data))
		}
		expect(0, "", false, 30*time.Second)
		go func() { <-time.After(time.Second); lines <- "one\n" }()
		expect(0, "one\n", false, time.Second)
		lines <- "two\n"
		synctest.Wait()
		expect(4, "two\n", false, 0)
		lines <- "three\n"
		close(lines)
		synctest.Wait()
		expect(8, "three\n", true, 0)
		expect(14, "", true, 0)
		masters["j"].wait(t)
		request.Offset = -6
		expect(8, "three\n", true, 0)
		request.Offset, request.Limit = 0, 3
		expect(0, "one", false, 0)

		// Another attempt of the subtask: the offset is not its.
		again := theAttempt("j", 0)
		again.N = 2
		more := make(chan string, 1)
		more <- "four\n"
		close(more)
		l.launch(t, gateway.Deployment{Attempt: again, Func: "print", Slot: slots[0]})
		synctest.Wait()
		request.Offset, request.Limit = 14, 0
		chunk, err := l.ReadLog(t.Context(), request)
		if err != nil || chunk.Attempt != again || len(chunk.Data) != 0 {
			t.Errorf("got %q of attempt %d, error %v; want nothing of attempt 2", chunk.Data, chunk.Attempt.N, err)
		}
	})
}

func TestWaitForOutputEndsWithTheAttemptOrTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Funcs: functions()})
		l.elect(7, "j")
		l.launch(t, function("block", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0]))
		request := gateway.LogRequest{Job: "j", Task: "t", Wait: time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.ReadLog(ctx, request); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		go func() {
			<-time.After(time.Second)
			_ = l.CancelAttempts(context.Background(), termOf(term(7)), []gateway.AttemptID{theAttempt("j", 0)})
		}()
		if chunk, err := l.ReadLog(t.Context(), request); err != nil || !chunk.Ended {
			t.Errorf("got %+v, error %v; want the end", chunk, err)
		}
		for _, unknown := range []gateway.LogRequest{{Job: "j", Task: "t", Subtask: 1}, {Job: "j", Task: "u"}, {Job: "k", Task: "t"}} {
			if _, err := l.ReadLog(t.Context(), unknown); !errors.Is(err, gateway.ErrNoLog) {
				t.Errorf("the log of %+v: %v, want ErrNoLog", unknown, err)
			}
		}
	})
}
