package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

const (
	goodJob  = "name: etl\ntasks:\n  - id: extract\n    command: [echo, hello]\n"
	goodJSON = `{"name":"etl","tasks":[{"id":"extract","command":["echo","hello"]}]}`
	badJob   = "name: etl\ntasks:\n  - id: extract\n    comand: [echo]\n    retries: 3\n"
)

func leadingServer(t *testing.T, d *fakeDispatcher, change func(*Config)) *Server {
	t.Helper()
	n := newFakeNode()
	n.jobs = d
	return newTestServer(t, "node-1", n, change)
}

func TestSubmitAnswers202ForANewJobAnd200ForAKnownOne(t *testing.T) {
	d := &fakeDispatcher{created: true, snap: job.Snapshot{Name: "etl", Status: job.StatusCreated}}
	s := leadingServer(t, d, nil)
	for body, contentType := range map[string]string{goodJob: "application/yaml; charset=utf-8", goodJSON: "application/json"} {
		w := do(t, s, http.MethodPost, "/v1/jobs?id=etl-1", body, "Content-Type", contentType)
		wantStatus(t, w, http.StatusAccepted)
		if got := w.Header().Get("Location"); got != "/v1/jobs/etl-1" {
			t.Errorf("Location is %q", got)
		}
	}
	// Without a type the body is read as a job file too.
	wantStatus(t, do(t, s, http.MethodPost, "/v1/jobs?id=etl-1", goodJob), http.StatusAccepted)
	for _, submitted := range d.submitted {
		if submitted.ID != "etl-1" || submitted.Graph.Name != "etl" || len(submitted.Graph.Tasks) != 1 {
			t.Errorf("submitted %+v, want the file's graph under etl-1", submitted)
		}
	}
	d.created = false
	wantStatus(t, do(t, s, http.MethodPost, "/v1/jobs?id=etl-1", goodJob), http.StatusOK)
}

func TestSubmitWithoutAnIDChoosesOne(t *testing.T) {
	d := &fakeDispatcher{created: true}
	s := leadingServer(t, d, nil)
	w := do(t, s, http.MethodPost, "/v1/jobs", goodJob)
	wantStatus(t, w, http.StatusAccepted)
	if len(d.submitted) != 1 || d.submitted[0].ID == "" {
		t.Errorf("submitted %+v, want one with an ID", d.submitted)
	}
}

func TestSubmitRefusals(t *testing.T) {
	tests := []struct {
		name, target, body, contentType string
		err                             error
		status                          int
		code                            string
	}{
		{"form", "/v1/jobs", goodJob, "application/x-www-form-urlencoded", nil, 415, CodeMediaType},
		{"text", "/v1/jobs", goodJob, "text/plain", nil, 415, CodeMediaType},
		{"bad id", "/v1/jobs?id=a/b", goodJob, "application/yaml", nil, 422, CodeInvalidID},
		{"empty body", "/v1/jobs", "", "application/yaml", nil, 400, CodeBadRequest},
		{"other content", "/v1/jobs?id=a", goodJob, "application/yaml", gateway.ErrConflict, 409, CodeConflict},
		{"only one job", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("a: %w", gateway.ErrSingleJob), 409, CodeSingleJob},
		{"large graph", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("a: %w", gateway.ErrTooLarge), 413, CodeTooLarge},
		{"leadership lost", "/v1/jobs?id=a", goodJob, "application/yaml", gateway.ErrNotLeader, 503, CodeNoLeader},
		{"leader lost", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("call: %w", gateway.ErrUnreachable), 503, CodeTimeout},
		{"outcome unknown", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("put: %w", txn.ErrUnknownOutcome), 503, CodeTimeout},
		{"another process", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("call: %w", gateway.ErrNoEndpoint), 503, CodeNoLeader},
		{"fenced", "/v1/jobs?id=a", goodJob, "application/yaml", fmt.Errorf("put: %w", leader.ErrFenced), 503, CodeNoLeader},
		{"broken store", "/v1/jobs?id=a", goodJob, "application/yaml", errors.New("disk on fire"), 500, CodeInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := leadingServer(t, &fakeDispatcher{err: test.err}, nil)
			w := do(t, s, http.MethodPost, test.target, test.body, "Content-Type", test.contentType)
			wantProblem(t, w, test.status, test.code)
		})
	}
}

