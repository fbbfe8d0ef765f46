package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// output is what an attempt has written, as a worker keeps it.
type output struct {
	mu      sync.Mutex
	attempt gateway.AttemptID
	data    string
	// from is where data begins, the rest having been rotated away.
	from int64
	// limit is how much a chunk holds.
	limit int
	ended bool
	err   error
	// written is closed when something was written, nil before anybody waits.
	written chan struct{}
}

// write goes on writing, and wakes who waits.
func (o *output) write(text string, ended bool) {
	o.change(func(o *output) { o.data, o.ended = o.data+text, ended })
}

// change changes the output, and wakes who waits.
func (o *output) change(f func(o *output)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o)
	if o.written != nil {
		close(o.written)
		o.written = nil
	}
}

// read is what a worker does.
func (o *output) read(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	chunk, written := o.look(r)
	if len(chunk.Data) > 0 || chunk.Ended || r.Wait == 0 {
		return chunk, nil
	}
	select {
	case <-written:
	case <-time.After(r.Wait):
	case <-ctx.Done():
		return gateway.LogChunk{}, ctx.Err()
	}
	chunk, _ = o.look(r)
	return chunk, o.failure()
}

func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// look returns what there is, and what is closed when there is more.
func (o *output) look(r gateway.LogRequest) (gateway.LogChunk, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written == nil {
		o.written = make(chan struct{})
	}
	end := o.from + int64(len(o.data))
	at := r.Offset
	if at < 0 {
		at += end
	}
	at = min(max(at, o.from), end)
	data := o.data[at-o.from:]
	if o.limit > 0 && len(data) > o.limit {
		return gateway.LogChunk{Attempt: o.attempt, Offset: at, Data: []byte(data[:o.limit])}, o.written
	}
	return gateway.LogChunk{Attempt: o.attempt, Offset: at, Data: []byte(data), Ended: o.ended}, o.written
}

// writing is a node of a cluster in which etl runs, its only subtask on w-1.
func writing(o *output) *fakeNode {
	o.attempt.Epoch, o.attempt.N = 7, 2
	n := withExecutor(&fakeExecutor{readLog: o.read})
	n.jobs = &fakeDispatcher{snap: job.Snapshot{ID: "etl", Status: job.StatusRunning, Tasks: []job.TaskSnapshot{
		{ID: "extract", Subtasks: []job.SubtaskSnapshot{
			{Index: 0, Worker: "w-1"}, {Index: 1}, {Index: 2, Worker: "w-gone"}, {Index: 3, Worker: "w-away"},
		}},
	}}}
	return n
}

const logPath = "/v1/jobs/etl/tasks/extract/0/log"

func TestLogIsSentAsText(t *testing.T) {
	for query, want := range map[string]string{
		"": "0 hello world", "?offset=6": "6 world", "?offset=-3": "8 rld", "?offset=100": "11 ", "?offset=11": "11 ",
		"?follow=true": "0 hello world",
	} {
		n := writing(&output{data: "hello world", limit: 4, ended: true})
		w := do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, logPath+query, "")
		wantStatus(t, w, http.StatusOK)
		if got := w.Header().Get(HeaderLogOffset) + " " + w.Body.String(); got != want {
			t.Errorf("with %q offset and body are %q, want %q", query, got, want)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", HeaderLogAttempt: "7/2",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		n.wantHungUp(t, 1)
	}
}

func TestLogOfARunningAttemptEndsWhereItIsUnlessFollowed(t *testing.T) {
	n := writing(&output{data: "so far"})
	w := do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, logPath, "")
	if w.Code != http.StatusOK || w.Body.String() != "so far" {
		t.Errorf("answer is %d %q, want what was written so far", w.Code, w.Body)
	}
	n.wantHungUp(t, 1)
}

func TestHeadOfALogHasNoBody(t *testing.T) {
	n := writing(&output{data: "so far"})
	w := do(t, newTestServer(t, "node-1", n, nil), http.MethodHead, logPath+"?follow=true", "")
	wantStatus(t, w, http.StatusOK)
	n.wantHungUp(t, 1)
}

func TestWhoFollowsReadsUntilTheAttemptEndsHoweverLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &output{data: "begin\n"}
		n := writing(o)
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		began := time.Now()
		resp := network.get(t, logPath+"?follow=true")
		if resp.code != http.StatusOK || time.Since(began) != 0 {
			t.Fatalf("answered %d after %s, want 200 at once", resp.code, time.Since(began))
		}
		go func() {
			for i := range 5 {
				<-time.After(time.Hour)
				o.write(fmt.Sprintf("hour %d\n", i+1), i == 4)
			}
		}()
		body, err := io.ReadAll(resp.body)
		if want := "begin\nhour 1\nhour 2\nhour 3\nhour 4\nhour 5\n"; err != nil || string(body) != want {
			t.Errorf("read %q, %v; want %q", body, err, want)
		}
		if took := time.Since(began); took != 5*time.Hour {
			t.Errorf("followed for %s, want until the end after 5 hours", took)
		}
		stop()
		n.wantHungUp(t, 1)
	})
}

