package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/internal/history"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
	"github.com/coordd/coordd/txn/batch"
)

// onlySubtask is the one subtask of the jobs here.
const onlySubtask = "only/0"

// realm is several coordinators over a land, with all that an agent has below
// them, and jobs that record progress and leave outputs. Everything that happens is
// recorded.
type realm struct {
	t         *testing.T
	rec       *chronicle
	land      land
	life      func() context.Context // ends when the realm is stopped
	retention Retention
	// lasts says how long a job runs at a member.
	lasts func(member string, id job.ID) time.Duration
	// clean is a cleaner's work; nil for one that succeeds.
	clean func(member string, id job.ID) error

	wg sync.WaitGroup

	mu      sync.Mutex
	members []*member
}

// member is one coordinator.
type member struct {
	place
	id      string
	realm   *realm
	tap     *tap
	jobs    *jobstore.Store
	results *resultstore.Store
	runner  *Runner
	cancel  context.CancelFunc
}

func newRealm(t *testing.T, l land) (r *realm, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r = &realm{
		t: t, land: l, rec: &chronicle{land: l}, life: func() context.Context { return ctx }, retention: Retention{Count: -1, Age: -1},
		lasts: func(string, job.ID) time.Duration { return 10 * time.Millisecond },
	}
	r.read("reader")
	return r, func() { cancel(); r.wg.Wait() }
}

// read follows the leader and records what it is told.
func (r *realm) read(id string) {
	services := r.land.join(r.t, id)
	follower, err := retrieval.New(retrieval.Config{Driver: services.Retrieval(), Component: leader.Dispatcher})
	if err != nil {
		r.t.Fatal(err)
	}
	r.wg.Go(func() { _ = services.Run(r.life()) })
	r.wg.Go(func() { _ = follower.Run(r.life()) })
	r.wg.Go(func() {
		_ = follower.ListenLeader(r.life(), func(info leader.Info, leads bool) {
			if leads {
				r.rec.note(history.Event{Kind: history.Announced, Epoch: int64(info.Epoch), By: id})
			}
		})
	})
}

// start starts a member, which contends until the realm is stopped.
func (r *realm) start(id string) *member {
	m := r.prepare(id)
	r.launch(m)
	return m
}

