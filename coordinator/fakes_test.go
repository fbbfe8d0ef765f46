package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a driver of both stores in memory: fenced by epoch, with a log of
// what was committed and a place to interfere.
type backend struct {
	mu      sync.Mutex
	data    map[string][]byte
	leading leader.Epoch
	commits []string
	calls   int
	// interfere is called before each operation, outside the lock, with "get",
	// "list" or "commit" and the path. Its error is the operation's.
	interfere func(ctx context.Context, op, path string) error
}

func newBackend() *backend { return &backend{data: make(map[string][]byte), leading: 1} }

func (b *backend) before(ctx context.Context, g leader.Guard, op, path string) error {
	b.mu.Lock()
	b.calls++
	interfere, fenced := b.interfere, g.Epoch() != b.leading
	b.mu.Unlock()
	if interfere != nil {
		if err := interfere(ctx, op, path); err != nil {
			return fmt.Errorf("%s %s: %w", op, path, err)
		}
	}
	if fenced {
		return fmt.Errorf("%s %s: %w", op, path, leader.ErrFenced)
	}
	return nil
}

func (b *backend) Get(ctx context.Context, g leader.Guard, path string) ([]byte, error) {
	if err := b.before(ctx, g, "get", path); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.data[path]
	if !ok {
		return nil, fmt.Errorf("get %s: %w", path, txn.ErrNotFound)
	}
	return slices.Clone(data), nil
}

func (b *backend) List(ctx context.Context, g leader.Guard, path string) ([]string, error) {
	if err := b.before(ctx, g, "list", path); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make(map[string]bool)
	for at := range b.data {
		if rest, ok := strings.CutPrefix(at, path+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func (b *backend) Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error {
	path := ""
	if len(ops) > 0 {
		path = ops[0].Path
	}
	if err := b.before(ctx, g, "commit", path); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var did []string
	for _, op := range ops {
		_, there := b.data[op.Path]
		switch {
		case op.Kind == txn.Create && there:
			return fmt.Errorf("create %s: %w", op.Path, txn.ErrExists)
		case (op.Kind == txn.Put || op.Kind == txn.Delete) && !there:
			return fmt.Errorf("%s %s: %w", op.Kind, op.Path, txn.ErrNotFound)
		}
		did = append(did, op.Kind.String()+" "+folder(op.Path))
	}
	for _, op := range ops { // no path stands in two of them
		if op.Kind == txn.Create || op.Kind == txn.Put {
			b.data[op.Path] = op.Data
		} else {
			delete(b.data, op.Path)
		}
	}
	b.commits = append(b.commits, strings.Join(did, ", "))
	return nil
}

// folder is a path without bucket and ID.
func folder(path string) string {
	parts := strings.Split(path, "/")
	return strings.Join(parts[:max(len(parts)-2, 0)], "/")
}

func (b *backend) set(f func(ctx context.Context, op, path string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interfere = f
}

func (b *backend) elect(e leader.Epoch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leading = e
}

// has returns the paths that contain all of parts.
func (b *backend) has(parts ...string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []string
	for _, path := range slices.Sorted(maps.Keys(b.data)) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(path, p) }) {
			found = append(found, path)
		}
	}
	return found
}

// damage replaces the one value whose path contains all of parts.
func (b *backend) damage(t *testing.T, parts ...string) {
	t.Helper()
	b.replace(t, []byte("not an envelope"), parts...)
}

func (b *backend) replace(t *testing.T, data []byte, parts ...string) {
	t.Helper()
	found := b.has(parts...)
	if len(found) != 1 {
		t.Fatalf("paths with %v: %v, want one", parts, found)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data[found[0]] = data
}

func (b *backend) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.commits)
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// fakeTerm is a term whose publication can be held up.
type fakeTerm struct {
	epoch   leader.Epoch
	publish func(ctx context.Context) error

	mu        sync.Mutex
	phases    []leader.Phase
	published []leader.Info
}

func (t *fakeTerm) SessionID() leader.SessionID {
	return leader.SessionID("session-" + t.epoch.String())
}
func (t *fakeTerm) Epoch() leader.Epoch { return t.epoch }
func (t *fakeTerm) Guard() leader.Guard { return leader.NewGuard(t.epoch, "test") }

func (t *fakeTerm) SetPhase(p leader.Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, p)
}

func (t *fakeTerm) Publish(ctx context.Context, info leader.Info) error {
	if t.publish != nil {
		if err := t.publish(ctx); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published = append(t.published, info)
	return nil
}

func (t *fakeTerm) publications() []leader.Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.published)
}

// fakeRunner runs until it is told how to end.
type fakeRunner struct {
	a    Assignment
	ends chan func() (job.Snapshot, error)
	// lingers, when set, is called after ctx ended and before Run returns.
	lingers func() (job.Snapshot, error)

	mu      sync.Mutex
	snap    job.Snapshot
	cancels int
}

func (r *fakeRunner) Run(ctx context.Context) (job.Snapshot, error) {
	r.set(job.StatusRunning)
	select {
	case end := <-r.ends:
		return end()
	case <-ctx.Done():
		if r.lingers != nil {
			return r.lingers()
		}
		return job.Snapshot{}, ctx.Err()
	}
}

func (r *fakeRunner) set(s job.Status) job.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.snap.Status = s
	return r.snap
}

func (r *fakeRunner) Snapshot() job.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snap
}

func (r *fakeRunner) Cancel() {
	r.mu.Lock()
	r.cancels++
	r.mu.Unlock()
	select {
	case r.ends <- func() (job.Snapshot, error) { return r.set(job.StatusCanceled), nil }:
	default:
	}
}

// end lets Run return a snapshot with the status.
func (r *fakeRunner) end(s job.Status) {
	r.ends <- func() (job.Snapshot, error) { return r.set(s), nil }
}

func (r *fakeRunner) canceled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancels
}

// fakeRunners makes fakeRunners, and remembers all of them.
type fakeRunners struct {
	mu    sync.Mutex
	made  []*fakeRunner
	fails map[job.ID]error
	// dress, when set, changes each new runner.
	dress func(*fakeRunner)
	// before, when set, is called with each assignment, outside the lock.
	before func(Assignment)
}

func (f *fakeRunners) NewJobRunner(a Assignment) (JobRunner, error) {
	if f.before != nil {
		f.before(a)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails[a.Job.ID]; err != nil {
		return nil, err
	}
	r := &fakeRunner{a: a, ends: make(chan func() (job.Snapshot, error), 1), snap: initial(a.Job, a.Epoch)}
	if f.dress != nil {
		f.dress(r)
	}
	f.made = append(f.made, r)
	return r, nil
}

// of returns the runners made for the job, in order.
func (f *fakeRunners) of(id job.ID) []*fakeRunner {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*fakeRunner
	for _, r := range f.made {
		if r.a.Job.ID == id {
			all = append(all, r)
		}
	}
	return all
}

// only returns the one runner of the job.
func (f *fakeRunners) only(t *testing.T, id job.ID) *fakeRunner {
	t.Helper()
	all := f.of(id)
	if len(all) != 1 {
		t.Fatalf("job %s has %d runners, want 1", id, len(all))
	}
	return all[0]
}

// fakeCleaner does what clean says.
type fakeCleaner struct {
	name  string
	clean func(ctx context.Context, id job.ID) error
}

func (c fakeCleaner) Name() string                               { return c.name }
func (c fakeCleaner) Clean(ctx context.Context, id job.ID) error { return c.clean(ctx, id) }

var errInjected = errors.New("injected fault")
