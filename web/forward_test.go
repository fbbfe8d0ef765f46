package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

func TestStandbyForwardsToTheLeader(t *testing.T) {
	leading := newFakeNode()
	dispatcher := &fakeDispatcher{created: true, snap: job.Snapshot{Name: "etl", Status: job.StatusCreated}}
	leading.jobs = dispatcher
	address := serve(t, newTestServer(t, "node-2", leading, nil))

	n := newFakeNode()
	n.obs = known(info("node-2", 9, address), 10)
	standby := newTestServer(t, "node-1", n, nil)

	w := do(t, standby, http.MethodPost, "/v1/jobs?id=etl-1", goodJob, "Content-Type", "application/yaml",
		// A page of the standby's own origin; to the leader it is another host's.
		"Origin", "http://localhost:7420", "Sec-Fetch-Site", "same-origin")
	wantStatus(t, w, http.StatusAccepted)
	if got := decode[job.Snapshot](t, w.Body); got.ID != "etl-1" || got.Name != "etl" {
		t.Errorf("answer is %+v, want the leader's", got)
	}
	if got := w.Header().Get(HeaderServedBy); got != "node-2" {
		t.Errorf("%s is %q, want node-2", HeaderServedBy, got)
	}
	if got := w.Header().Get("Location"); got != "/v1/jobs/etl-1" {
		t.Errorf("Location is %q", got)
	}
	wantStatus(t, do(t, standby, http.MethodGet, "/v1/jobs", ""), http.StatusOK)
	wantStatus(t, do(t, standby, http.MethodGet, "/v1/jobs/etl-1", ""), http.StatusOK)
	wantStatus(t, do(t, standby, http.MethodPost, "/v1/jobs/etl-1/cancel", ""), http.StatusAccepted)
}

func TestForwardedRequestIsNotForwardedAgain(t *testing.T) {
	// Two standbys, each of which takes the other for the leader.
	first, second := newFakeNode(), newFakeNode()
	a := serve(t, newTestServer(t, "node-1", first, nil))
	b := serve(t, newTestServer(t, "node-2", second, nil))
	first.update(func(n *fakeNode) { n.obs = known(info("node-2", 9, b), 10) })
	second.update(func(n *fakeNode) { n.obs = known(info("node-1", 9, a), 10) })

	w := do(t, newTestServer(t, "node-3", first, nil), http.MethodGet, "/v1/jobs", "")
	p := wantProblem(t, w, 503, CodeNoLeader)
	if !strings.Contains(p.Detail, "node-3") {
		t.Errorf("detail %q does not name the node that forwarded", p.Detail)
	}
}

func TestForwardingWithoutALeader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		state  func(*fakeNode)
		detail string
	}{
		{"nobody leads", func(*fakeNode) {}, "nobody leads"},
		{"leader gone", func(n *fakeNode) { n.obs = known(info("node-2", 9, closed), 10) }, "does not answer"},
		{"own old publication", func(n *fakeNode) { n.obs = known(info("node-1", 9, closed), 10) }, "stopped leading"},
		{"bad address", func(n *fakeNode) { n.obs = known(info("node-2", 9, "nonsense"), 10) }, "no URL"},
		{"own recovery", func(n *fakeNode) {
			n.leads, n.own = true, leader.Info{Phase: leader.PhaseRecovering}
		}, "recovering"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := newFakeNode()
			n.update(test.state)
			p := wantProblem(t, do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, "/v1/jobs", ""), 503, CodeNoLeader)
			if !strings.Contains(p.Detail, test.detail) {
				t.Errorf("detail is %q, want %q in it", p.Detail, test.detail)
			}
		})
	}
}

func TestForwardingIsBoundedInTime(t *testing.T) {
	leading := newFakeNode()
	leading.jobs = &fakeDispatcher{block: true}
	address := serve(t, newTestServer(t, "node-2", leading, nil))
	n := newFakeNode()
	n.obs = known(info("node-2", 9, address), 10)
	s := newTestServer(t, "node-1", n, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	wantProblem(t, do(t, s, http.MethodGet, "/v1/jobs", ""), 503, CodeTimeout)
}

func TestForwardedBodyIsLimited(t *testing.T) {
	leading := newFakeNode()
	leading.jobs = &fakeDispatcher{}
	address := serve(t, newTestServer(t, "node-2", leading, nil))
	n := newFakeNode()
	n.obs = known(info("node-2", 9, address), 10)
	url := serve(t, newTestServer(t, "node-1", n, func(c *Config) { c.MaxBody = 64 }))
	// A reader of unknown length is sent in chunks, so only reading tells.
	body := struct{ io.Reader }{strings.NewReader(strings.Repeat("#", 100_000))}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/jobs", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/yaml")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status is %d, want 413", resp.StatusCode)
	}
}

func TestRunServesUntilStoppedAndEndsLongPolls(t *testing.T) {
	n := newFakeNode()
	n.obs = known(info("node-2", 6, "http://127.0.0.1:1"), 8)
	s := newTestServer(t, "node-1", n, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx, listener) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+path, nil)
		if err != nil {
			return nil, err
		}
		return client.Do(r)
	}
	resp, err := get("/livez")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	polled := make(chan error, 1)
	go func() {
		resp, err := get("/v1/leader?index=8&wait=1m")
		if err == nil {
			err = resp.Body.Close()
		}
		polled <- err
	}()
	begin := time.Now()
	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-polled; err != nil {
		t.Logf("the long poll ended with %v", err) // it may come before or after the stop.
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("stopping took %s with a long poll open", took)
	}
}
