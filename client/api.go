package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// pollInterval is how often Wait looks at a job.
const pollInterval = 200 * time.Millisecond

// Leadership is a node's answer to who leads.
type Leadership struct {
	Component string `json:"component"`
	Known     bool   `json:"known"`
	// IsSelf says whether the node that answered leads.
	IsSelf bool   `json:"is_self"`
	Leader Leader `json:"leader"`
	// Index orders the answers of all nodes.
	Index int64 `json:"index"`
	// LastContactMS is how long ago, in milliseconds, the node heard of its
	// backend; nil when never.
	LastContactMS *int64 `json:"last_contact_ms"`
}

// Leader is who leads in a Leadership.
type Leader struct {
	ID         string           `json:"id"`
	Address    string           `json:"address"`
	RPCAddress string           `json:"rpc_address"`
	SessionID  leader.SessionID `json:"session_id"`
	Epoch      leader.Epoch     `json:"epoch"`
	Since      time.Time        `json:"since"`
	Phase      leader.Phase     `json:"phase"`
}

// Leader asks who leads the component. Errors: ErrNoLeader, ErrUnreachable, an
// *Error, or ctx's.
func (c *Client) Leader(ctx context.Context, component string) (Leadership, error) {
	var l Leadership
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/leaders/" + url.PathEscape(component)}, &l)
	return l, err
}

// Contender is one of those that lead a cluster or wait to.
type Contender struct {
	// ID is empty when a foreign contender gave none.
	ID string `json:"id"`
	// Epoch is that of the term that it leads, or would lead from its present place.
	Epoch leader.Epoch `json:"epoch"`
	// Since is when it began to contend, by the backend's clock.
	Since time.Time `json:"since"`
	// Leads is true for the first one, which leads or is about to.
	Leads bool `json:"leads"`
	// Foreign says that it is of another implementation.
	Foreign bool `json:"foreign"`
}

// Contenders returns who contends for leadership, in the order in which they lead.
// Errors: ErrNoLeader when no node that answered can reach its backend,
// ErrUnreachable, an *Error, or ctx's.
func (c *Client) Contenders(ctx context.Context) ([]Contender, error) {
	var list struct {
		Contenders []Contender `json:"contenders"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/contenders"}, &list)
	return list.Contenders, err
}

// Submit submits a job file, in YAML or JSON, under the ID, which must not be
// empty: with it, asking again after a lost answer does not run the job twice.
// created is false when the same job was there already. Errors: ErrConflict, an
// *Error, ErrNoLeader, ErrUnreachable (the job may have been accepted after the
// latter two), or ctx's.
func (c *Client) Submit(ctx context.Context, id job.ID, file []byte) (snap job.Snapshot, created bool, err error) {
	status, err := c.ask(ctx, request{
		method: http.MethodPost, path: "/v1/jobs", query: url.Values{"id": {string(id)}},
		contentType: "application/yaml", body: file,
	}, &snap)
	return snap, status == http.StatusAccepted, err
}

// Jobs returns all known jobs in the order of their submission. Errors: an
// *Error, ErrNoLeader, ErrUnreachable, or ctx's.
func (c *Client) Jobs(ctx context.Context) ([]job.Snapshot, error) {
	var list struct {
		Jobs []job.Snapshot `json:"jobs"`
	}
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/jobs"}, &list)
	return list.Jobs, err
}

// Job returns one job. Errors: ErrNoJob, an *Error, ErrNoLeader, ErrUnreachable,
// or ctx's.
func (c *Client) Job(ctx context.Context, id job.ID) (job.Snapshot, error) {
	var snap job.Snapshot
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/v1/jobs/" + url.PathEscape(string(id))}, &snap)
	return snap, err
}

// Cancel asks a job to stop. Errors: those of Job.
func (c *Client) Cancel(ctx context.Context, id job.ID) (job.Snapshot, error) {
	var snap job.Snapshot
	_, err := c.ask(ctx, request{
		method: http.MethodPost, path: "/v1/jobs/" + url.PathEscape(string(id)) + "/cancel",
	}, &snap)
	return snap, err
}

// Wait returns the job when it has ended. It calls observe, if not nil, with each
// snapshot that it gets on the way. Errors: those of WaitFor.
func (c *Client) Wait(ctx context.Context, id job.ID, observe func(job.Snapshot)) (job.Snapshot, error) {
	return c.WaitFor(ctx, id, func(snap job.Snapshot) bool {
		if observe != nil {
			observe(snap)
		}
		return false
	})
}

// WaitFor returns the job when enough says so or it has ended. Once it has seen
// the job it goes on asking until ctx ends, whatever becomes of the nodes
// meanwhile. Errors: those of Job.
func (c *Client) WaitFor(ctx context.Context, id job.ID, enough func(job.Snapshot) bool) (job.Snapshot, error) {
	var last job.Snapshot
	for seen := false; ; {
		snap, err := c.Job(ctx, id)
		switch {
		case err == nil:
			last, seen = snap, true
			if enough(snap) || snap.Status.Terminal() {
				return snap, nil
			}
		case !seen || !temporary(err):
			return last, err
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// Follow returns the job as it is now, and again whenever it has changed, until it has
// ended; the last snapshot is then its end. What changes in less than a moment may be
// seen as one. Once it has seen the job it goes on through the loss of any node, and
// shows nothing that a deposed leader says. Before it gives up it yields an error, one of
// those of WaitFor, with the newest snapshot.
func (c *Client) Follow(ctx context.Context, id job.ID) iter.Seq2[job.Snapshot, error] {
	return func(yield func(job.Snapshot, error) bool) {
		var told *job.Snapshot
		left := false
		last, err := c.WaitFor(ctx, id, func(snap job.Snapshot) bool {
			if told != nil && (snap.Epoch < told.Epoch || reflect.DeepEqual(snap, *told)) {
				return false
			}
			told = &snap
			left = !yield(snap, nil)
			return left
		})
		if err != nil && !left {
			yield(last, err)
		}
	}
}
