package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coordd/coordd/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContendersAreReadInTheirOrder(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"contenders":[`+
			`{"id":"b","epoch":7,"since":"2026-11-21T05:00:00Z","leads":true,"foreign":false},`+
			`{"id":"","epoch":9,"since":"2026-11-21T05:00:01Z","leads":false,"foreign":true}]}`)
	})
	c, err := New(Config{Addresses: []string{n.url}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	since := time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)
	want := []Contender{{ID: "b", Epoch: 7, Since: since, Leads: true}, {Epoch: 9, Since: since.Add(time.Second), Foreign: true}}
	got, err := c.Contenders(t.Context())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Contenders returned %+v, %v; want %+v", got, err, want)
	}
	if asked := n.questions(); len(asked) != 1 || asked[0] != "GET /v1/contenders" {
		t.Errorf("asked %q, want GET /v1/contenders once", asked)
	}
}

// node is a server whose answers a test sets, and which counts questions.
type node struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
	asked  []string
	url    string
}

func newNode(t *testing.T, answer http.HandlerFunc) *node {
	t.Helper()
	n := &node{answer: answer}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		answer := n.answer
		n.asked = append(n.asked, r.Method+" "+r.URL.String())
		n.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(ts.Close)
	n.url = ts.URL
	return n
}

func (n *node) set(answer http.HandlerFunc) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = answer
}

func (n *node) questions() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.asked...)
}

// gone returns an address at which nothing listens.
func gone(t *testing.T) string {
	t.Helper()
	ts := httptest.NewServer(http.NotFoundHandler())
	ts.Close()
	return ts.URL
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const (
	noLeader = `{"status":503,"code":"no_leader","detail":"nobody leads dispatcher now"}`
	running  = `{"id":"etl","status":"RUNNING"}`
	finished = `{"id":"etl","status":"FINISHED"}`
)

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTheFirstNodeThatAnswersIsUsedAndRemembered(t *testing.T) {
	silent := gone(t)
	standby := newNode(t, says(503, noLeader))
	leading := newNode(t, says(200, finished))
	c := newClient(t, Config{Addresses: []string{silent, standby.url, leading.url}})
	for range 2 {
		snap, err := c.Job(t.Context(), "etl")
		if err != nil || snap.Status != job.StatusFinished {
			t.Fatalf("Job is %+v, %v; want the third node's answer", snap, err)
		}
	}
	if got := len(standby.questions()); got != 1 {
		t.Errorf("the second node was asked %d times, want once", got)
	}
}

func TestPatienceRidesOutAHandOver(t *testing.T) {
	n := newNode(t, says(503, noLeader))
	var reasons []error
	c := newClient(t, Config{Addresses: []string{n.url}, OnRetry: func(err error) {
		reasons = append(reasons, err)
		n.set(says(202, running))
	}})
	snap, created, err := c.Submit(t.Context(), "etl", []byte("name: etl"))
	if err != nil || !created || snap.ID != "etl" {
		t.Fatalf("Submit is %+v, %t, %v", snap, created, err)
	}
	if len(reasons) != 1 || !errors.Is(reasons[0], ErrNoLeader) {
		t.Errorf("reasons to retry are %v, want one ErrNoLeader", reasons)
	}
	want := "POST /v1/jobs?id=etl"
	for _, got := range n.questions() {
		if got != want {
			t.Errorf("asked %q, want %q each time", got, want)
		}
	}
}

func TestImpatientErrorsSayWhatIsTheMatter(t *testing.T) {
	silent := gone(t)
	tests := []struct {
		name    string
		address string
		target  error
		text    string
	}{
		{"nobody there", silent, ErrUnreachable, silent},
		{"no leader", newNode(t, says(503, noLeader)).url, ErrNoLeader, "nobody leads"},
		{"unconfirmed", newNode(t, says(503, `{"code":"unconfirmed","detail":"still finding out"}`)).url, ErrNoLeader, "finding out"},
		{"disconnected", newNode(t, says(503, `{"code":"disconnected","detail":"ZooKeeper is away"}`)).url, ErrNoLeader, "ZooKeeper is away"},
		{"no job", newNode(t, says(404, `{"code":"no_such_job","detail":"no job has the id \"etl\""}`)).url, ErrNoJob, "no job has"},
		{"conflict", newNode(t, says(409, `{"code":"job_conflict","detail":"other content"}`)).url, ErrConflict, "other content"},
		{"not coordd", newNode(t, says(404, "<html>")).url, nil, "is it a coordd?"},
		{"not coordd, happy", newNode(t, says(200, "<html>")).url, nil, "is it a coordd?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, Config{Addresses: []string{test.address}, Patience: -1})
			_, err := c.Job(t.Context(), "etl")
			if err == nil || !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v, want one line with %q", err, test.text)
			}
			if test.target != nil && !errors.Is(err, test.target) {
				t.Errorf("error %v is not %v", err, test.target)
			}
		})
	}
}

func TestProblemsOfAJobFileComeBack(t *testing.T) {
	n := newNode(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != "name: etl" || r.Header.Get("Content-Type") != "application/yaml" {
			t.Errorf("the node got %q as %q", body, r.Header.Get("Content-Type"))
		}
		says(422, `{"code":"invalid_job","detail":"bad","problems":[{"line":3,"field":"tasks","message":"is missing"}]}`)(w, r)
	})
	c := newClient(t, Config{Addresses: []string{n.url}})
	_, _, err := c.Submit(t.Context(), "etl", []byte("name: etl"))
	problem, ok := errors.AsType[*Error](err)
	if !ok || len(problem.Problems) != 1 || problem.Problems[0].Line != 3 || problem.Status != 422 {
		t.Errorf("error is %#v, want the problem of line 3", err)
	}
}

func TestWaitGoesOnWhileNodesComeAndGo(t *testing.T) {
	n := newNode(t, says(200, running))
	c := newClient(t, Config{Addresses: []string{n.url}, Patience: time.Millisecond})
	answers := []http.HandlerFunc{says(503, noLeader), says(503, noLeader), says(200, running), says(200, finished)}
	n.set(func(w http.ResponseWriter, r *http.Request) {
		next := answers[0]
		if len(answers) > 1 && len(n.questions()) > 1 {
			answers = answers[1:]
		}
		if len(n.questions()) == 1 {
			next = says(200, running)
		}
		next(w, r)
	})
	var seen []job.Status
	snap, err := c.Wait(t.Context(), "etl", func(s job.Snapshot) { seen = append(seen, s.Status) })
	if err != nil || snap.Status != job.StatusFinished {
		t.Fatalf("Wait is %+v, %v", snap, err)
	}
	if len(seen) < 2 || seen[0] != job.StatusRunning || seen[len(seen)-1] != job.StatusFinished {
		t.Errorf("observed %v, want RUNNING to FINISHED", seen)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	n := newNode(t, says(200, running))
	c := newClient(t, Config{Addresses: []string{n.url}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := c.Wait(ctx, "etl", func(job.Snapshot) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait is %v, want context.Canceled", err)
	}
}

func TestAddressesAreRead(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:7420":         "http://127.0.0.1:7420",
		"http://node-1:7420/":    "http://node-1:7420",
		"https://coordd.example": "https://coordd.example",
	} {
		if got, err := baseURL(in); err != nil || got != want {
			t.Errorf("baseURL(%q) is %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "ftp://x", "http://", "http://a b"} {
		if _, err := New(Config{Addresses: []string{in}}); err == nil || !strings.Contains(err.Error(), in) {
			t.Errorf("New with address %q: %v, want an error that names it", in, err)
		}
	}
}
