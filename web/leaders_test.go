package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func TestLeaderHasTheDocumentedShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNode()
		n.obs = known(info("node-2", 4294967321, "http://127.0.0.1:7430"), 8589934653)
		s := newTestServer(t, "node-1", n, nil)
		<-time.After(12 * time.Millisecond)
		want := `{"component":"dispatcher","known":true,"is_self":false,` +
			`"leader":{"id":"node-2","address":"http://127.0.0.1:7430","rpc_address":"127.0.0.1:7421",` +
			`"session_id":"session-of-node-2","epoch":4294967321,"since":"2026-11-21T12:00:00Z","phase":"ready"},` +
			`"index":8589934653,"last_contact_ms":12}`
		for _, path := range []string{"/v1/leader", "/v1/leaders/dispatcher"} {
			w := do(t, s, http.MethodGet, path, "")
			wantStatus(t, w, http.StatusOK)
			if got := strings.TrimSpace(w.Body.String()); got != want {
				t.Errorf("GET %s\n got %s\nwant %s", path, got, want)
			}
		}
	})
}

func TestLeadersOwnNodeReportsItsPhases(t *testing.T) {
	n := newFakeNode()
	n.obs = known(info("node-2", 6, "http://old"), 8)
	n.leads, n.own = true, info("node-1", 10, "http://new")
	s := newTestServer(t, "node-1", n, nil)
	for _, phase := range []leader.Phase{leader.PhaseElected, leader.PhaseRecovering, leader.PhaseReady} {
		n.update(func(n *fakeNode) { n.own.Phase = phase })
		w := do(t, s, http.MethodGet, "/v1/leader", "")
		wantStatus(t, w, http.StatusOK)
		got := decode[LeaderAnswer](t, w.Body)
		if !got.IsSelf || got.Leader.ID != "node-1" || got.Leader.Phase != phase || got.Index != 10 {
			t.Errorf("in phase %s the answer is %+v", phase, got)
		}
	}
}

func TestNewerPublishedLeaderWinsOverOwnStaleTerm(t *testing.T) {
	n := newFakeNode()
	n.obs = known(info("node-2", 12, "http://new"), 13)
	n.leads, n.own = true, info("node-1", 10, "http://old")
	got := decode[LeaderAnswer](t, do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, "/v1/leader", "").Body)
	if got.IsSelf || got.Leader.ID != "node-2" {
		t.Errorf("answer is %+v, want the newer leader node-2", got)
	}
}

func TestUnknownLeaderSaysWhy(t *testing.T) {
	n := newFakeNode()
	s := newTestServer(t, "node-1", n, nil)

	wantProblem(t, do(t, s, http.MethodGet, "/v1/leader", ""), 503, CodeNoLeader)

	n.update(func(n *fakeNode) {
		n.obs = retrieval.State{Info: info("node-2", 6, "http://127.0.0.1:7430")}
		n.health = ha.Health{Detail: "ZooKeeper at 127.0.0.1:1 does not answer"}
	})
	p := wantProblem(t, do(t, s, http.MethodGet, "/v1/leader", ""), 503, CodeDisconnected)
	if !strings.Contains(p.Detail, n.health.Detail) || !strings.Contains(p.Detail, "node-2 at http://127.0.0.1:7430") {
		t.Errorf("detail is %q, want it to hold the backend's and the last leader", p.Detail)
	}

	n.update(func(n *fakeNode) {
		n.obs.Status, n.health = retrieval.StatusUnconfirmed, ha.Health{Connected: true}
	})
	p = wantProblem(t, do(t, s, http.MethodGet, "/v1/leader", ""), 503, CodeUnconfirmed)
	if !strings.Contains(p.Detail, "still finding out") || !strings.Contains(p.Detail, "node-2 at http://127.0.0.1:7430") {
		t.Errorf("detail is %q, want that it is being found out, and the last leader", p.Detail)
	}

	p = wantProblem(t, do(t, s, http.MethodGet, "/v1/leaders/nobody", ""), 404, CodeUnknownComponent)
	if !strings.Contains(p.Detail, "dispatcher") {
		t.Errorf("detail is %q, want the known components", p.Detail)
	}
}

func TestLongPollAnswersAtTheNextChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNode()
		n.obs = known(info("node-2", 6, "http://127.0.0.1:1"), 8)
		s := newTestServer(t, "node-1", n, nil)

		begin := time.Now()
		answered := make(chan *httptest.ResponseRecorder)
		go func() { answered <- do(t, s, http.MethodGet, "/v1/leader?index=8&wait=30s", "") }()
		<-time.After(7 * time.Second)
		// An older index wakes nobody.
		n.update(func(*fakeNode) {})
		synctest.Wait()
		n.update(func(n *fakeNode) { n.obs = known(info("node-3", 9, "http://127.0.0.1:2"), 11) })
		got := decode[LeaderAnswer](t, (<-answered).Body)
		if got.Leader.ID != "node-3" || got.Index != 11 || time.Since(begin) != 7*time.Second {
			t.Errorf("after %s the answer is %+v, want node-3 after 7s", time.Since(begin), got)
		}

		begin = time.Now()
		got = decode[LeaderAnswer](t, do(t, s, http.MethodGet, "/v1/leader?index=11&wait=5s", "").Body)
		if got.Index != 11 || time.Since(begin) != 5*time.Second {
			t.Errorf("after %s the index is %d, want 11 after 5s", time.Since(begin), got.Index)
		}
		begin = time.Now()
		do(t, s, http.MethodGet, "/v1/leader?index=11&wait=1h", "")
		if time.Since(begin) != maxWait {
			t.Errorf("a wait of 1h took %s, want %s", time.Since(begin), maxWait)
		}
	})
}

func TestBadLongPollParametersAreNamed(t *testing.T) {
	s := newTestServer(t, "node-1", newFakeNode(), nil)
	for query, name := range map[string]string{"wait=soon": "wait", "wait=-1s": "wait", "index=x": "index"} {
		p := wantProblem(t, do(t, s, http.MethodGet, "/v1/leader?"+query, ""), 422, CodeBadRequest)
		if !strings.Contains(p.Detail, name) {
			t.Errorf("?%s: detail %q does not name %q", query, p.Detail, name)
		}
	}
}
