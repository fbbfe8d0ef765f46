package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/ha"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

func TestWithoutALeaderTheAnswerSaysWhy(t *testing.T) {
	tests := []struct {
		name   string
		state  func(*fakeNode)
		code   string
		detail string
	}{
		{"nobody leads", func(*fakeNode) {}, CodeNoLeader, "nobody leads"},
		{"own recovery", func(n *fakeNode) {
			n.leads, n.own = true, leader.Info{Phase: leader.PhaseRecovering}
		}, CodeNoLeader, "recovering"},
		{"own end", func(n *fakeNode) {
			n.leads, n.own = true, leader.Info{Phase: leader.PhaseReady}
		}, CodeNoLeader, "ceasing to lead"},
		{"own old publication", func(n *fakeNode) {
			n.obs = known(info("node-1", 9, "http://127.0.0.1:1"), 10)
		}, CodeNoLeader, "ceasing to lead"},
		{"leader gone", func(n *fakeNode) {
			n.obs = known(info("node-2", 9, "http://127.0.0.1:1"), 10)
		}, CodeNoLeader, "node-2 at 127.0.0.1:7421 led last and does not answer"},
		{"unconfirmed", func(n *fakeNode) {
			n.obs = retrieval.State{Status: retrieval.StatusUnconfirmed}
		}, CodeUnconfirmed, "finding out"},
		{"disconnected", func(n *fakeNode) {
			n.obs, n.health = retrieval.State{}, ha.Health{Detail: "no server answers"}
		}, CodeDisconnected, "no server answers"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Whether nothing is connected, or what is turns out not to lead.
			for _, dispatcher := range []gateway.Dispatcher{
				nil,
				&fakeDispatcher{err: fmt.Errorf("jobs: %w", gateway.ErrStopped)},
				&fakeDispatcher{err: gateway.ErrRefused},
				&fakeDispatcher{err: gateway.ErrFencingToken},
			} {
				n := newFakeNode()
				n.update(func(n *fakeNode) { n.jobs = dispatcher; test.state(n) })
				p := wantProblem(t, do(t, newTestServer(t, "node-1", n, nil), http.MethodGet, "/v1/jobs", ""), 503, test.code)
				if !strings.Contains(p.Detail, test.detail) {
					t.Errorf("detail is %q, want %q in it", p.Detail, test.detail)
				}
			}
		})
	}
}

func TestEveryRequestToTheLeaderFailsFastWithoutOne(t *testing.T) {
	s := newTestServer(t, "node-1", newFakeNode(), nil)
	for _, request := range [][2]string{
		{http.MethodPost, "/v1/jobs?id=a"},
		{http.MethodGet, "/v1/jobs"},
		{http.MethodGet, "/v1/jobs/a"},
		{http.MethodPost, "/v1/jobs/a/cancel"},
		{http.MethodGet, "/v1/jobs/a/metrics"},
		{http.MethodGet, "/v1/jobs/a/tasks/b/0/log?follow=true"},
		{http.MethodGet, "/v1/workers"},
		{http.MethodPost, "/v1/workers/w/drain"},
		{http.MethodGet, "/v1/workers/w/metrics"},
		{http.MethodGet, "/v1/recovery"},
		{http.MethodGet, "/v1/recovery/leftovers"},
		{http.MethodPost, "/v1/recovery/gc"},
		{http.MethodPost, "/v1/recovery/quarantine/a/retry"},
		{http.MethodPost, "/v1/recovery/quarantine/a/drop"},
	} {
		w := do(t, s, request[0], request[1], goodJob, "Content-Type", "application/yaml")
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s answers %d, want 503", request, w.Code)
			continue
		}
		wantProblem(t, w, http.StatusServiceUnavailable, CodeNoLeader)
	}
}

// fakeManager is a resource manager that knows what it is given.
type fakeManager struct {
	gateway.ResourceManager // nil: whatever else is called is a mistake
	list                    []gateway.WorkerStatus
	err                     error
	drained                 []string
	// drain is what becomes of the list.
	drain func(list []gateway.WorkerStatus) []gateway.WorkerStatus
	block bool
}

func (m *fakeManager) Workers(ctx context.Context) ([]gateway.WorkerStatus, error) {
	if m.block {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.list, m.err
}

func (m *fakeManager) Drain(_ context.Context, id string) error {
	m.drained = append(m.drained, id)
	if m.drain != nil {
		m.list = m.drain(m.list)
		return nil
	}
	return fmt.Errorf("drain %q: %w", id, gateway.ErrNoWorker)
}
