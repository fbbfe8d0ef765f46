package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coordd/coordd/leader"
)

func TestHostListRefusesForeignNames(t *testing.T) {
	tests := []struct {
		host       string
		anyAddress bool
		want       int
	}{
		{"localhost", false, 200},
		{"LOCALHOST:7420", false, 200},
		{"127.0.0.1:7420", false, 200},
		{"127.9.9.9", false, 200},
		{"[::1]:7420", false, 200},
		{"[::1]", false, 200},
		{"coordd.internal:80", false, 200},
		{"coordd.internal.", false, 200},
		{"evil.example", false, 421},
		{"127.0.0.1.evil.example:7420", false, 421},
		{"localhost.evil.example", false, 421},
		{"10.0.0.1:7420", false, 421},
		{"10.0.0.1:7420", true, 200},
		{"evil.example", true, 421},
		{"", false, 200},
	}
	for _, test := range tests {
		s := newTestServer(t, "node-1", newFakeNode(), func(c *Config) {
			c.AllowedHosts, c.AnyAddress = []string{"Coordd.Internal"}, test.anyAddress
		})
		for _, path := range []string{"/livez", "/metrics", "/v1/version"} {
			w := do(t, s, http.MethodGet, path, "", "Host", test.host)
			if w.Code != test.want {
				t.Errorf("GET %s with Host %q (any address: %t) is %d, want %d", path, test.host, test.anyAddress, w.Code, test.want)
			}
		}
	}
	s := newTestServer(t, "node-1", newFakeNode(), nil)
	wantProblem(t, do(t, s, http.MethodGet, "/livez", "", "Host", "evil.example"), 421, CodeHost)
}

func TestOtherOriginsCannotSubmit(t *testing.T) {
	n := newFakeNode()
	dispatcher := &fakeDispatcher{created: true}
	n.jobs = dispatcher
	s := newTestServer(t, "node-1", n, nil)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "http://evil.example"},
		{"Origin", "http://localhost:9999"},
	} {
		w := do(t, s, http.MethodPost, "/v1/jobs", goodJob, append(headers, "Content-Type", "application/yaml")...)
		wantProblem(t, w, 403, CodeCrossOrigin)
	}
	if len(dispatcher.submitted) != 0 {
		t.Errorf("%d jobs were submitted from other origins", len(dispatcher.submitted))
	}
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	s := newTestServer(t, "node-1", newFakeNode(), nil)
	wantProblem(t, do(t, s, http.MethodGet, "/v2/leader", ""), 404, CodeNotFound)
	wantProblem(t, do(t, s, http.MethodGet, "/", ""), 404, CodeNotFound)
	w := do(t, s, http.MethodDelete, "/v1/jobs", "")
	wantProblem(t, w, 405, CodeMethod)
	if got := w.Header().Get("Allow"); !strings.Contains(got, "GET") || !strings.Contains(got, "POST") {
		t.Errorf("Allow is %q, want GET and POST in it", got)
	}
	wantProblem(t, do(t, s, http.MethodPost, "/leader", ""), 405, CodeMethod)
}

func TestPanicIsAnsweredAsInternalError(t *testing.T) {
	n := newFakeNode()
	s := newTestServer(t, "node-1", n, func(c *Config) { c.Node = panicking{n} })
	wantProblem(t, do(t, s, http.MethodGet, "/v1/leader", ""), 500, CodeInternal)
}

type panicking struct{ *fakeNode }

func (panicking) Leading(string) (leader.Info, bool, <-chan struct{}) { panic("Leading") }

func TestVersionMetricsAndOpenAPIAreServed(t *testing.T) {
	s := newTestServer(t, "node-1", newFakeNode(), nil)
	if got := strings.TrimSpace(do(t, s, http.MethodGet, "/v1/version", "").Body.String()); got != `{"version":"v1.2.3"}` {
		t.Errorf("/v1/version is %s", got)
	}
	wantStatus(t, do(t, s, http.MethodGet, "/metrics", ""), http.StatusOK)
	w := do(t, s, http.MethodGet, "/v1/openapi.json", "")
	wantStatus(t, w, http.StatusOK)
	spec := decode[struct {
		Paths map[string]map[string]any `json:"paths"`
	}](t, w.Body)
	for path, method := range map[string]string{
		"/v1/leader": "get", "/v1/leaders/{component}": "get", "/v1/contenders": "get", "/v1/jobs": "post",
		"/v1/jobs/{id}": "get", "/v1/jobs/{id}/cancel": "post", "/v1/version": "get",
		"/v1/jobs/{id}/tasks/{task}/{subtask}/log": "get", "/v1/jobs/{id}/metrics": "get",
		"/v1/workers": "get", "/v1/workers/{id}/drain": "post", "/v1/workers/{id}/metrics": "get",
	} {
		if spec.Paths[path][method] == nil {
			t.Errorf("OpenAPI lacks %s %s", method, path)
		}
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	if _, err := New(Config{ID: "a"}); err == nil || !strings.Contains(err.Error(), "Config.Node") {
		t.Errorf("New without a node: %v", err)
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.ID") {
		t.Errorf("New without an ID: %v", err)
	}
	n := newFakeNode()
	if _, err := New(Config{ID: "a", Node: n, Backend: n, Gateways: n, Contenders: n}); err == nil || !strings.Contains(err.Error(), "dispatcher") {
		t.Errorf("New without a follower: %v", err)
	}
}