func TestALaterAttemptEndsTheLogOfTheFormer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &output{data: "first"}
		n := writing(o)
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		resp := network.get(t, logPath+"?follow=true")
		go func() {
			<-time.After(time.Second)
			o.change(func(o *output) { o.attempt.N, o.data = 3, "second" })
		}()
		if body, err := io.ReadAll(resp.body); err != nil || string(body) != "first" {
			t.Errorf("read %q, %v; want the first attempt's output alone", body, err)
		}
		stop()
	})
}

func TestALogThatCannotBeSentToItsEndIsCutOff(t *testing.T) {
	for name, breaks := range map[string]func(*output){
		"worker dies":  func(o *output) { o.err = errors.New("broken pipe") },
		"rotated away": func(o *output) { o.from, o.data = 100, "later" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &output{data: "first"}
				n := writing(o)
				network, stop := running(t, newTestServer(t, "node-1", n, nil))
				resp := network.get(t, logPath+"?follow=true")
				go func() {
					<-time.After(time.Second)
					o.change(breaks)
				}()
				if body, err := io.ReadAll(resp.body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "first" {
					t.Errorf("read %q, %v; want what there was and an unexpected end", body, err)
				}
				stop()
				n.wantHungUp(t, 1)
			})
		})
	}
}

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &output{data: "first"}
		n := writing(o)
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		network.get(t, logPath+"?follow=true") // whose body nobody reads
		o.write(strings.Repeat("more", 100_000), false)
		<-time.After(readerStall + time.Second)
		synctest.Wait()
		n.wantHungUp(t, 1)
		stop()
	})
}

func TestStoppingEndsWhoFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := writing(&output{data: "first"})
		network, stop := running(t, newTestServer(t, "node-1", n, nil))
		resp := network.get(t, logPath+"?follow=true")
		began := time.Now()
		stopped := soon(stop)
		if _, err := io.ReadAll(resp.body); !errors.Is(err, io.ErrUnexpectedEOF) || time.Since(began) != 0 {
			t.Errorf("reading ended with %v after %s, want an unexpected end at once", err, time.Since(began))
		}
		<-stopped
		n.wantHungUp(t, 1)
	})
}

func TestMoreReadersThanAllowedAreAnsweredWith429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &output{data: "first"}
		n := writing(o)
		s := newTestServer(t, "node-1", n, func(c *Config) { c.MaxLogs = 1 })
		network, stop := running(t, s)
		resp := network.get(t, logPath+"?follow=true")
		p := wantProblem(t, do(t, s, http.MethodGet, logPath, ""), http.StatusTooManyRequests, CodeBusy)
		if !strings.Contains(p.Detail, "1 outputs") {
			t.Errorf("detail %q does not name the limit", p.Detail)
		}
		o.write("", true)
		_, _ = io.ReadAll(resp.body)
		synctest.Wait()
		wantStatus(t, do(t, s, http.MethodGet, logPath, ""), http.StatusOK)
		stop()
	})
}

func TestLogsThatAreNotThere(t *testing.T) {
	const tasks = "/v1/jobs/etl/tasks/"
	for target, want := range map[string]struct {
		status       int
		code, detail string
	}{
		tasks + "transform/0/log": {404, CodeNoTask, `no task "transform"`},
		tasks + "extract/4/log":   {404, CodeNoTask, "has 4 subtasks"},
		tasks + "extract/1/log":   {404, CodeNoLog, "has not been started"},
		tasks + "extract/2/log":   {404, CodeNoLog, `worker "w-gone" is gone`},
		tasks + "extract/3/log":   {503, CodeUnreachable, `worker "w-away"`},
		tasks + "extract/-1/log":  {422, CodeBadRequest, "subtask"},
		tasks + "extract/x/log":   {422, CodeBadRequest, "subtask"},
		logPath + "?offset=much":  {422, CodeBadRequest, "offset"},
	} {
		n := writing(&output{})
		p := wantProblem(t, do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, target, ""), want.status, want.code)
		if !strings.Contains(p.Detail, want.detail) {
			t.Errorf("%s: detail is %q, want %q in it", target, p.Detail, want.detail)
		}
	}
	for code, err := range map[string]error{CodeNoLog: gateway.ErrNoLog, CodeUnreachable: gateway.ErrStopped, CodeNoJob: gateway.ErrNoJob} {
		n := withExecutor(&fakeExecutor{readLog: func(context.Context, gateway.LogRequest) (gateway.LogChunk, error) {
			return gateway.LogChunk{}, fmt.Errorf("read: %w", err)
		}})
		d := &fakeDispatcher{}
		n.jobs = d
		if code == CodeNoJob {
			d.err = err
		} else {
			n.jobs = writing(&output{}).jobs
		}
		w := do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, logPath, "")
		if p := decode[ProblemError](t, w.Body); p.Code != code {
			t.Errorf("with %v the code is %q, want %q", err, p.Code, code)
		}
		n.wantHungUp(t, n.dialled)
	}
}
