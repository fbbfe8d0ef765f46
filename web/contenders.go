package web

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// contendersWithin bounds how long the backend may take to say who contends.
const contendersWithin = 3 * time.Second

// Contenders tells who contends for leadership; election.Elector does.
type Contenders interface {
	// Participants returns them in order, the leader first. It blocks while the
	// backend is away, until ctx ends.
	Participants(ctx context.Context) ([]election.Participant, error)
}

// ContenderList is the answer to GET /v1/contenders. Its JSON is the API's.
type ContenderList struct {
	// Contenders stand in the order in which they lead.
	Contenders []Contender `json:"contenders" nullable:"false" doc:"In the order in which they lead; the first one does."`
}

// Contender is one contender in a ContenderList.
type Contender struct {
	// ID is empty when a foreign contender gave none.
	ID string `json:"id" example:"node-2"`
	// Epoch is that of the term that it leads, or would lead from its present place.
	Epoch leader.Epoch `json:"epoch" doc:"The epoch that it leads in, or would lead in from its present place."`
	// Since is when it began to contend, by the backend's clock.
	Since time.Time `json:"since" doc:"When it began to contend, by the backend's clock."`
	// Leads is true for the first one, which leads or is about to.
	Leads bool `json:"leads" doc:"True for the first one, which leads, or will as soon as it has had that confirmed."`
	// Foreign says that it is of another implementation.
	Foreign bool `json:"foreign" doc:"Whether another implementation contends, such as Apache Curator. It takes part in no transfer."`
}

type contendersOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         ContenderList
}

func (s *Server) contenderRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "contenders",
		Method:      http.MethodGet,
		Path:        "/v1/contenders",
		Summary:     "Who contends for leadership, in order",
		Description: "Every node answers this by itself, from its backend.",
		Responses:   problems(api, http.StatusServiceUnavailable),
	}, s.contenders)
}

func (s *Server) contenders(ctx context.Context, _ *struct{}) (*contendersOutput, error) {
	const intro = "this node cannot find out who contends: "
	if health := s.cfg.Backend.Health(); !health.Connected {
		return nil, newProblem(http.StatusServiceUnavailable, CodeDisconnected, intro+health.Detail)
	}
	within, cancel := context.WithTimeout(ctx, contendersWithin)
	defer cancel()
	all, err := s.cfg.Contenders.Participants(within)
	switch {
	case err != nil && within.Err() != nil:
		return nil, newProblem(http.StatusServiceUnavailable, CodeTimeout,
			fmt.Sprintf("%sits backend did not answer within %s", intro, contendersWithin))
	case err != nil:
		return nil, newProblem(http.StatusInternalServerError, CodeInternal, intro+err.Error())
	}
	list := ContenderList{Contenders: make([]Contender, len(all))}
	for i, p := range all {
		list.Contenders[i] = Contender{ID: p.ID, Epoch: p.Epoch, Since: p.Since, Leads: i == 0, Foreign: p.Foreign}
	}
	return &contendersOutput{CacheControl: "no-store", Body: list}, nil
}
