package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// limited makes dispatchers with limits.
type limited struct {
	*world
	limits Limits
}

func (f limited) NewDispatcher(t Token, r Recovery) (Service, error) {
	return NewDispatcher(DispatcherConfig{
		Jobs: f.jobs, Results: f.results, Runners: f.runners, Cleaners: f.cleaners, Limits: f.limits,
	}, t, r)
}

// leadWithin lets a leader with limits lead, after it recovered the jobs.
func leadWithin(t *testing.T, limits Limits, recovered []job.ID, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.has(recovered, nil, nil)
		r, err := New(Config{Jobs: w.jobs, Results: w.results, Dispatchers: limited{w, limits}})
		if err != nil {
			t.Fatal(err)
		}
		w.runner = r
		l := w.lead(&fakeTerm{epoch: 2})
		f(t, w)
		if err := l.stop(); err != nil {
			t.Error(err)
		}
	})
}

// refused submits and checks that it is refused, and that nothing was written.
func (w *world) refused(id job.ID, g job.Graph, want error) {
	w.t.Helper()
	before := len(w.backend.log())
	_, _, err := w.gateway().Submit(w.t.Context(), gateway.Submission{ID: id, Graph: g})
	if !errors.Is(err, want) || !strings.Contains(err.Error(), string(id)) {
		w.t.Errorf("submitting %s ended with %v, want %v that names it", id, err, want)
	}
	synctest.Wait()
	if n := len(w.backend.log()) - before; n != 0 {
		w.t.Errorf("the refused submission of %s wrote %d transactions", id, n)
	}
	if _, err := w.gateway().Job(w.t.Context(), id); !errors.Is(err, gateway.ErrNoJob) {
		w.t.Errorf("the refused %s is known: %v", id, err)
	}
}

func TestNoMoreJobsAreTakenThanMayBeKnown(t *testing.T) {
	leadWithin(t, Limits{Jobs: 2}, []job.ID{"a", "b", "c"}, func(t *testing.T, w *world) {
		t.Helper()
		for _, id := range []job.ID{"a", "b", "c"} {
			if len(w.runners.of(id)) != 1 {
				t.Errorf("recovered job %s was not run because of a limit for submissions", id)
			}
		}
		w.refused("d", submission("d", "true").Graph, gateway.ErrBusy)
		if _, created, err := w.gateway().Submit(t.Context(), submission("a", "true")); err != nil || created {
			t.Errorf("submitting a known job again ended with %v, created %v; want the job that is there", err, created)
		}
		w.end("a", job.StatusFinished)
		w.end("b", job.StatusFinished)
		w.submit("d")
	})
}

func TestNoMoreSubmissionsAreStoredAtOnceThanAllowed(t *testing.T) {
	leadWithin(t, Limits{Accepting: 2}, nil, func(t *testing.T, w *world) {
		t.Helper()
		stall := make(chan struct{})
		w.backend.set(anyCommitBelow("jobgraphs", func(ctx context.Context) error {
			select {
			case <-stall:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}))
		results := make(chan error, 2)
		for i := range 2 {
			go func() {
				_, _, err := w.gateway().Submit(t.Context(), submission(job.ID(fmt.Sprintf("slow-%d", i)), "true"))
				results <- err
			}()
		}
		synctest.Wait()
		w.refused("third", submission("third", "true").Graph, gateway.ErrBusy)
		close(stall)
		for range 2 {
			if err := <-results; err != nil {
				t.Errorf("a slow submission ended with %v", err)
			}
		}
		w.submit("third")
	})
}

func TestAFullStoreIsBusy(t *testing.T) {
	leadWithin(t, Limits{}, nil, func(t *testing.T, w *world) {
		t.Helper()
		w.backend.set(anyCommitBelow("jobgraphs", func(context.Context) error { return txn.ErrFull }))
		w.refused("a", submission("a", "true").Graph, gateway.ErrBusy)
		w.backend.set(nil)
		w.submit("a")
	})
}

func TestAGraphBeyondALimitIsTooLarge(t *testing.T) {
	graph := func(tasks, parallelism int) job.Graph {
		g := job.Graph{Name: "large"}
		for i := range tasks {
			g.Tasks = append(g.Tasks, job.Task{ID: fmt.Sprintf("t%d", i), Command: []string{"true"}, Parallelism: parallelism})
		}
		return g
	}
	size := len(graph(2, 2).Encode())
	for name, limits := range map[string]Limits{"tasks": {Tasks: 1}, "subtasks": {Subtasks: 3}, "bytes": {GraphSize: size - 1}} {
		t.Run(name, func(t *testing.T) {
			leadWithin(t, limits, nil, func(t *testing.T, w *world) {
				t.Helper()
				w.refused("large", graph(2, 2), gateway.ErrTooLarge)
			})
		})
	}
	leadWithin(t, Limits{Tasks: 2, Subtasks: 4, GraphSize: size}, nil, func(t *testing.T, w *world) {
		t.Helper()
		if _, _, err := w.gateway().Submit(t.Context(), gateway.Submission{ID: "exact", Graph: graph(2, 2)}); err != nil {
			t.Errorf("a graph at every limit was refused: %v", err)
		}
	})
}

func TestNegativeLimitsAreRefused(t *testing.T) {
	w := newWorld(t)
	_, err := limited{w, Limits{Jobs: -1}}.NewDispatcher(Token{}, Recovery{})
	if err == nil || !strings.Contains(err.Error(), "Limits") {
		t.Errorf("got %v, want an error that names the field", err)
	}
}
