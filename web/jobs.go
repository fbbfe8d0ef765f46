package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// JobList is the answer to GET /v1/jobs. Its JSON is the API's.
type JobList struct {
	// Jobs stand in the order of their submission.
	Jobs []job.Snapshot `json:"jobs" nullable:"false"`
}

type submitInput struct {
	ID          string `query:"id" doc:"The job's ID; sending again under the same ID does not run it twice. Absent: a random one." example:"etl-2026-11-21"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/yaml"`
}

type jobInput struct {
	ID string `path:"id" example:"etl-2026-11-21"`
}

type submitOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the job is reported."`
	Body     job.Snapshot
}

type jobOutput struct {
	CacheControl string `header:"Cache-Control"`
	Status       int
	Body         job.Snapshot
}

type jobsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         JobList
}

func (s *Server) jobRoutes(api huma.API) {
	huma.Register(api, s.submitOperation(api), s.submit)
	huma.Register(api, huma.Operation{
		OperationID: "jobs",
		Method:      http.MethodGet,
		Path:        "/v1/jobs",
		Summary:     "All known jobs, in the order of their submission",
		Responses:   problems(api, http.StatusServiceUnavailable),
	}, s.jobs)
	huma.Register(api, huma.Operation{
		OperationID: "job",
		Method:      http.MethodGet,
		Path:        "/v1/jobs/{id}",
		Summary:     "One job",
		Responses:   problems(api, http.StatusNotFound, http.StatusServiceUnavailable),
	}, s.job)
	huma.Register(api, huma.Operation{
		OperationID:   "cancel",
		Method:        http.MethodPost,
		Path:          "/v1/jobs/{id}/cancel",
		Summary:       "Ask a job to stop",
		Description:   "Answers 202 without waiting for the end, and 200 when the job has ended already.",
		DefaultStatus: http.StatusAccepted,
		Responses:     problems(api, http.StatusNotFound, http.StatusServiceUnavailable),
	}, s.cancel)
}

func (s *Server) submitOperation(api huma.API) huma.Operation {
	graph := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[job.Graph](), true, "Graph")
	responses := problems(api, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "A job with this ID and the same content was there already; nothing is run again.",
	}
	return huma.Operation{
		OperationID: "submit",
		Method:      http.MethodPost,
		Path:        "/v1/jobs",
		Summary:     "Submit a job",
		Description: "The body is a job file, in YAML or JSON. The answer comes when the job is " +
			"stored durably: 202 for a new job, 200 when the same content is known under this ID.",
		DefaultStatus: http.StatusAccepted,
		MaxBodyBytes:  s.cfg.MaxBody + 1,
		// The parser of job files knows more than a schema: lines and suggestions.
		SkipValidateBody: true,
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: graph},
		}},
		Middlewares: huma.Middlewares{s.admission.middleware},
		Responses:   responses,
	}
}

func (s *Server) submit(ctx context.Context, in *submitInput) (*submitOutput, error) {
	id, err := submissionID(in.ID)
	if err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalidID, err.Error())
	}
	graph, err := parseJob(in.ContentType, bytes.Clone(in.RawBody))
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	dispatcher, err := s.cfg.Gateways.Dispatcher()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	snap, created, err := dispatcher.Submit(ctx, gateway.Submission{ID: id, Graph: graph})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	out := &submitOutput{Status: http.StatusOK, Location: "/v1/jobs/" + string(snap.ID), Body: snap}
	if created {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

func (s *Server) jobs(ctx context.Context, _ *struct{}) (*jobsOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	dispatcher, err := s.cfg.Gateways.Dispatcher()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	list, err := dispatcher.Jobs(ctx)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	if list == nil {
		list = []job.Snapshot{}
	}
	return &jobsOutput{CacheControl: "no-store", Body: JobList{Jobs: list}}, nil
}

func (s *Server) job(ctx context.Context, in *jobInput) (*jobOutput, error) {
	return s.onJob(ctx, gateway.Dispatcher.Job, in)
}

func (s *Server) cancel(ctx context.Context, in *jobInput) (*jobOutput, error) {
	out, err := s.onJob(ctx, gateway.Dispatcher.Cancel, in)
	if err == nil && !out.Body.Status.Terminal() {
		out.Status = http.StatusAccepted
	}
	return out, err
}

// onJob calls one of the dispatcher's methods that take an ID.
func (s *Server) onJob(ctx context.Context, call dispatcherCall, in *jobInput) (*jobOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	snap, err := s.callJob(ctx, call, job.ID(in.ID))
	if err != nil {
		return nil, err
	}
	return &jobOutput{CacheControl: "no-store", Status: http.StatusOK, Body: snap}, nil
}

// dispatcherCall is a method of the dispatcher that takes an ID.
type dispatcherCall func(gateway.Dispatcher, context.Context, job.ID) (job.Snapshot, error)

// snapshot returns the job as it is now. Its error is an answer.
func (s *Server) snapshot(ctx context.Context, id job.ID) (job.Snapshot, error) {
	return s.callJob(ctx, gateway.Dispatcher.Job, id)
}

func (s *Server) callJob(ctx context.Context, call dispatcherCall, id job.ID) (job.Snapshot, error) {
	dispatcher, err := s.cfg.Gateways.Dispatcher()
	if err != nil {
		return job.Snapshot{}, s.problem(ctx, err)
	}
	snap, err := call(dispatcher, ctx, id)
	if errors.Is(err, gateway.ErrNoJob) {
		return job.Snapshot{}, newProblem(http.StatusNotFound, CodeNoJob, fmt.Sprintf("no job has the id %q", id))
	}
	if err != nil {
		return job.Snapshot{}, s.problem(ctx, err)
	}
	return snap, nil
}
