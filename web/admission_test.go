package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// slowDispatcher accepts submissions when it is told to.
type slowDispatcher struct {
	fakeDispatcher
	entered, release chan struct{}
}

func (d *slowDispatcher) Submit(ctx context.Context, s gateway.Submission) (job.Snapshot, bool, error) {
	d.entered <- struct{}{}
	<-d.release
	return d.fakeDispatcher.Submit(ctx, s)
}

// unread fails the test when a refused body is read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a refused submission was read")
	return 0, http.ErrBodyReadAfterClose
}

func TestMoreSubmissionsThanAllowedAreAnsweredWith429(t *testing.T) {
	d := &slowDispatcher{fakeDispatcher: fakeDispatcher{created: true}, entered: make(chan struct{}), release: make(chan struct{})}
	n := newFakeNode()
	n.jobs = d
	s := newTestServer(t, "node-1", n, func(c *Config) { c.MaxSubmissions = 1 })
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- do(t, s, http.MethodPost, "/v1/jobs?id=a", goodJob) }()
	<-d.entered

	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/jobs?id=b", unread{t})
	r.Host = "localhost:7420"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	wantProblem(t, w, http.StatusTooManyRequests, CodeBusy)
	wantStatus(t, do(t, s, http.MethodGet, "/v1/jobs", ""), http.StatusOK) // who only asks is not held up

	close(d.release)
	wantStatus(t, <-first, http.StatusAccepted)
	go func() { first <- do(t, s, http.MethodPost, "/v1/jobs?id=b", goodJob) }()
	<-d.entered
	wantStatus(t, <-first, http.StatusAccepted)
}

func TestMoreBytesThanAllowedAreAnsweredWith429(t *testing.T) {
	d := &slowDispatcher{fakeDispatcher: fakeDispatcher{created: true}, entered: make(chan struct{}), release: make(chan struct{})}
	n := newFakeNode()
	n.jobs = d
	room := int64(len(goodJob)) + 1
	s := newTestServer(t, "node-1", n, func(c *Config) { c.MaxSubmissionBytes = room })
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- do(t, s, http.MethodPost, "/v1/jobs?id=a", goodJob) }()
	<-d.entered

	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/jobs?id=b", unread{t})
	r.Host, r.ContentLength = "localhost:7420", 2
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	p := wantProblem(t, w, http.StatusTooManyRequests, CodeBusy)
	if !strings.Contains(p.Detail, fmt.Sprint(room)) {
		t.Errorf("detail %q does not name the limit of %d bytes", p.Detail, room)
	}

	close(d.release)
	wantStatus(t, <-first, http.StatusAccepted)
	// A body that does not say how long it is may be the longest, and has all the room.
	r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/jobs?id=c", strings.NewReader(goodJob))
	r.Host, r.ContentLength = "localhost:7420", -1
	go func() {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		first <- w
	}()
	<-d.entered
	wantStatus(t, <-first, http.StatusAccepted)
}

func TestABusyLeaderIsAnsweredWith429(t *testing.T) {
	d := &fakeDispatcher{err: fmt.Errorf("submit job %q: %w: 3 jobs", "etl", gateway.ErrBusy)}
	s := leadingServer(t, d, nil)
	p := wantProblem(t, do(t, s, http.MethodPost, "/v1/jobs?id=etl", goodJob), http.StatusTooManyRequests, CodeBusy)
	if !strings.Contains(p.Detail, "busy") || !strings.Contains(p.Detail, "etl") {
		t.Errorf("detail %q does not name the job and the reason", p.Detail)
	}
}

func TestBodyOfUnknownLengthIsLimited(t *testing.T) {
	s := leadingServer(t, &fakeDispatcher{}, func(c *Config) { c.MaxBody = 64 })
	// Such a body is sent in chunks, so only reading tells.
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/jobs",
		struct{ io.Reader }{strings.NewReader(strings.Repeat("#", 100_000))})
	r.Host, r.ContentLength = "localhost:7420", -1
	r.Header.Set("Content-Type", "application/yaml")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	wantProblem(t, w, http.StatusRequestEntityTooLarge, CodeTooLarge)
}
