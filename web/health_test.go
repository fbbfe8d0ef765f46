package web

import (
	"net/http"
	"testing"

	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func TestHealthPathsSay200Or503(t *testing.T) {
	leads := func(p leader.Phase) func(*fakeNode) {
		return func(n *fakeNode) {
			n.leads, n.own = true, info("node-1", 7, "")
			n.own.Phase = p
		}
	}
	away := func(n *fakeNode) {
		n.health = ha.Health{Detail: "ZooKeeper at 127.0.0.1:1 does not answer"}
		n.obs = retrieval.State{}
	}
	tests := []struct {
		name  string
		state func(*fakeNode)
		want  map[string]int
	}{
		{"standby", func(*fakeNode) {}, map[string]int{"/leader": 503, "/standby": 200, "/livez": 200, "/readyz": 200}},
		{"elected", leads(leader.PhaseElected), map[string]int{"/leader": 503, "/standby": 503, "/livez": 200, "/readyz": 200}},
		{"recovering", leads(leader.PhaseRecovering), map[string]int{"/leader": 503, "/standby": 503, "/livez": 200, "/readyz": 200}},
		{"ready", leads(leader.PhaseReady), map[string]int{"/leader": 200, "/standby": 503, "/livez": 200, "/readyz": 200}},
		{"backend away", away, map[string]int{"/leader": 503, "/standby": 503, "/livez": 200, "/readyz": 503}},
		{
			"not confirmed yet", func(n *fakeNode) { n.obs = retrieval.State{Status: retrieval.StatusUnconfirmed} },
			map[string]int{"/leader": 503, "/standby": 200, "/livez": 200, "/readyz": 503},
		},
		{
			"nothing observed yet", func(n *fakeNode) { n.obs = retrieval.State{} },
			map[string]int{"/leader": 503, "/standby": 200, "/livez": 200, "/readyz": 503},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := newFakeNode()
			n.update(test.state)
			s := newTestServer(t, "node-1", n, nil)
			for path, want := range test.want {
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
					w := do(t, s, method, path, "")
					if w.Code != want {
						t.Errorf("%s %s is %d, want %d", method, path, w.Code, want)
					}
					if hasBody := w.Body.Len() > 0; hasBody != (method == http.MethodGet) {
						t.Errorf("%s %s: body %q", method, path, w.Body)
					}
				}
			}
		})
	}
}

func TestReadyzSaysWhyTheBackendIsAway(t *testing.T) {
	n := newFakeNode()
	n.health = ha.Health{Detail: "ZooKeeper at 127.0.0.1:1 does not answer"}
	w := do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, "/readyz", "")
	if got := decode[healthAnswer](t, w.Body); got.OK || got.Detail != n.health.Detail || got.ID != "node-1" {
		t.Errorf("body is %+v, want the backend's detail", got)
	}
}
