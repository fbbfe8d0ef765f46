package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// metricsFor is how long metrics are answered again without asking for them: however
// many pages show a worker, it is asked this often.
const metricsFor = time.Second

// MetricList is the answer to GET /v1/workers/{id}/metrics and
// /v1/jobs/{id}/metrics. Its JSON is the API's.
type MetricList struct {
	// Metrics stand in the order in which their component names them.
	Metrics []gateway.Metric `json:"metrics" nullable:"false"`
}

type metricsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         MetricList
}

func (s *Server) metricRoutes(api huma.API) {
	const cached = " An answer is up to a second old."
	huma.Register(api, huma.Operation{
		OperationID: "worker-metrics",
		Method:      http.MethodGet,
		Path:        "/v1/workers/{id}/metrics",
		Summary:     "What a worker counts",
		Description: "The node that is asked asks the worker." + cached,
		Responses:   problems(api, http.StatusNotFound, http.StatusServiceUnavailable),
	}, s.workerMetrics)
	huma.Register(api, huma.Operation{
		OperationID: "job-metrics",
		Method:      http.MethodGet,
		Path:        "/v1/jobs/{id}/metrics",
		Summary:     "What a job's master counts",
		Description: "The node that is asked asks the job's master. A job that has ended has none, and no metrics." + cached,
		Responses:   problems(api, http.StatusNotFound, http.StatusServiceUnavailable),
	}, s.jobMetrics)
}

func (s *Server) workerMetrics(ctx context.Context, in *workerInput) (*metricsOutput, error) {
	return s.cachedMetrics(ctx, "worker/"+in.ID, func(ctx context.Context) ([]gateway.Metric, error) {
		return withWorker(ctx, s, in.ID, func(ctx context.Context, w gateway.TaskExecutor) ([]gateway.Metric, error) {
			return w.Metrics(ctx)
		})
	})
}

func (s *Server) jobMetrics(ctx context.Context, in *jobInput) (*metricsOutput, error) {
	return s.cachedMetrics(ctx, "job/"+in.ID, func(ctx context.Context) ([]gateway.Metric, error) {
		return s.askMaster(ctx, job.ID(in.ID))
	})
}

// askMaster returns the metrics of a job's master, if the job has one. Its error is
// an answer.
func (s *Server) askMaster(ctx context.Context, id job.ID) ([]gateway.Metric, error) {
	snap, err := s.snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	if snap.Status.Terminal() || snap.Status == job.StatusSuspended || snap.Status == job.StatusInitializing {
		return nil, nil
	}
	what := fmt.Sprintf("the master of job %q", id)
	master, hangUp, err := s.cfg.Gateways.JobMaster(ctx, id)
	if err != nil {
		return nil, s.unreachable(ctx, what, err)
	}
	defer hangUp()
	metrics, err := master.Metrics(ctx)
	switch {
	case errors.Is(err, gateway.ErrStopped): // the job has just ended
		return nil, nil
	case err != nil:
		return nil, s.unreachable(ctx, what, err)
	}
	return metrics, nil
}

func (s *Server) cachedMetrics(ctx context.Context, key string, fetch metricFetch) (*metricsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	metrics, err := s.metrics.get(ctx, key, fetch)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if metrics == nil {
		metrics = []gateway.Metric{}
	}
	return &metricsOutput{CacheControl: "no-store", Body: MetricList{Metrics: metrics}}, nil
}

// metricFetch asks a component for its metrics.
type metricFetch func(ctx context.Context) ([]gateway.Metric, error)

// metricCache holds metrics for metricsFor, and has each component asked once at a
// time. A component that fails is forgotten, and all are that nobody asks for.
type metricCache struct {
	mu      sync.Mutex
	answers map[string]*metricAnswer
}

// metricAnswer is one component's metrics, or the question for them under way.
type metricAnswer struct {
	// done is closed when the rest is set.
	done    chan struct{}
	metrics []gateway.Metric
	err     error
	// abandoned: who asked went away, so the error is not the component's.
	abandoned bool
	// until is when the answer is too old, zero while it is under way. It is guarded
	// by the cache.
	until time.Time
}

func newMetricCache() *metricCache { return &metricCache{answers: make(map[string]*metricAnswer)} }

// get returns the metrics under the key, from fetch on the caller's goroutine if
// nobody else has just asked or is about to.
func (c *metricCache) get(ctx context.Context, key string, fetch metricFetch) ([]gateway.Metric, error) {
	for {
		a, mine := c.enter(key)
		if mine {
			c.fill(ctx, key, a, fetch)
			return a.metrics, a.err
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !a.abandoned {
			return a.metrics, a.err
		}
	}
}

// enter returns the answer under the key, and whether the caller is to fill it.
func (c *metricCache) enter(key string) (a *metricAnswer, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for k, a := range c.answers {
		if !a.until.IsZero() && now.After(a.until) {
			delete(c.answers, k)
		}
	}
	if a := c.answers[key]; a != nil {
		return a, false
	}
	a = &metricAnswer{done: make(chan struct{})}
	c.answers[key] = a
	return a, true
}

// fill asks, and tells those who wait.
func (c *metricCache) fill(ctx context.Context, key string, a *metricAnswer, fetch metricFetch) {
	// Also when fetch panics nobody must wait for ever.
	a.abandoned = true
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if a.err != nil || a.abandoned {
			delete(c.answers, key)
		} else {
			a.until = time.Now().Add(metricsFor)
		}
		close(a.done)
	}()
	a.metrics, a.err = fetch(ctx)
	a.abandoned = a.err != nil && ctx.Err() != nil
}
