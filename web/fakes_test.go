package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is everything that a server sees of its node.
type fakeNode struct {
	mu      sync.Mutex
	own     leader.Info
	leads   bool
	obs     retrieval.State
	health  ha.Health
	changed chan struct{}
	// The components that it reaches; nil ones are reported as ErrNotLeader.
	jobs     gateway.Dispatcher
	recovers gateway.Recovery
	workers  gateway.ResourceManager
	masters  map[job.ID]gateway.JobMaster
	executor map[gateway.Worker]gateway.TaskExecutor
	// refused is the error of connecting to a master or worker that is not there.
	refused error
	// hungUp and dialled count connections.
	hungUp, dialled int

	// What Participants returns; silent: only when its context ends.
	contenders []election.Participant
	err        error
	silent     bool
}

func newFakeNode() *fakeNode {
	return &fakeNode{
		health:  ha.Health{Connected: true, State: "connected", LastContact: time.Now()},
		obs:     retrieval.State{Status: retrieval.StatusNone, Index: 5},
		changed: make(chan struct{}),
	}
}

// update changes the node and wakes who waits.
func (n *fakeNode) update(change func(n *fakeNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *fakeNode) Leading(string) (leader.Info, bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.own, n.leads, n.changed
}

func (n *fakeNode) Latest() (retrieval.State, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.obs, n.changed
}

func (n *fakeNode) Health() ha.Health {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.health
}

func (n *fakeNode) Dispatcher() (gateway.Dispatcher, error) { return leading(n, &n.jobs) }

func (n *fakeNode) Recovery() (gateway.Recovery, error) { return leading(n, &n.recovers) }

func (n *fakeNode) ResourceManager() (gateway.ResourceManager, error) { return leading(n, &n.workers) }

// leading returns the component at c, if there is one.
func leading[T comparable](n *fakeNode, c *T) (T, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var none T
	if *c == none {
		return none, gateway.ErrNotLeader
	}
	return *c, nil
}

func (n *fakeNode) JobMaster(_ context.Context, id job.ID) (gateway.JobMaster, func(), error) {
	return dial(n, n.masters, id)
}

func (n *fakeNode) Worker(_ context.Context, w gateway.Worker) (gateway.TaskExecutor, func(), error) {
	return dial(n, n.executor, w)
}

// dial returns what is at the key, and counts connections.
func dial[K, T comparable](n *fakeNode, all map[K]T, key K) (T, func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var none T
	if all[key] == none {
		return none, nil, n.refused
	}
	n.dialled++
	return all[key], func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.hungUp++
	}, nil
}

// wantHungUp checks that as many connections were opened, and all of them closed.
func (n *fakeNode) wantHungUp(t *testing.T, want int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dialled != want || n.hungUp != want {
		t.Errorf("%d connections were opened and %d closed, want %d of both", n.dialled, n.hungUp, want)
	}
}

// fakeDispatcher answers with what it is given and remembers what it was asked.
type fakeDispatcher struct {
	mu        sync.Mutex
	snap      job.Snapshot
	list      []job.Snapshot
	created   bool
	err       error
	submitted []gateway.Submission
	block     bool
}

func (d *fakeDispatcher) answer(ctx context.Context) (job.Snapshot, error) {
	d.mu.Lock()
	snap, err, block := d.snap, d.err, d.block
	d.mu.Unlock()
	if block {
		<-ctx.Done()
		return job.Snapshot{}, ctx.Err()
	}
	return snap, err
}

func (d *fakeDispatcher) Submit(ctx context.Context, s gateway.Submission) (job.Snapshot, bool, error) {
	d.mu.Lock()
	d.submitted = append(d.submitted, s)
	created := d.created
	d.mu.Unlock()
	snap, err := d.answer(ctx)
	snap.ID = s.ID
	return snap, created, err
}

func (d *fakeDispatcher) Jobs(ctx context.Context) ([]job.Snapshot, error) {
	_, err := d.answer(ctx)
	return d.list, err
}

func (d *fakeDispatcher) Job(ctx context.Context, _ job.ID) (job.Snapshot, error) {
	return d.answer(ctx)
}

func (d *fakeDispatcher) Cancel(ctx context.Context, _ job.ID) (job.Snapshot, error) {
	return d.answer(ctx)
}

func info(id string, epoch leader.Epoch, address string) leader.Info {
	return leader.Info{
		Component: leader.Dispatcher, ID: id, Address: address, RPCAddress: "127.0.0.1:7421",
		SessionID: leader.SessionID("session-of-" + id), Epoch: epoch,
		Since: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Phase: leader.PhaseReady,
	}
}

func known(i leader.Info, index int64) retrieval.State {
	return retrieval.State{Status: retrieval.StatusKnown, Info: i, Index: index}
}

func newTestServer(t *testing.T, id string, n *fakeNode, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		ID: id, Node: n, Backend: n, Gateways: n, Contenders: n,
		Followers: map[string]Follower{leader.Dispatcher: n},
		Version:   Version{Version: "v1.2.3"},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return s
}

// do sends a request into the handler.
func do(t *testing.T, s *Server, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost:7420"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Fatalf("status is %d, want %d; body: %s", w.Code, want, w.Body)
	}
}

// wantProblem checks status, media type and code, and returns the problem.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) ProblemError {
	t.Helper()
	wantStatus(t, w, status)
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type is %q, want application/problem+json", ct)
	}
	p := decode[ProblemError](t, w.Body)
	if p.Code != code || p.Status != status || p.Detail == "" {
		t.Errorf("problem is %+v, want code %q, status %d and a detail", p, code, status)
	}
	later := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
	if retry := w.Header().Get("Retry-After"); (retry != "") != later {
		t.Errorf("Retry-After is %q with status %d", retry, status)
	}
	return p
}

func decode[T any](t *testing.T, r io.Reader) T {
	t.Helper()
	var v T
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		t.Fatalf("answer is not JSON: %v", err)
	}
	return v
}
