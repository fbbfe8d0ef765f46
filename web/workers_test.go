package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
)

func managedServer(t *testing.T, m *fakeManager, change func(*Config)) *Server {
	t.Helper()
	n := newFakeNode()
	n.workers = m
	return newTestServer(t, "node-1", n, change)
}

func TestWorkersHaveTheDocumentedShape(t *testing.T) {
	at := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	m := &fakeManager{list: []gateway.WorkerStatus{
		{
			ID: "w-1", Instance: "i", Address: "127.0.0.1:7431", State: gateway.WorkerReady,
			Labels: map[string]string{"gpu": "true"}, Slots: 4, FreeSlots: 1, Since: at, LastHeartbeat: at, Release: "v1",
		},
		{ID: "w-2", Address: "127.0.0.1:7432", State: gateway.WorkerExpected},
	}}
	s := managedServer(t, m, nil)
	want := `{"workers":[{"id":"w-1","instance":"i","rpc_address":"127.0.0.1:7431","state":"READY","labels":{"gpu":"true"},` +
		`"slots":4,"free_slots":1,"since":"2026-11-21T05:00:00Z","last_heartbeat":"2026-11-21T05:00:00Z","release":"v1"},` +
		`{"id":"w-2","rpc_address":"127.0.0.1:7432","state":"EXPECTED","slots":0,"free_slots":0}]}`
	w := do(t, s, http.MethodGet, "/v1/workers", "")
	wantStatus(t, w, http.StatusOK)
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("GET /v1/workers\n got %s\nwant %s", got, want)
	}
	m.list = nil
	if got := strings.TrimSpace(do(t, s, http.MethodGet, "/v1/workers", "").Body.String()); got != `{"workers":[]}` {
		t.Errorf("no workers are %s", got)
	}
}

func TestDrainAnswersWithTheWorkerAsItIsThen(t *testing.T) {
	m := &fakeManager{
		list: []gateway.WorkerStatus{{ID: "w-1", State: gateway.WorkerReady, Slots: 4}},
		drain: func(list []gateway.WorkerStatus) []gateway.WorkerStatus {
			list[0].State = gateway.WorkerDraining
			return list
		},
	}
	s := managedServer(t, m, nil)
	w := do(t, s, http.MethodPost, "/v1/workers/w-1/drain", "")
	wantStatus(t, w, http.StatusAccepted)
	if got := decode[gateway.WorkerStatus](t, w.Body); got.State != gateway.WorkerDraining || got.Slots != 4 {
		t.Errorf("drain answered with %+v, want the worker, which drains", got)
	}
	m.drain = func([]gateway.WorkerStatus) []gateway.WorkerStatus { return nil }
	w = do(t, s, http.MethodPost, "/v1/workers/w-1/drain", "")
	wantStatus(t, w, http.StatusAccepted)
	if got := decode[gateway.WorkerStatus](t, w.Body); got.ID != "w-1" || got.State != gateway.WorkerDraining {
		t.Errorf("drain of an empty worker answered with %+v, want its ID and DRAINING", got)
	}
	m.drain = nil
	p := wantProblem(t, do(t, s, http.MethodPost, "/v1/workers/nope/drain", ""), 404, CodeNoWorker)
	if !strings.Contains(p.Detail, `"nope"`) {
		t.Errorf("detail %q does not name the worker", p.Detail)
	}
	if len(m.drained) != 3 || m.drained[2] != "nope" {
		t.Errorf("drained %q", m.drained)
	}
}

func TestWorkersOfASilentOrBrokenManager(t *testing.T) {
	s := managedServer(t, &fakeManager{block: true}, func(c *Config) { c.Timeout = 20 * time.Millisecond })
	wantProblem(t, do(t, s, http.MethodGet, "/v1/workers", ""), 503, CodeTimeout)
	s = managedServer(t, &fakeManager{err: errors.New("disk on fire")}, nil)
	wantProblem(t, do(t, s, http.MethodGet, "/v1/workers", ""), 500, CodeInternal)
	s = managedServer(t, &fakeManager{err: gateway.ErrFencingToken}, nil)
	wantProblem(t, do(t, s, http.MethodGet, "/v1/workers", ""), 503, CodeNoLeader)
}
