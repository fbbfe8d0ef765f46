package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// anyCommitBelow interferes with commits whose first path is in the folder.
func anyCommitBelow(folder string, f func(context.Context) error) func(context.Context, string, string) error {
	return func(ctx context.Context, op, path string) error {
		if op == "commit" && strings.HasPrefix(path, folder+"/") {
			return f(ctx)
		}
		return nil
	}
}

func TestSubmissionOfAKnownJobRunsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has([]job.ID{"recovered"}, nil, []job.ID{"clean"})
		stuck := make(chan struct{})
		w.cleaners = []Cleaner{fakeCleaner{"stuck", func(ctx context.Context, _ job.ID) error {
			select {
			case <-stuck:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}}
		l := w.lead(&fakeTerm{epoch: 2})
		w.submit("running")
		w.submit("dirty")
		w.end("dirty", job.StatusFailed)

		for id, want := range map[job.ID]job.Status{
			"recovered": job.StatusRunning, "running": job.StatusRunning,
			"dirty": job.StatusFailed, "clean": job.StatusFinished,
		} {
			before, runs := len(w.backend.log()), len(w.runners.of(id))
			snap, created, err := w.gateway().Submit(t.Context(), submission(id, "true"))
			if err != nil || created || snap.ID != id || snap.Status != want {
				t.Errorf("same content under %s: %s %s, created %v, error %v; want the job there, %s", id, snap.ID, snap.Status, created, err, want)
			}
			_, created, err = w.gateway().Submit(t.Context(), submission(id, "false"))
			if !errors.Is(err, gateway.ErrConflict) || created {
				t.Errorf("other content under %s: created %v, error %v; want ErrConflict", id, created, err)
			}
			synctest.Wait()
			if n := len(w.backend.log()) - before; n != 0 {
				t.Errorf("submitting %s again wrote %d transactions", id, n)
			}
			if n := len(w.runners.of(id)) - runs; n != 0 {
				t.Errorf("submitting %s again made %d runners", id, n)
			}
		}
		close(stuck)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestInvalidSubmissionIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		for name, s := range map[string]gateway.Submission{
			"no ID": submission("", "true"), "bad ID": submission("a/b", "true"),
			"no tasks": {ID: "a"},
		} {
			var invalid *job.InvalidError
			if _, _, err := w.gateway().Submit(t.Context(), s); !errors.As(err, &invalid) {
				t.Errorf("%s: error %v, want *job.InvalidError", name, err)
			}
		}
		if log := w.backend.log(); len(log) != 0 {
			t.Errorf("written: %v", log)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubmissionIsAcknowledgedAndRunOnlyWhenDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		durable := make(chan struct{})
		w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error { <-durable; return nil }))
		d := w.gateway()
		acked := make(chan error, 1)
		go func() {
			_, _, err := d.Submit(t.Context(), submission("a", "true"))
			acked <- err
		}()
		synctest.Wait()
		if len(acked) != 0 || len(w.runners.of("a")) != 0 {
			t.Error("acknowledged or run before the graph was stored")
		}
		if _, err := d.Job(t.Context(), "a"); !errors.Is(err, gateway.ErrNoJob) {
			t.Errorf("a job that is not stored is shown: %v", err)
		}
		if all, err := d.Jobs(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("a job that is not stored is listed: %v, %v", all, err)
		}
		close(durable)
		if err := <-acked; err != nil {
			t.Errorf("submit: %v", err)
		}
		synctest.Wait()
		w.wantStatus("a", job.StatusRunning)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestConcurrentSubmissionsOfOneIDComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		durable := make(chan struct{})
		w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error { <-durable; return nil }))
		d := w.gateway()
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := make(map[string]int)
		submit := func(command string) {
			wg.Go(func() {
				_, created, err := d.Submit(t.Context(), submission("a", command))
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprintf("created=%v conflict=%v", created, errors.Is(err, gateway.ErrConflict))]++
			})
		}
		submit("true")
		synctest.Wait()
		for range 10 {
			submit("true")
			submit("false")
		}
		synctest.Wait()
		close(durable)
		wg.Wait()
		if got["created=true conflict=false"] != 1 || got["created=false conflict=false"] != 10 || got["created=false conflict=true"] != 10 {
			t.Errorf("answers %v, want 1 created, 10 existing, 10 conflicts", got)
		}
		synctest.Wait()
		w.runners.only(t, "a")
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedSubmissionLetsTheNextOneOfItsIDTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		fail := make(chan struct{})
		w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error { <-fail; return txn.ErrTooLarge }))
		d := w.gateway()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, _, err := d.Submit(t.Context(), submission("a", "true"))
			first <- err
		}()
		synctest.Wait()
		go func() {
			_, _, err := d.Submit(t.Context(), submission("a", "false"))
			second <- err
		}()
		synctest.Wait()
		w.backend.set(nil)
		close(fail)
		if err := <-first; !errors.Is(err, gateway.ErrTooLarge) {
			t.Errorf("first: %v, want ErrTooLarge", err)
		}
		if err := <-second; err != nil {
			t.Errorf("second: %v, want it accepted", err)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubmissionErrorsAreTheGateways(t *testing.T) {
	for name, c := range map[string]struct{ put, want error }{
		"fenced":          {leader.ErrFenced, gateway.ErrNotLeader},
		"too large":       {txn.ErrTooLarge, gateway.ErrTooLarge},
		"unknown outcome": {txn.ErrUnknownOutcome, txn.ErrUnknownOutcome},
		"other":           {errInjected, errInjected},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				l := w.lead(&fakeTerm{epoch: 1})
				w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error { return c.put }))
				_, created, err := w.gateway().Submit(t.Context(), submission("a", "true"))
				if !errors.Is(err, c.want) || created {
					t.Errorf("created %v, error %v, want %v", created, err, c.want)
				}
				if n := len(w.runners.of("a")); n != 0 {
					t.Errorf("a refused job was run %d times", n)
				}
				if err := l.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSubmissionAfterAnUnknownOutcomeFindsItsOwnJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.has([]job.ID{"a"}, nil, nil) // the graph whose reply was lost
		if _, _, err := w.gateway().Submit(t.Context(), submission("a", "false")); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("other content: %v, want ErrConflict", err)
		}
		if _, created, err := w.gateway().Submit(t.Context(), submission("a", "true")); err != nil || created {
			t.Errorf("same content: created %v, error %v, want the job that is there", created, err)
		}
		synctest.Wait()
		if r := w.runners.only(t, "a"); !r.a.Recovered {
			t.Error("the job was not run as one that was there before")
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubmitterThatLeavesDoesNotStopTheSubmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		durable := make(chan struct{})
		w.backend.set(anyCommitBelow("jobgraphs", func(ctx context.Context) error {
			select {
			case <-durable:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
		d := w.gateway()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, _, err := d.Submit(ctx, submission("a", "true"))
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("submit returned %v, want the caller's context error", err)
		}
		close(durable)
		synctest.Wait()
		w.wantStatus("a", job.StatusRunning)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestFencedSubmissionRunsNothingAndIsNotLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.lead(&fakeTerm{epoch: 1})
		w.backend.elect(2) // deposed, and not told yet
		if _, _, err := w.gateway().Submit(t.Context(), submission("a", "true")); !errors.Is(err, gateway.ErrNotLeader) {
			t.Errorf("submit: %v, want ErrNotLeader", err)
		}
		if left := w.backend.has(""); len(left) != 0 {
			t.Errorf("a deposed leader wrote %v", left)
		}
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSubmissionsRacingWithTheEndOfTheTerm submits from many sides while the
// term ends: what was acknowledged is stored, what runs was stored, and every
// call returns.
func TestSubmissionsRacingWithTheEndOfTheTerm(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	term := &fakeTerm{epoch: 1}
	done, ready := make(chan error, 1), make(chan struct{})
	term.publish = func(context.Context) error { close(ready); return nil }
	r := w.coordinator()
	go func() { done <- r.lead(ctx, term) }()
	<-ready
	d := w.gateway()

	var mu sync.Mutex
	var acked []job.ID
	var wg sync.WaitGroup
	enough := make(chan struct{}, 1)
	for side := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := job.ID(fmt.Sprintf("job-%d-%d", side, n))
				_, created, err := d.Submit(t.Context(), submission(id, "true"))
				if errors.Is(err, gateway.ErrNotLeader) {
					return
				}
				if err != nil || !created {
					t.Errorf("submit %s: created %v, error %v", id, created, err)
					return
				}
				mu.Lock()
				acked = append(acked, id)
				if len(acked) == 200 {
					enough <- struct{}{}
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	cancel()
	wg.Wait()
	if err := <-done; err != nil {
		t.Errorf("Lead returned %v", err)
	}
	for _, id := range acked {
		if n := len(w.backend.has("jobgraphs/", "/"+string(id))); n == 0 {
			t.Errorf("job %s was acknowledged and is not stored", id)
		}
	}
	if results := w.backend.has("jobresults"); len(results) != 0 {
		t.Errorf("the end of the term recorded %v", results)
	}
}
