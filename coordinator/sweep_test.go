package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// cluster is two coordinators on one embedded backend, with real elections and
// real stores. Its jobs take a moment and finish.
type cluster struct {
	t       *testing.T
	backend *embedded.Backend
	nodes   []*node

	mu    sync.Mutex
	guard leader.Guard    // of the newest term that was given a job
	ends  map[job.ID]bool // jobs that were cleaned, so have a recorded result
}

type node struct {
	participant *embedded.Participant
	runner      *Runner
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	backend, err := embedded.New(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, backend: backend, ends: make(map[job.ID]bool)}
	for _, id := range []string{"one", "two"} {
		p := backend.Participant(id)
		jobs, results := jobstore.New(p.Store()), resultstore.New(p.Store())
		factory, err := NewSessionFactory(DispatcherConfig{
			Jobs: jobs, Results: results, Runners: c,
			Cleaners: []Cleaner{fakeCleaner{"externals", c.clean}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(Config{Address: "http://" + id, Jobs: jobs, Results: results, Dispatchers: factory})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, &node{participant: p, runner: r})
	}
	return c
}

// run runs the nodes, the first one first, until ctx ends.
func (c *cluster) run(ctx context.Context) (wait func()) {
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		e, err := election.New(election.Config{ID: fmt.Sprint(i), Driver: n.participant.Election(), Component: leader.Dispatcher})
		if err != nil {
			c.t.Fatal(err)
		}
		wg.Go(func() { _ = n.participant.Run(ctx) })
		wg.Go(func() {
			if err := e.Run(ctx, n.runner); errors.Is(err, election.ErrStopGrace) {
				c.t.Error(err)
			}
		})
		synctest.Wait()
	}
	return wg.Wait
}

// NewJobRunner implements JobRunnerFactory.
func (c *cluster) NewJobRunner(a Assignment) (JobRunner, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.Epoch > c.guard.Epoch() {
		c.guard = a.Guard
	}
	if c.ends[a.Job.ID] {
		c.t.Errorf("job %s is run in epoch %d though its result was recorded", a.Job.ID, a.Epoch)
	}
	return shortRunner{initial(a.Job, a.Epoch)}, nil
}

// clean is called only for jobs with a recorded result.
func (c *cluster) clean(_ context.Context, id job.ID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[id] = true
	return nil
}

// shortRunner finishes after a moment.
type shortRunner struct{ snap job.Snapshot }

func (r shortRunner) Snapshot() job.Snapshot { return r.snap }
func (r shortRunner) Cancel()                {}

func (r shortRunner) Run(ctx context.Context) (job.Snapshot, error) {
	select {
	case <-time.After(10 * time.Millisecond):
		r.snap.Status, r.snap.FinishedAt = job.StatusFinished, time.Now().UTC()
		return r.snap, nil
	case <-ctx.Done():
		return job.Snapshot{}, ctx.Err()
	}
}

// leading returns the dispatcher of the newest term that serves.
func (c *cluster) leading() *Dispatcher {
	var newest *Dispatcher
	for _, n := range c.nodes {
		if g, err := n.runner.Dispatcher(); err == nil {
			if d, ok := g.(*Dispatcher); ok && (newest == nil || d.token.Epoch > newest.token.Epoch) {
				newest = d
			}
		}
	}
	return newest
}

// submit submits until the job is acknowledged, whoever leads.
func (c *cluster) submit(ctx context.Context, id job.ID) {
	for range 1000 {
		if d := c.leading(); d != nil {
			if _, _, err := d.Submit(ctx, submission(id, "true")); err == nil {
				return
			}
		}
		<-time.After(100 * time.Millisecond)
	}
	c.t.Errorf("job %s was never accepted", id)
}

// TestLeaderLostAtEveryStoreCall lets three jobs run while the first leader is
// lost at its k-th call of the store, before or after the call takes effect, by
// expiry or by death, for every k. Whatever k is, each job ends with one clean
// result and nothing else is left of it.
func TestLeaderLostAtEveryStoreCall(t *testing.T) {
	for _, after := range []bool{false, true} {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("after=%v kill=%v", after, kill), func(t *testing.T) {
				k, hit := 0, true
				for ; hit && !t.Failed(); k++ {
					synctest.Test(t, func(t *testing.T) { hit = loseLeaderAt(t, k, after, kill) })
				}
				if k <= 5 {
					t.Errorf("the leader was lost at %d calls, want the sweep to meet more", k)
				}
			})
		}
	}
}

// loseLeaderAt reports whether the leader made a k-th call.
func loseLeaderAt(t *testing.T, k int, after, kill bool) bool {
	t.Helper()
	c := newCluster(t)
	first := c.nodes[0].participant
	var hit atomic.Bool
	remove := c.backend.Inject(embedded.Fault{Participant: "one", Skip: k, Times: 1, After: after, Hook: func() {
		hit.Store(true)
		if kill {
			first.Kill()
		} else {
			first.Expire()
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	wait := c.run(ctx)
	defer wait()
	defer cancel()

	ids := []job.ID{"a", "b", "c"}
	for _, id := range ids {
		c.submit(ctx, id)
	}
	<-time.After(2 * time.Minute)
	synctest.Wait()
	remove() // what follows is the test's own reading

	d := c.leading()
	if d == nil {
		t.Errorf("k=%d: nobody leads at the end", k)
		return hit.Load()
	}
	results, err := resultstore.New(c.participantOf(d).Store()).Clean(ctx, d.token.Guard)
	if err != nil || len(results) != len(ids) {
		t.Errorf("k=%d: clean results %v, error %v; want one for each of %v", k, results, err, ids)
	}
	left, err := jobstore.New(c.participantOf(d).Store()).IDs(ctx, d.token.Guard)
	if err != nil || len(left) != 0 {
		t.Errorf("k=%d: graphs left: %v, error %v", k, left, err)
	}
	for _, id := range ids {
		if s, err := d.Job(ctx, id); err != nil || s.Status != job.StatusFinished {
			t.Errorf("k=%d: job %s is %s, error %v; want FINISHED", k, id, s.Status, err)
		}
	}
	return hit.Load()
}

func (c *cluster) participantOf(d *Dispatcher) *embedded.Participant {
	for _, n := range c.nodes {
		if g, err := n.runner.Dispatcher(); err == nil && g == d {
			return n.participant
		}
	}
	return c.nodes[0].participant
}