// prepare makes a member that has done nothing yet.
func (r *realm) prepare(id string) *member {
	m := &member{id: id, realm: r, place: r.land.join(r.t, id)}
	m.tap = &tap{Store: m.Services.Store()}
	driver, err := batch.New(batch.Config{Storage: m.tap})
	if err != nil {
		r.t.Fatal(err)
	}
	m.jobs, m.results = jobstore.New(driver), resultstore.New(driver)
	if m.runner, err = New(Config{Address: "http://" + id, Jobs: m.jobs, Results: m.results, Dispatchers: m}); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// launch starts a member that was prepared.
func (r *realm) launch(m *member) {
	elector, err := election.New(election.Config{ID: m.id, Driver: m.Election(), Component: leader.Dispatcher})
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.members = append(r.members, m)
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(r.life())
	m.cancel = cancel
	r.wg.Go(func() { _ = m.Run(ctx) })
	r.wg.Go(func() {
		if err := elector.Run(ctx, m); errors.Is(err, election.ErrStopGrace) {
			r.t.Error(err)
		}
	})
	<-time.After(time.Second) // it has queued
}

// settle lets everything happen that is going to, with whatever was struck.
func (r *realm) settle() { r.elapse(time.Minute) }

// elapse lets time pass.
func (r *realm) elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// review has an operator's order about a job in quarantine carried out.
func (r *realm) review(id job.ID, order func(*Dispatcher, context.Context, job.ID) error) {
	r.t.Helper()
	r.await("review "+string(id), func(d *Dispatcher, _ *member) bool {
		ctx, cancel := context.WithTimeout(r.life(), 5*time.Second)
		defer cancel()
		err := order(d, ctx, id)
		return err == nil || errors.Is(err, gateway.ErrNotQuarantined) || errors.Is(err, gateway.ErrNoJob)
	})
}

// Lead implements election.Contender.
func (m *member) Lead(ctx context.Context, t *election.Term) error {
	m.realm.rec.note(history.Event{Kind: history.Led, Epoch: int64(t.Epoch()), By: m.id})
	return m.runner.Lead(ctx, t)
}

// NewDispatcher implements DispatcherFactory.
func (m *member) NewDispatcher(t Token, rec Recovery) (Service, error) {
	e := history.Event{Kind: history.Recovered, Epoch: int64(t.Epoch), By: m.id}
	for _, j := range rec.Jobs {
		e.Jobs = append(e.Jobs, string(j.ID))
	}
	for _, res := range append(append([]job.Result{}, rec.Dirty...), rec.Clean...) {
		e.Jobs = append(e.Jobs, string(res.Snapshot.ID))
	}
	for _, q := range rec.Quarantined {
		e.Jobs = append(e.Jobs, string(q.ID))
	}
	m.realm.rec.note(e)
	return NewDispatcher(DispatcherConfig{
		Jobs: m.jobs, Results: m.results, Runners: m, Tree: m.tap, ID: m.id, Retention: m.realm.retention,
		Cleaners: []Cleaner{fakeCleaner{"externals", m.cleanUp}},
	}, t, rec)
}

func (m *member) cleanUp(_ context.Context, id job.ID) error {
	if m.realm.clean != nil {
		if err := m.realm.clean(m.id, id); err != nil {
			return err
		}
	}
	m.realm.rec.note(history.Event{Kind: history.Cleaned, Job: string(id)})
	return nil
}

// NewJobRunner implements JobRunnerFactory.
func (m *member) NewJobRunner(a Assignment) (JobRunner, error) {
	return &worker{m: m, a: a, canceled: make(chan struct{}), snap: initial(a.Job, a.Epoch)}, nil
}

// worker runs the one subtask of a job, unless its success is recorded.
type worker struct {
	m        *member
	a        Assignment
	snap     job.Snapshot
	once     sync.Once
	canceled chan struct{}
}

func (w *worker) Snapshot() job.Snapshot { return w.snap }
func (w *worker) Cancel()                { w.once.Do(func() { close(w.canceled) }) }

func (w *worker) Run(ctx context.Context) (job.Snapshot, error) {
	rec, id := w.m.realm.rec, w.a.Job.ID
	ran := history.Event{Kind: history.Ran, Epoch: int64(w.a.Epoch), By: w.m.id, Job: string(id)}
	rec.note(ran)
	var p jobstore.Progress
	err := w.insist(ctx, func() (err error) { p, err = w.m.jobs.Progress(ctx, w.a.Guard, id, w.a.Job.Graph); return err })
	if err != nil {
		return job.Snapshot{}, err
	}
	end := w.snap
	end.Status = job.StatusFinished
	_, recorded := p.Of(0)
	if !recorded {
		ran.Subtask = onlySubtask
		rec.note(ran)
		select {
		case <-time.After(w.m.realm.lasts(w.m.id, id)):
		case <-w.canceled:
			end.Status = job.StatusCanceled
		case <-ctx.Done():
			return job.Snapshot{}, ctx.Err()
		}
	}
	if !recorded && end.Status == job.StatusFinished {
		p.Finish(0, w.a.Epoch, 1, false)
		err := w.insist(ctx, func() error { return w.m.jobs.PutProgress(ctx, w.a.Guard, id, p) })
		if err != nil {
			return job.Snapshot{}, err
		}
	}
	if err := w.insist(ctx, func() error { return w.output(ctx, id) }); err != nil {
		return job.Snapshot{}, err
	}
	end.FinishedAt = time.Now().UTC()
	return end, nil
}

func (w *worker) output(ctx context.Context, id job.ID) error {
	err := w.m.tap.Commit(ctx, w.a.Guard, txn.Op{Kind: txn.Create, Path: pathOf("outputs", id) + "/only", Data: []byte(w.a.Epoch.String())})
	if errors.Is(err, txn.ErrExists) {
		return nil
	}
	return err
}

// insist tries until it succeeds or the term is over.
func (w *worker) insist(ctx context.Context, try func() error) error {
	for {
		err := try()
		switch {
		case err == nil, errors.Is(err, leader.ErrFenced):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// all returns the members that were ever started.
func (r *realm) all() []*member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

// leading returns the dispatcher of the newest term that serves, and whose it is.
func (r *realm) leading() (*Dispatcher, *member) {
	var newest *Dispatcher
	var of *member
	for _, m := range r.all() {
		if g, err := m.runner.Dispatcher(); err == nil {
			if d, ok := g.(*Dispatcher); ok && (newest == nil || d.token.Epoch > newest.token.Epoch) {
				newest, of = d, m
			}
		}
	}
	return newest, of
}

// await calls try with the leader until it says that it is done.
func (r *realm) await(what string, try func(d *Dispatcher, m *member) bool) {
	r.t.Helper()
	for range 2000 {
		if d, m := r.leading(); d != nil && try(d, m) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	r.t.Errorf("%s: nobody did it", what)
}

// submit submits until the job is acknowledged, whoever leads.
func (r *realm) submit(ids ...job.ID) {
	r.t.Helper()
	for _, id := range ids {
		r.await("submit "+string(id), func(d *Dispatcher, _ *member) bool { return r.try(d, id) })
	}
}

// try submits once and reports whether the job was acknowledged.
func (r *realm) try(d *Dispatcher, id job.ID) bool {
	ctx, cancel := context.WithTimeout(r.life(), 5*time.Second)
	defer cancel()
	s := submission(id, "true")
	snap, _, err := d.Submit(ctx, s)
	if err != nil {
		return false
	}
	r.rec.note(history.Event{Kind: history.Acked, Job: string(id), Content: s.Graph.Digest()})
	r.see(snap)
	return true
}

// see records the end of a job that a client was told.
func (r *realm) see(s job.Snapshot) {
	if s.Status.Terminal() {
		r.rec.note(history.Event{Kind: history.Seen, Job: string(s.ID), Content: outcome(s)})
	}
}

// look asks for all jobs, as a client does, and returns them.
func (r *realm) look() map[job.ID]job.Snapshot {
	var all []job.Snapshot
	r.await("list jobs", func(d *Dispatcher, _ *member) bool {
		ctx, cancel := context.WithTimeout(r.life(), 5*time.Second)
		defer cancel()
		var err error
		all, err = d.Jobs(ctx)
		return err == nil
	})
	found := make(map[job.ID]job.Snapshot, len(all))
	for _, s := range all {
		found[s.ID] = s
		r.see(s)
	}
	return found
}

// overwrite puts data in the place of a job's graph, as somebody with a tool does,
// and returns what was there.
func (r *realm) overwrite(id job.ID, data []byte) (before []byte) {
	r.t.Helper()
	path := pathOf("jobgraphs", id)
	r.await("overwrite "+string(id), func(d *Dispatcher, m *member) bool {
		ctx, cancel := context.WithTimeout(r.life(), 5*time.Second)
		defer cancel()
		var err error
		if before, err = m.Services.Store().Get(ctx, d.token.Guard, path); err != nil {
			return false
		}
		return m.Services.Store().Commit(ctx, d.token.Guard, txn.Op{Kind: txn.Put, Path: path, Data: data}) == nil
	})
	return before
}

// judge fails the test for each violation.
func (r *realm) judge(what string) {
	r.t.Helper()
	events := r.rec.all()
	found := history.Check(events)
	for _, v := range found {
		r.t.Errorf("%s: %s", what, v)
	}
	if len(found) > 0 {
		for i, e := range events {
			r.t.Logf("%4d %s", i, e)
		}
	}
}
