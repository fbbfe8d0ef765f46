package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// LeftoverList is the answer to GET /v1/recovery/leftovers and POST
// /v1/recovery/gc. Its JSON is the API's.
type LeftoverList struct {
	// Leftovers stand in the order of their kinds and paths.
	Leftovers []gateway.Leftover `json:"leftovers" nullable:"false"`
}

type reportOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         gateway.RecoveryReport
}

type leftoversOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         LeftoverList
}

func (s *Server) recoveryRoutes(api huma.API) {
	operation := func(id, method, path, summary, description string, statuses ...int) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, Description: description,
			Responses: problems(api, append(statuses, http.StatusServiceUnavailable)...),
		}
	}
	huma.Register(api, operation("recovery", http.MethodGet, "/v1/recovery",
		"What is still to be put in order",
		"Jobs whose result is recorded and that still leave something behind, with each resource's failures, "+
			"and jobs that cannot be read and are kept in quarantine."), s.recovery)
	huma.Register(api, operation("retry", http.MethodPost, "/v1/recovery/quarantine/{id}/retry",
		"Read a job in quarantine once more, and run it if it can be read",
		"Answers with the job as it goes on, or 409 still_quarantined with the reason.",
		http.StatusNotFound, http.StatusConflict), s.retry)
	huma.Register(api, operation("drop", http.MethodPost, "/v1/recovery/quarantine/{id}/drop",
		"Give a job in quarantine up",
		"The job ends as FAILED with a result that says so. What is stored of it is deleted.",
		http.StatusNotFound, http.StatusConflict), s.drop)
	huma.Register(api, operation("leftovers", http.MethodGet, "/v1/recovery/leftovers",
		"What is stored and belongs to no job",
		"Reads all names of the cluster and changes nothing."), s.leftovers)
	huma.Register(api, operation("gc", http.MethodPost, "/v1/recovery/gc",
		"Delete what is stored and belongs to no job",
		"Answers with what was deleted. It may be repeated, also after a time-out: then it goes on."), s.gc)
}

func (s *Server) recovery(ctx context.Context, _ *struct{}) (*reportOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	recovery, err := s.cfg.Gateways.Recovery()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	report, err := recovery.Recovery(ctx)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &reportOutput{CacheControl: "no-store", Body: report}, nil
}

func (s *Server) retry(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.onQuarantined(ctx, in, gateway.Recovery.RetryQuarantined, func(ctx context.Context, err error) error {
		known := ctx.Err() != nil || notLeading(err) || errors.Is(err, gateway.ErrBusy)
		if known {
			return s.problem(ctx, err)
		}
		return newProblem(http.StatusConflict, CodeStillQuarantined, err.Error())
	})
}

func (s *Server) drop(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.onQuarantined(ctx, in, gateway.Recovery.DropQuarantined, s.problem)
}

// onQuarantined carries an operator's order out and returns the job as it is then.
// Errors that are particular to the order go through refused.
func (s *Server) onQuarantined(ctx context.Context, in *jobInput,
	order func(gateway.Recovery, context.Context, job.ID) error, refused func(context.Context, error) error,
) (*jobOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	recovery, err := s.cfg.Gateways.Recovery()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	dispatcher, err := s.cfg.Gateways.Dispatcher()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	id := job.ID(in.ID)
	err = order(recovery, ctx, id)
	switch {
	case errors.Is(err, gateway.ErrNoJob):
		return nil, newProblem(http.StatusNotFound, CodeNoJob, fmt.Sprintf("no job has the id %q", id))
	case errors.Is(err, gateway.ErrNotQuarantined):
		return nil, newProblem(http.StatusConflict, CodeNotQuarantined, err.Error())
	case err != nil:
		return nil, refused(ctx, err)
	}
	snap, err := dispatcher.Job(ctx, id)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &jobOutput{CacheControl: "no-store", Status: http.StatusOK, Body: snap}, nil
}

func (s *Server) leftovers(ctx context.Context, _ *struct{}) (*leftoversOutput, error) {
	return s.collect(ctx, false)
}

func (s *Server) gc(ctx context.Context, _ *struct{}) (*leftoversOutput, error) {
	return s.collect(ctx, true)
}

func (s *Server) collect(ctx context.Context, remove bool) (*leftoversOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	recovery, err := s.cfg.Gateways.Recovery()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	found, err := recovery.Leftovers(ctx, remove)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if found == nil {
		found = []gateway.Leftover{}
	}
	return &leftoversOutput{CacheControl: "no-store", Body: LeftoverList{Leftovers: found}}, nil
}
