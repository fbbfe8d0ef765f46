package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// Workers returns all workers that the leader knows, by ID. Errors: an *Error,
// ErrNoLeader, ErrUnreachable, or ctx's.
func (c *Client) Workers(ctx context.Context) ([]gateway.WorkerStatus, error) {
	var list struct {
		Workers []gateway.WorkerStatus `json:"workers"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/workers"}, &list)
	return list.Workers, err
}

// DrainWorker has a worker take nothing new and end when it is empty, and returns it
// without waiting for that: with nothing but its ID and state when it has ended
// already. It may be repeated. Errors: ErrNoWorker, and those of Workers.
func (c *Client) DrainWorker(ctx context.Context, id string) (gateway.WorkerStatus, error) {
	var w gateway.WorkerStatus
	_, err := c.ask(ctx, request{method: http.MethodPost, path: "/v1/workers/" + url.PathEscape(id) + "/drain"}, &w)
	return w, err
}

// WorkerMetrics returns what a worker counts, up to a second ago. Errors: ErrNoWorker,
// an *Error when the worker does not answer, and those of Workers.
func (c *Client) WorkerMetrics(ctx context.Context, id string) ([]gateway.Metric, error) {
	return c.metrics(ctx, "/v1/workers/"+url.PathEscape(id)+"/metrics")
}

// JobMetrics returns what a job's master counts, up to a second ago; nothing for a job
// that has ended. Errors: ErrNoJob, an *Error when the master does not answer, and those
// of Workers.
func (c *Client) JobMetrics(ctx context.Context, id job.ID) ([]gateway.Metric, error) {
	return c.metrics(ctx, "/v1/jobs/"+url.PathEscape(string(id))+"/metrics")
}

func (c *Client) metrics(ctx context.Context, path string) ([]gateway.Metric, error) {
	var list struct {
		Metrics []gateway.Metric `json:"metrics"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: path}, &list)
	return list.Metrics, err
}
