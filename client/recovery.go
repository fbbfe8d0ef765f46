package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// Recovery returns what the leader has still to put in order. Errors: ErrNoLeader,
// ErrUnreachable, an *Error, or ctx's.
func (c *Client) Recovery(ctx context.Context) (gateway.RecoveryReport, error) {
	var report gateway.RecoveryReport
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/recovery"}, &report)
	return report, err
}

// RetryQuarantined has a job in quarantine read once more and run, and returns it
// as it goes on. Errors: ErrNoJob, ErrNotQuarantined, an *Error that says why it
// still cannot be read, ErrNoLeader, ErrUnreachable, or ctx's.
func (c *Client) RetryQuarantined(ctx context.Context, id job.ID) (job.Snapshot, error) {
	return c.order(ctx, id, "retry")
}

// DropQuarantined gives a job in quarantine up: it ends as FAILED, and what is
// stored of it is deleted. Errors: ErrNoJob, ErrNotQuarantined, an *Error,
// ErrNoLeader, ErrUnreachable (it may have been dropped after the latter two), or
// ctx's.
func (c *Client) DropQuarantined(ctx context.Context, id job.ID) (job.Snapshot, error) {
	return c.order(ctx, id, "drop")
}

func (c *Client) order(ctx context.Context, id job.ID, what string) (job.Snapshot, error) {
	var snap job.Snapshot
	_, err := c.ask(ctx, request{
		method: http.MethodPost, path: "/v1/recovery/quarantine/" + url.PathEscape(string(id)) + "/" + what,
	}, &snap)
	return snap, err
}

// Leftovers returns what is stored and belongs to no job, and deletes it when
// remove is set. After a lost answer it can be repeated, and then names only what
// was still there. Errors: those of Recovery.
func (c *Client) Leftovers(ctx context.Context, remove bool) ([]gateway.Leftover, error) {
	r := request{method: http.MethodGet, path: "/v1/recovery/leftovers"}
	if remove {
		r = request{method: http.MethodPost, path: "/v1/recovery/gc"}
	}
	var list struct {
		Leftovers []gateway.Leftover `json:"leftovers"`
	}
	_, err := c.ask(ctx, r, &list)
	return list.Leftovers, err
}
