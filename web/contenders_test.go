package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha"
)

func TestContendersHaveTheDocumentedShape(t *testing.T) {
	n := newFakeNode()
	s := newTestServer(t, "node-1", n, nil)
	since := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	for want, all := range map[string][]election.Participant{
		`{"contenders":[]}` + "\n": nil,
		`{"contenders":[` +
			`{"id":"node-2","epoch":4294967321,"since":"2026-11-21T05:00:00Z","leads":true,"foreign":false},` +
			`{"id":"","epoch":4294967400,"since":"2026-11-21T05:00:01Z","leads":false,"foreign":true}]}` + "\n": {
			{ID: "node-2", Epoch: 4294967321, Since: since},
			{Epoch: 4294967400, Since: since.Add(time.Second), Foreign: true},
		},
	} {
		n.update(func(n *fakeNode) { n.contenders = all })
		w := do(t, s, http.MethodGet, "/v1/contenders", "")
		wantStatus(t, w, http.StatusOK)
		if got := w.Body.String(); got != want {
			t.Errorf("GET /v1/contenders answers\n%swant\n%s", got, want)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q, want no-store", got)
		}
	}
}

func TestContendersSayWhyTheyAreNotKnown(t *testing.T) {
	n := newFakeNode()
	s := newTestServer(t, "node-1", n, nil)
	n.update(func(n *fakeNode) { n.err = errors.New("list the contenders of /x/latch: no rights") })
	p := wantProblem(t, do(t, s, http.MethodGet, "/v1/contenders", ""), 500, CodeInternal)
	if !strings.Contains(p.Detail, "/x/latch: no rights") {
		t.Errorf("detail is %q, want it to hold the backend's error", p.Detail)
	}
	n.update(func(n *fakeNode) { n.health = ha.Health{Detail: "no server answers"} })
	p = wantProblem(t, do(t, s, http.MethodGet, "/v1/contenders", ""), 503, CodeDisconnected)
	if !strings.Contains(p.Detail, "no server answers") {
		t.Errorf("detail is %q, want it to hold the backend's", p.Detail)
	}
}

// A backend may be away without being known to be.
func TestContendersOfASilentBackendAreATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFakeNode()
		n.silent = true
		s := newTestServer(t, "node-1", n, nil)
		began := time.Now()
		p := wantProblem(t, do(t, s, http.MethodGet, "/v1/contenders", ""), 503, CodeTimeout)
		if waited := time.Since(began); waited != contendersWithin {
			t.Errorf("answered after %s, want %s", waited, contendersWithin)
		}
		if !strings.Contains(p.Detail, "within 3s") {
			t.Errorf("detail is %q, want it to say how long was waited", p.Detail)
		}
	})
}

func (n *fakeNode) Participants(ctx context.Context) ([]election.Participant, error) {
	n.mu.Lock()
	all, err, silent := n.contenders, n.err, n.silent
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return all, err
}
