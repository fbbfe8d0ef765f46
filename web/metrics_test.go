package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// fakeExecutor is a worker that has outputs and metrics.
type fakeExecutor struct {
	gateway.TaskExecutor // nil: whatever else is called is a mistake
	metrics              func(ctx context.Context) ([]gateway.Metric, error)
	readLog              func(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error)
}

func (e *fakeExecutor) Metrics(ctx context.Context) ([]gateway.Metric, error) { return e.metrics(ctx) }

func (e *fakeExecutor) ReadLog(ctx context.Context, r gateway.LogRequest) (gateway.LogChunk, error) {
	return e.readLog(ctx, r)
}

// fakeMaster is a job's master that has metrics.
type fakeMaster struct {
	gateway.JobMaster // nil: whatever else is called is a mistake
	metrics           []gateway.Metric
	err               error
}

func (m *fakeMaster) Metrics(context.Context) ([]gateway.Metric, error) { return m.metrics, m.err }

var (
	workerOne  = gateway.Worker{ID: "w-1", Instance: "i-1", Address: "127.0.0.1:7431"}
	someMetric = []gateway.Metric{{Name: "coordd_slots", Labels: map[string]string{"state": "free"}, Value: 3}}
)

const someMetricJSON = `{"metrics":[{"name":"coordd_slots","labels":{"state":"free"},"value":3}]}`

// withExecutor is a node of a cluster with one worker.
func withExecutor(e *fakeExecutor) *fakeNode {
	n := newFakeNode()
	n.refused = gateway.ErrRefused
	n.workers = &fakeManager{list: []gateway.WorkerStatus{
		{ID: workerOne.ID, Instance: workerOne.Instance, Address: workerOne.Address, State: gateway.WorkerReady},
		{ID: "w-away", Address: "127.0.0.1:1", State: gateway.WorkerExpected},
	}}
	n.executor = map[gateway.Worker]gateway.TaskExecutor{workerOne: e}
	return n
}

func TestMetricsOfAWorkerAreAskedForOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		n := withExecutor(&fakeExecutor{metrics: func(context.Context) ([]gateway.Metric, error) {
			asked++
			<-time.After(100 * time.Millisecond)
			return someMetric, nil
		}})
		s := newTestServer(t, "node-1", n, nil)
		get := func() {
			w := do(t, s, http.MethodGet, "/v1/workers/w-1/metrics", "")
			if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != someMetricJSON {
				t.Errorf("answer is %d %s, want %s", w.Code, got, someMetricJSON)
			}
		}
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(get)
		}
		readers.Wait()
		get()
		if asked != 1 {
			t.Errorf("the worker was asked %d times by many at once, want once", asked)
		}
		<-time.After(metricsFor + time.Millisecond)
		get()
		if asked != 2 {
			t.Errorf("the worker was asked %d times after a second, want twice", asked)
		}
		n.wantHungUp(t, 2)
	})
}

func TestMetricsOfAComponentThatDoesNotAnswer(t *testing.T) {
	asked := 0
	n := withExecutor(&fakeExecutor{metrics: func(context.Context) ([]gateway.Metric, error) {
		asked++
		return nil, gateway.ErrStopped
	}})
	s := newTestServer(t, "node-1", n, nil)
	for range 2 { // a failure is not kept
		p := wantProblem(t, do(t, s, http.MethodGet, "/v1/workers/w-1/metrics", ""), 503, CodeUnreachable)
		if !strings.Contains(p.Detail, `worker "w-1"`) {
			t.Errorf("detail %q does not name the worker", p.Detail)
		}
	}
	if asked != 2 {
		t.Errorf("the worker was asked %d times, want each time", asked)
	}
	wantProblem(t, do(t, s, http.MethodGet, "/v1/workers/w-away/metrics", ""), 503, CodeUnreachable)
	wantProblem(t, do(t, s, http.MethodGet, "/v1/workers/nope/metrics", ""), 404, CodeNoWorker)
	if len(s.metrics.answers) != 0 {
		t.Errorf("%d components that failed are remembered, want none", len(s.metrics.answers))
	}
	n.wantHungUp(t, 2)
}

func TestMetricsThatNobodyAsksForAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMetricCache()
		for i := range 100 {
			if _, err := c.get(t.Context(), fmt.Sprint(i), func(context.Context) ([]gateway.Metric, error) { return someMetric, nil }); err != nil {
				t.Error(err)
			}
		}
		<-time.After(metricsFor + time.Millisecond)
		c.enter("another")
		if len(c.answers) != 1 {
			t.Errorf("%d answers are kept, want only the newest", len(c.answers))
		}
	})
}

func TestWhoWaitsForMetricsAsksWhenTheOtherGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMetricCache()
		impatient, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := c.get(impatient, "w", func(ctx context.Context) ([]gateway.Metric, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			gaveUp <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			got, err := c.get(t.Context(), "w", func(context.Context) ([]gateway.Metric, error) { return someMetric, nil })
			if len(got) != 1 {
				err = fmt.Errorf("got %v, %w", got, err)
			}
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v, want its context's error", err)
		}
		if err := <-second; err != nil {
			t.Errorf("who waited got %v, want the metrics", err)
		}
	})
}

func TestMetricsOfAJobComeFromItsMaster(t *testing.T) {
	n := newFakeNode()
	n.refused = gateway.ErrRefused
	d := &fakeDispatcher{snap: job.Snapshot{ID: "etl", Status: job.StatusRunning}}
	n.jobs = d
	m := &fakeMaster{metrics: someMetric}
	n.masters = map[job.ID]gateway.JobMaster{"etl": m}
	for _, test := range []struct {
		name   string
		status job.Status
		err    error
		want   string
		code   int
	}{
		{"running", job.StatusRunning, nil, someMetricJSON, 200},
		{"ended", job.StatusFinished, nil, `{"metrics":[]}`, 200},
		{"in quarantine", job.StatusSuspended, nil, `{"metrics":[]}`, 200},
		{"just ended", job.StatusRunning, gateway.ErrStopped, `{"metrics":[]}`, 200},
		{"silent", job.StatusRunning, errors.New("broken pipe"), CodeUnreachable, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			d.snap.Status, m.err = test.status, test.err
			w := do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, "/v1/jobs/etl/metrics", "")
			if got := strings.TrimSpace(w.Body.String()); w.Code != test.code || !strings.Contains(got, test.want) {
				t.Errorf("answer is %d %s, want %d with %s", w.Code, got, test.code, test.want)
			}
		})
	}
	s := newTestServer(t, "node-1", n, nil)
	d.snap.Status = job.StatusRunning
	wantProblem(t, do(t, s, http.MethodGet, "/v1/jobs/other/metrics", ""), 503, CodeUnreachable)
	d.err = gateway.ErrNoJob
	wantProblem(t, do(t, s, http.MethodGet, "/v1/jobs/nope/metrics", ""), 404, CodeNoJob)
	n.wantHungUp(t, 3)
}
