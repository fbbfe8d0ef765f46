package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// fakeRecovery is a fakeDispatcher with a face for operators.
type fakeRecovery struct {
	*fakeDispatcher
	report    gateway.RecoveryReport
	leftovers []gateway.Leftover
	refusal   error
	asked     []string
}

var _ gateway.Recovery = (*fakeRecovery)(nil)

func (r *fakeRecovery) order(ctx context.Context, what string) error {
	r.mu.Lock()
	r.asked = append(r.asked, what)
	refusal := r.refusal
	r.mu.Unlock()
	_, err := r.answer(ctx)
	return errors.Join(err, refusal)
}

func (r *fakeRecovery) Recovery(ctx context.Context) (gateway.RecoveryReport, error) {
	return r.report, r.order(ctx, "report")
}

func (r *fakeRecovery) RetryQuarantined(ctx context.Context, id job.ID) error {
	return r.order(ctx, "retry "+string(id))
}

func (r *fakeRecovery) DropQuarantined(ctx context.Context, id job.ID) error {
	return r.order(ctx, "drop "+string(id))
}

func (r *fakeRecovery) Leftovers(ctx context.Context, remove bool) ([]gateway.Leftover, error) {
	return r.leftovers, r.order(ctx, fmt.Sprintf("leftovers %v", remove))
}

func recoveringServer(t *testing.T, r *fakeRecovery, change func(*Config)) *Server {
	t.Helper()
	n := newFakeNode()
	n.jobs, n.recovers = r, r
	return newTestServer(t, "node-1", n, change)
}

func TestRecoveryIsReported(t *testing.T) {
	since := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	r := &fakeRecovery{fakeDispatcher: &fakeDispatcher{}, report: gateway.RecoveryReport{
		Epoch: 7,
		Dirty: []gateway.DirtyJob{{
			ID: "a", Status: job.StatusFinished, FinishedAt: since,
			Resources: []gateway.Resource{{Name: "outputs", Failures: 2, Error: "disk on fire", NextTry: since}, {Name: "stores"}},
		}},
		Quarantine: []gateway.QuarantinedJob{{ID: "b", Reason: "garbage", Since: since, SinceEpoch: 6}},
	}}
	s := recoveringServer(t, r, nil)
	w := do(t, s, http.MethodGet, "/v1/recovery", "")
	wantStatus(t, w, http.StatusOK)
	want := `{"epoch":7,"dirty":[{"id":"a","status":"FINISHED","finished_at":"2026-11-21T12:00:00Z","resources":[` +
		`{"name":"outputs","failures":2,"error":"disk on fire","next_try":"2026-11-21T12:00:00Z"},{"name":"stores","failures":0}]}],` +
		`"quarantine":[{"id":"b","reason":"garbage","since":"2026-11-21T12:00:00Z","since_epoch":6}]}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("GET /v1/recovery\n got %s\nwant %s", got, want)
	}
}

func TestLeftoversAreListedAndCollected(t *testing.T) {
	r := &fakeRecovery{fakeDispatcher: &fakeDispatcher{}, leftovers: []gateway.Leftover{{Kind: "progress", Path: "progress/3f/x", Reason: "no job"}}}
	s := recoveringServer(t, r, nil)
	want := `{"leftovers":[{"kind":"progress","path":"progress/3f/x","reason":"no job","removed":false}]}`
	for _, request := range [][2]string{{http.MethodGet, "/v1/recovery/leftovers"}, {http.MethodPost, "/v1/recovery/gc"}} {
		w := do(t, s, request[0], request[1], "")
		wantStatus(t, w, http.StatusOK)
		if got := strings.TrimSpace(w.Body.String()); got != want {
			t.Errorf("%s\n got %s\nwant %s", request, got, want)
		}
	}
	if want := []string{"leftovers false", "leftovers true"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %q, want %q", r.asked, want)
	}
	wantProblem(t, do(t, s, http.MethodGet, "/v1/recovery/gc", ""), 405, CodeMethod)
	r.leftovers = nil
	if got := strings.TrimSpace(do(t, s, http.MethodPost, "/v1/recovery/gc", "").Body.String()); got != `{"leftovers":[]}` {
		t.Errorf("no leftovers are %s", got)
	}
}

func TestQuarantinedJobsAreRetriedAndDropped(t *testing.T) {
	r := &fakeRecovery{fakeDispatcher: &fakeDispatcher{snap: job.Snapshot{ID: "b", Status: job.StatusRunning}}}
	s := recoveringServer(t, r, nil)
	for _, order := range []string{"retry", "drop"} {
		w := do(t, s, http.MethodPost, "/v1/recovery/quarantine/b/"+order, "")
		wantStatus(t, w, http.StatusOK)
		if got := decode[job.Snapshot](t, w.Body); got.ID != "b" || got.Status != job.StatusRunning {
			t.Errorf("%s answered with %+v, want the job as it is then", order, got)
		}
	}
	if want := []string{"retry b", "drop b"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %q, want %q", r.asked, want)
	}
}

func TestRefusedOrders(t *testing.T) {
	const quarantine = "/v1/recovery/quarantine/b/"
	tests := []struct {
		name, target string
		refusal      error
		status       int
		code         string
	}{
		{"retry of an unknown job", quarantine + "retry", gateway.ErrNoJob, 404, CodeNoJob},
		{"drop of an unknown job", quarantine + "drop", fmt.Errorf("drop: %w", gateway.ErrNoJob), 404, CodeNoJob},
		{"retry of a running job", quarantine + "retry", gateway.ErrNotQuarantined, 409, CodeNotQuarantined},
		{"drop of a running job", quarantine + "drop", gateway.ErrNotQuarantined, 409, CodeNotQuarantined},
		{"retry in vain", quarantine + "retry", errors.New("still garbage"), 409, CodeStillQuarantined},
		{"drop into a broken store", quarantine + "drop", errors.New("disk on fire"), 500, CodeInternal},
		{"retry at a lost leader", quarantine + "retry", gateway.ErrNotLeader, 503, CodeNoLeader},
		{"gc at a lost leader", "/v1/recovery/gc", gateway.ErrNotLeader, 503, CodeNoLeader},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := recoveringServer(t, &fakeRecovery{fakeDispatcher: &fakeDispatcher{}, refusal: test.refusal}, nil)
			wantProblem(t, do(t, s, http.MethodPost, test.target, ""), test.status, test.code)
		})
	}
}

func TestSlowRecoveryIsATimeout(t *testing.T) {
	r := &fakeRecovery{fakeDispatcher: &fakeDispatcher{block: true}}
	s := recoveringServer(t, r, func(c *Config) { c.Timeout = 20 * time.Millisecond })
	wantProblem(t, do(t, s, http.MethodGet, "/v1/recovery", ""), 503, CodeTimeout)
	wantProblem(t, do(t, s, http.MethodPost, "/v1/recovery/gc", ""), 503, CodeTimeout)
	wantProblem(t, do(t, s, http.MethodPost, "/v1/recovery/quarantine/b/retry", ""), 503, CodeTimeout)
}
