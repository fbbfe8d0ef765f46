package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/cluster/gateway"
)

// WorkerList is the answer to GET /v1/workers. Its JSON is the API's.
type WorkerList struct {
	// Workers stand in the order of their IDs.
	Workers []gateway.WorkerStatus `json:"workers" nullable:"false"`
}

type workerInput struct {
	ID string `path:"id" example:"worker-1"`
}

type workersOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         WorkerList
}

type workerOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         gateway.WorkerStatus
}

func (s *Server) workerRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "workers",
		Method:      http.MethodGet,
		Path:        "/v1/workers",
		Summary:     "All workers that the leader knows, by ID",
		Responses:   problems(api, http.StatusServiceUnavailable),
	}, s.workers)
	huma.Register(api, huma.Operation{
		OperationID: "drain",
		Method:      http.MethodPost,
		Path:        "/v1/workers/{id}/drain",
		Summary:     "Have a worker take nothing new, and end when it is empty",
		Description: "Answers without waiting for that. There is no way back; the order may be repeated. " +
			"A worker that has ended meanwhile is reported with nothing but its ID and state.",
		DefaultStatus: http.StatusAccepted,
		Responses:     problems(api, http.StatusNotFound, http.StatusServiceUnavailable),
	}, s.drain)
}

func (s *Server) workers(ctx context.Context, _ *struct{}) (*workersOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	list, err := s.listWorkers(ctx)
	if err != nil {
		return nil, err
	}
	return &workersOutput{CacheControl: "no-store", Body: WorkerList{Workers: list}}, nil
}

func (s *Server) drain(ctx context.Context, in *workerInput) (*workerOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	manager, err := s.cfg.Gateways.ResourceManager()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	switch err := manager.Drain(ctx, in.ID); {
	case errors.Is(err, gateway.ErrNoWorker):
		return nil, noWorker(in.ID)
	case err != nil:
		return nil, s.problem(ctx, err)
	}
	list, err := s.listWorkers(ctx)
	if err != nil {
		return nil, err
	}
	w, there := findWorker(list, in.ID)
	if !there { // it was empty, and has ended
		w = gateway.WorkerStatus{ID: in.ID, State: gateway.WorkerDraining}
	}
	return &workerOutput{CacheControl: "no-store", Body: w}, nil
}

// listWorkers returns all workers, by ID. Its error is an answer.
func (s *Server) listWorkers(ctx context.Context) ([]gateway.WorkerStatus, error) {
	manager, err := s.cfg.Gateways.ResourceManager()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	list, err := manager.Workers(ctx)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if list == nil {
		list = []gateway.WorkerStatus{}
	}
	return list, nil
}

// withWorker connects to a worker and returns what ask got there. Its error is an
// answer.
func withWorker[T any](ctx context.Context, s *Server, id string,
	ask func(ctx context.Context, w gateway.TaskExecutor) (T, error),
) (T, error) {
	var none T
	list, err := s.listWorkers(ctx)
	if err != nil {
		return none, err
	}
	status, there := findWorker(list, id)
	if !there {
		return none, noWorker(id)
	}
	worker, hangUp, err := s.cfg.Gateways.Worker(ctx, addressOf(status))
	if err != nil {
		return none, s.unreachable(ctx, fmt.Sprintf("worker %q", id), err)
	}
	defer hangUp()
	answer, err := ask(ctx, worker)
	if err != nil {
		return none, s.unreachable(ctx, fmt.Sprintf("worker %q", id), err)
	}
	return answer, nil
}

// findWorker returns the worker with the ID, if there is one.
func findWorker(list []gateway.WorkerStatus, id string) (gateway.WorkerStatus, bool) {
	for _, w := range list {
		if w.ID == id {
			return w, true
		}
	}
	return gateway.WorkerStatus{}, false
}

// addressOf returns the name by which a worker is connected to.
func addressOf(w gateway.WorkerStatus) gateway.Worker {
	return gateway.Worker{ID: w.ID, Instance: w.Instance, Address: w.Address}
}

func noWorker(id string) *ProblemError {
	return newProblem(http.StatusNotFound, CodeNoWorker, fmt.Sprintf("no worker has the id %q", id))
}
