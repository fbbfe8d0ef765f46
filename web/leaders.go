package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// maxWait is the longest long poll.
const maxWait = time.Minute

// LeaderAnswer says who leads a component. Its JSON is the API's.
type LeaderAnswer struct {
	Component string `json:"component" example:"dispatcher"`
	// Known is true in every 200.
	Known bool `json:"known"`
	// IsSelf says whether the node that answers leads.
	IsSelf bool   `json:"is_self" doc:"Whether the node that answers leads."`
	Leader Leader `json:"leader"`
	// Index orders answers of all nodes; it can be waited on.
	Index int64 `json:"index" doc:"Orders the answers of all nodes. Give it as index to wait for the next."`
	// LastContactMS is how long ago the answering node heard of its backend,
	// in milliseconds; nil when never.
	LastContactMS *int64 `json:"last_contact_ms" doc:"Milliseconds since the answering node heard of its backend."`
}

// Leader is one leader in a LeaderAnswer.
type Leader struct {
	ID         string           `json:"id" example:"node-2"`
	Address    string           `json:"address" example:"http://127.0.0.1:7430"`
	RPCAddress string           `json:"rpc_address" example:"127.0.0.1:7431"`
	SessionID  leader.SessionID `json:"session_id"`
	Epoch      leader.Epoch     `json:"epoch" doc:"Grows from each leader to the next: a fencing token."`
	Since      time.Time        `json:"since"`
	Phase      leader.Phase     `json:"phase" enum:"elected,recovering,ready"`
}

// WaitParams are the parameters of a long poll.
type WaitParams struct {
	Index int64  `query:"index" doc:"Answer only when the index is larger, or the wait is over."`
	Wait  string `query:"wait" doc:"How long to wait for a larger index, at most 1m." example:"30s"`
}

type componentInput struct {
	Component string `path:"component" example:"dispatcher"`
	WaitParams
}

type leaderOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         LeaderAnswer
}

func (s *Server) leaderRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "leader",
		Method:      http.MethodGet,
		Path:        "/v1/leader",
		Summary:     "Who leads the dispatcher",
		Responses:   problems(api, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}, func(ctx context.Context, in *WaitParams) (*leaderOutput, error) {
		return s.leader(ctx, leader.Dispatcher, *in)
	})
	huma.Register(api, huma.Operation{
		OperationID: "leader-of",
		Method:      http.MethodGet,
		Path:        "/v1/leaders/{component}",
		Summary:     "Who leads a component",
		Responses: problems(api, http.StatusNotFound, http.StatusUnprocessableEntity,
			http.StatusServiceUnavailable),
	}, func(ctx context.Context, in *componentInput) (*leaderOutput, error) {
		return s.leader(ctx, in.Component, in.WaitParams)
	})
}

func (s *Server) leader(ctx context.Context, component string, p WaitParams) (*leaderOutput, error) {
	follower := s.cfg.Followers[component]
	if follower == nil {
		return nil, newProblem(http.StatusNotFound, CodeUnknownComponent, fmt.Sprintf("component %q is not known; known are %s",
			component, strings.Join(slices.Sorted(maps.Keys(s.cfg.Followers)), ", ")))
	}
	wait, err := parseWait(p.Wait)
	if err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, CodeBadRequest, err.Error())
	}
	state := s.await(ctx, component, follower, p.Index, wait)
	if state.status != retrieval.StatusKnown {
		return nil, s.noLeader(component, state.status, state.info)
	}
	return &leaderOutput{CacheControl: "no-store", Body: s.leaderAnswer(state)}, nil
}

// parseWait reads the wait parameter; absent means not to wait.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, fmt.Errorf("query.wait: %q is not a duration like 30s", text)
	}
	return min(wait, maxWait), nil
}

// leaderState is what this node knows of a leader at one moment.
type leaderState struct {
	status retrieval.Status
	info   leader.Info
	isSelf bool
	index  int64
}

// look combines what is published with what this node leads itself: it reports its
// own phases before anything is published, and a term of its own that is newer
// than what retrieval has seen.
func (s *Server) look(component string, f Follower) (state leaderState, seen, own <-chan struct{}) {
	o, seen := f.Latest()
	mine, leads, own := s.cfg.Node.Leading(component)
	state = leaderState{status: o.Status, info: o.Info, index: o.Index}
	switch {
	case leads && (o.Status != retrieval.StatusKnown || mine.Epoch >= o.Info.Epoch):
		mine.Component = component
		state.status, state.info, state.isSelf = retrieval.StatusKnown, mine, true
		// An epoch is a transaction's id like an index.
		state.index = max(o.Index, int64(mine.Epoch))
	case o.Status == retrieval.StatusKnown:
		state.isSelf = leads && mine.SessionID == o.Info.SessionID
	}
	return state, seen, own
}

// await looks until the index exceeds the given one, the wait is over, or ctx ends.
func (s *Server) await(ctx context.Context, component string, f Follower, index int64, wait time.Duration) leaderState {
	state, seen, own := s.look(component, f)
	if wait == 0 {
		return state
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for state.index <= index {
		select {
		case <-seen:
		case <-own:
		case <-timer.C:
			return state
		case <-ctx.Done():
			return state
		}
		state, seen, own = s.look(component, f)
	}
	return state
}

func (s *Server) leaderAnswer(state leaderState) LeaderAnswer {
	return LeaderAnswer{
		Component: state.info.Component,
		Known:     true,
		IsSelf:    state.isSelf,
		Leader: Leader{
			ID: state.info.ID, Address: state.info.Address, RPCAddress: state.info.RPCAddress,
			SessionID: state.info.SessionID, Epoch: state.info.Epoch, Since: state.info.Since, Phase: state.info.Phase,
		},
		Index:         state.index,
		LastContactMS: s.lastContact(),
	}
}

func (s *Server) lastContact() *int64 {
	last := s.cfg.Backend.Health().LastContact
	if last.IsZero() {
		return nil
	}
	ms := max(time.Since(last).Milliseconds(), 0)
	return &ms
}

// noLeader says why no leader can be named: nobody leads, the backend has not
// answered yet, or it cannot be asked.
func (s *Server) noLeader(component string, status retrieval.Status, last leader.Info) *ProblemError {
	if status == retrieval.StatusNone {
		return newProblem(http.StatusServiceUnavailable, CodeNoLeader, "nobody leads "+component+" now")
	}
	code, detail := CodeUnconfirmed, "this node is still finding out who leads "+component
	if health := s.cfg.Backend.Health(); !health.Connected {
		code, detail = CodeDisconnected, "this node does not know who leads "+component+": "+health.Detail
	}
	if last.ID != "" {
		detail += "; the last leader that it knew is " + last.ID + " at " + last.Address
	}
	return newProblem(http.StatusServiceUnavailable, code, detail)
}
