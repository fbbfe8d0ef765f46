package taskexecutor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// calls runs one function as an attempt, and returns its end.
func calls(t *testing.T, f Func, change func(*gateway.Deployment)) (l *lab, end gateway.AttemptEnd) {
	t.Helper()
	l = begin(t, Config{Funcs: Funcs{"f": f, "other": f}})
	_, masters := l.elect(7, "j")
	d := function("f", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0])
	if change != nil {
		change(&d)
	}
	l.launch(t, d)
	synctest.Wait()
	return l, masters["j"].wait(t)
}

func TestFunctionEndsAsItReturns(t *testing.T) {
	for name, c := range map[string]struct {
		f       Func
		change  func(*gateway.Deployment)
		outcome gateway.Outcome
		reason  string // part of it
		output  string // part of it
	}{
		"nil":   {f: func(context.Context, TaskContext) error { return nil }, outcome: gateway.OutcomeFinished},
		"error": {f: func(context.Context, TaskContext) error { return errors.New("no\nluck") }, outcome: gateway.OutcomeFailed, reason: "no luck"},
		"panic": {
			f:       func(context.Context, TaskContext) error { panic("ouch") },
			outcome: gateway.OutcomeFailed, reason: "panicked: ouch", output: "funcs_test.go",
		},
		"end of the goroutine": {
			f:       func(context.Context, TaskContext) error { runtime.Goexit(); return nil },
			outcome: gateway.OutcomeFailed, reason: "ended its goroutine",
		},
		"time-out": {
			f:       functions()["block"],
			change:  func(d *gateway.Deployment) { d.Timeout = time.Second },
			outcome: gateway.OutcomeFailed, reason: "timed out after 1s",
		},
		"unknown": {
			change:  func(d *gateway.Deployment) { d.Func = "g" },
			f:       func(context.Context, TaskContext) error { return nil },
			outcome: gateway.OutcomeFailed, reason: `no function is named "g" on this worker; it has: f, other`,
		},
		"large result": {
			f: func(_ context.Context, t TaskContext) error {
				if err := t.SetResult(make([]byte, job.MaxResult+1)); err == nil {
					return errors.New("accepted")
				}
				return nil // unheeded
			},
			outcome: gateway.OutcomeFailed, reason: "the result has 65537 bytes; at most 65536 are allowed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, end := calls(t, c.f, c.change)
				if end.Outcome != c.outcome || !strings.Contains(end.Reason, c.reason) || strings.Contains(end.Reason, "\n") {
					t.Errorf("got %s (%s), want %s with %q", end.Outcome, end.Reason, c.outcome, c.reason)
				}
				if !strings.Contains(end.Output, c.output) {
					t.Errorf("output %q, want one with %q", end.Output, c.output)
				}
				if end.ExitCode != nil {
					t.Errorf("exit code %d of a function", *end.ExitCode)
				}
			})
		})
	}
}

func TestFunctionSeesItsAttemptAndLeavesAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := func(_ context.Context, t TaskContext) error {
			data := []byte(fmt.Sprintf("%s-%d/%d %s %s", t.Attempt.Task, t.Attempt.Subtask, t.Parallelism, t.Env["A"], t.Inputs[0].Data))
			err := t.SetResult(data)
			clear(data) // it was copied
			fmt.Fprintln(t.Output(), "hello")
			return err
		}
		l, end := calls(t, f, func(d *gateway.Deployment) {
			d.Parallelism, d.Env = 3, map[string]string{"A": "b"}
			d.Inputs = []gateway.Input{{Task: "before", Subtask: 1, Data: []byte("in")}}
		})
		if end.Outcome != gateway.OutcomeFinished || string(end.Result) != "t-0/3 b in" || end.Output != "hello\n" {
			t.Errorf("got %s (%s), result %q, output %q", end.Outcome, end.Reason, end.Result, end.Output)
		}
		chunk, err := l.ReadLog(t.Context(), gateway.LogRequest{Job: "j", Task: "t"})
		if err != nil || string(chunk.Data) != "hello\n" || !chunk.Ended {
			t.Errorf("its log is %q, ended %v, error %v", chunk.Data, chunk.Ended, err)
		}
	})
}

func TestCanceledFunctionEndsAsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := begin(t, Config{Funcs: functions()})
		_, masters := l.elect(7, "j")
		l.launch(t, function("block", theAttempt("j", 0), l.slots(t, 7, "j", 1)[0]))
		ids := []gateway.AttemptID{theAttempt("j", 9), theAttempt("j", 0)} // an unknown one is ignored
		if err := l.CancelAttempts(t.Context(), termOf(term(7)), ids); err != nil {
			t.Fatal(err)
		}
		if end := masters["j"].wait(t); end.Outcome != gateway.OutcomeCanceled || end.Reason != "canceled" {
			t.Errorf("ended as %s (%s), want canceled", end.Outcome, end.Reason)
		}
	})
}

func TestFunctionHasAWorkFolderIfItWantsOne(t *testing.T) {
	data := t.TempDir()
	var dir string
	l := begin(t, Config{DataDir: data, Funcs: Funcs{
		"noop": functions()["noop"],
		"work": func(_ context.Context, t TaskContext) (err error) {
			dir, err = t.WorkDir()
			return err
		},
	}})
	_, masters := l.elect(7, "j")
	slots := l.slots(t, 7, "j", 1)
	l.run(t, slots, 0)
	masters["j"].wait(t)
	if _, err := os.Stat(filepath.Join(data, attemptsName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a function that wrote nothing left something on disk (%v)", err)
	}
	l.launch(t, function("work", theAttempt("j", 1), slots[0]))
	if end := masters["j"].wait(t); end.Outcome != gateway.OutcomeFinished {
		t.Fatalf("ended as %s (%s)", end.Outcome, end.Reason)
	}
	if want := filepath.Join(data, "attempts/j/t/1-7-1/work"); dir != want {
		t.Errorf("work folder %s, want %s", dir, want)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("the work folder is no folder: %v", err)
	}
}

func TestTaskContextIsOfUseWithoutAWorker(t *testing.T) {
	var tc TaskContext
	if err := tc.SetResult(nil); err != nil {
		t.Error(err)
	}
	if n, err := bytes.NewBufferString("text").WriteTo(tc.Output()); n != 4 || err != nil {
		t.Errorf("wrote %d bytes, error %v", n, err)
	}
	if dir, err := tc.WorkDir(); err == nil {
		t.Errorf("work folder %q, want an error", dir)
	}
}

func BenchmarkNoopFunction(b *testing.B) {
	const slots = 64
	net, who := newNetwork(), newLeaders()
	m := newMaster()
	settled := make(chan int, 1000)
	m.settle = func(_ context.Context, ends []gateway.AttemptEnd) error {
		settled <- len(ends)
		for range ends {
			<-m.ends
		}
		return nil
	}
	for range cap(m.ends) - 1000 { // what settle takes out, the master puts in
		m.ends <- gateway.AttemptEnd{}
	}
	net.managers[term(7).SessionID] = newManager()
	net.masters[term(7).SessionID] = map[job.ID]*master{"j": m}
	who.lead(term(7))
	e, err := New(Config{ID: "w", Slots: slots, Network: net, Dispatcher: who, ResourceManager: who, Funcs: functions()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	id := termOf(term(7))
	free, err := e.RequestSlots(ctx, gateway.SlotRequest{Term: id, Job: "j", Count: slots})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		var ds []gateway.Deployment
		for i := 0; i < slots && n < b.N; i++ {
			ds = append(ds, function("noop", theAttempt("j", n), free[i]))
			n++
		}
		if refused, err := e.Deploy(ctx, id, ds); err != nil || len(refused) > 0 {
			b.Fatal(refused, err)
		}
		for got := 0; got < len(ds); {
			got += <-settled
		}
	}
}