func TestInvalidJobListsEveryProblemWithItsLine(t *testing.T) {
	d := &fakeDispatcher{}
	w := do(t, leadingServer(t, d, nil), http.MethodPost, "/v1/jobs", badJob, "Content-Type", "application/yaml")
	p := wantProblem(t, w, 422, CodeInvalidJob)
	if len(p.Problems) < 2 {
		t.Fatalf("problems are %+v, want both unknown fields", p.Problems)
	}
	for _, problem := range p.Problems {
		if problem.Line == 0 || problem.Field == "" || problem.Message == "" {
			t.Errorf("problem %+v lacks its line, field or message", problem)
		}
	}
	if len(d.submitted) != 0 {
		t.Error("an invalid job was submitted")
	}
}

func TestLargeBodyIsRefused(t *testing.T) {
	d := &fakeDispatcher{}
	s := leadingServer(t, d, func(c *Config) { c.MaxBody = 64 })
	body := strings.Repeat("#", 65)
	wantProblem(t, do(t, s, http.MethodPost, "/v1/jobs", body), 413, CodeTooLarge)
	wantStatus(t, do(t, s, http.MethodPost, "/v1/jobs", "name: a\ntasks: [{id: a, command: [a]}]\n"), 200)
	if len(d.submitted) != 1 {
		t.Errorf("%d jobs were submitted, want only the small one", len(d.submitted))
	}
}

func TestJobQueries(t *testing.T) {
	code := 0
	snap := job.Snapshot{
		ID: "etl-1", Name: "etl", Status: job.StatusRunning, Epoch: 7,
		SubmittedAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
		Tasks: []job.TaskSnapshot{{ID: "extract", Subtasks: []job.SubtaskSnapshot{
			{Status: job.SubtaskFinished, Attempt: 1, ExitCode: &code},
		}}},
	}
	d := &fakeDispatcher{snap: snap, list: []job.Snapshot{snap}}
	s := leadingServer(t, d, nil)
	want := `{"id":"etl-1","name":"etl","status":"RUNNING","submitted_at":"2026-11-21T12:00:00Z","epoch":7,` +
		`"tasks":[{"id":"extract","subtasks":[{"index":0,"status":"FINISHED","attempt":1,"exit_code":0}]}]}`
	for target, want := range map[string]string{
		"/v1/jobs/etl-1": want,
		"/v1/jobs":       `{"jobs":[` + want + `]}`,
	} {
		w := do(t, s, http.MethodGet, target, "")
		wantStatus(t, w, http.StatusOK)
		if got := strings.TrimSpace(w.Body.String()); got != want {
			t.Errorf("GET %s\n got %s\nwant %s", target, got, want)
		}
	}
	d.list = nil
	if got := strings.TrimSpace(do(t, s, http.MethodGet, "/v1/jobs", "").Body.String()); got != `{"jobs":[]}` {
		t.Errorf("no jobs are %s", got)
	}
	wantStatus(t, do(t, s, http.MethodPost, "/v1/jobs/etl-1/cancel", ""), http.StatusAccepted)
	d.snap.Status = job.StatusFinished
	wantStatus(t, do(t, s, http.MethodPost, "/v1/jobs/etl-1/cancel", ""), http.StatusOK)
	d.err = gateway.ErrNoJob
	wantProblem(t, do(t, s, http.MethodGet, "/v1/jobs/nope", ""), 404, CodeNoJob)
	wantProblem(t, do(t, s, http.MethodPost, "/v1/jobs/nope/cancel", ""), 404, CodeNoJob)
}

func TestSlowDispatcherIsATimeout(t *testing.T) {
	s := leadingServer(t, &fakeDispatcher{block: true}, func(c *Config) { c.Timeout = 20 * time.Millisecond })
	wantProblem(t, do(t, s, http.MethodGet, "/v1/jobs", ""), 503, CodeTimeout)
	wantProblem(t, do(t, s, http.MethodPost, "/v1/jobs", goodJob), 503, CodeTimeout)
}
