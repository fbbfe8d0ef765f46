package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/coordd/coordd/job"
)

// The codes of problems. They are part of the API and never change.
const (
	// CodeNoLeader: nobody leads, or the leader is not ready. Ask again later.
	CodeNoLeader = "no_leader"
	// CodeUnconfirmed: this node can reach its backend, which has not told it yet who
	// leads. Ask again at once.
	CodeUnconfirmed = "unconfirmed"
	// CodeDisconnected: this node cannot reach its backend, so it does not know
	// who leads. Another node may know.
	CodeDisconnected = "disconnected"
	// CodeUnknownComponent: no such component is followed.
	CodeUnknownComponent = "unknown_component"
	// CodeNoJob: no job has this ID.
	CodeNoJob = "no_such_job"
	// CodeNoTask: the job has no such task, or the task no such subtask.
	CodeNoTask = "no_such_task"
	// CodeNoWorker: no worker has this ID.
	CodeNoWorker = "no_such_worker"
	// CodeNoLog: no output is kept of this subtask: it has not been started, or its
	// worker is gone, or has removed it.
	CodeNoLog = "no_log"
	// CodeUnreachable: the worker or the job's master that has the answer does not
	// answer. Ask again later.
	CodeUnreachable = "unreachable"
	// CodeConflict: the ID belongs to a job with other content.
	CodeConflict = "job_conflict"
	// CodeSingleJob: the cluster runs one job of its own, and takes no other.
	CodeSingleJob = "single_job"
	// CodeNotQuarantined: the job is there, and not in quarantine.
	CodeNotQuarantined = "not_quarantined"
	// CodeStillQuarantined: the job was tried again, and still cannot be read.
	CodeStillQuarantined = "still_quarantined"
	// CodeInvalidJob: the job file is wrong; Problems say where.
	CodeInvalidJob = "invalid_job"
	// CodeInvalidID: the ID is not one.
	CodeInvalidID = "invalid_id"
	// CodeTooLarge: the body or the graph exceeds a limit.
	CodeTooLarge = "too_large"
	// CodeBusy: there are as many submissions, jobs or readers of logs as allowed.
	// Nothing was stored; send the same again after Retry-After.
	CodeBusy = "busy"
	// CodeMediaType: the Content-Type is neither YAML nor JSON.
	CodeMediaType = "unsupported_media_type"
	// CodeTimeout: who was asked did not answer in time. A submission may have
	// been accepted; the same submission again tells.
	CodeTimeout = "timeout"
	// CodeHost: the Host header is not on the list of allowed ones.
	CodeHost = "host_not_allowed"
	// CodeCrossOrigin: a browser sent the request from another site.
	CodeCrossOrigin = "cross_origin"
	// CodeNotFound, CodeMethod, CodeBadRequest and CodeInternal are what their HTTP
	// statuses say.
	CodeNotFound   = "not_found"
	CodeMethod     = "method_not_allowed"
	CodeBadRequest = "bad_request"
	CodeInternal   = "internal"
)

// retrySeconds is what Retry-After says: about the time of a hand-over.
const retrySeconds = 1

// ProblemError is the body of every error: application/problem+json (RFC 9457) with
// a stable code.
type ProblemError struct {
	// Title is the HTTP status in words.
	Title string `json:"title" doc:"The HTTP status in words." example:"Service Unavailable"`
	// Status is the HTTP status.
	Status int `json:"status" doc:"The HTTP status." example:"503"`
	// Code is one of the Code constants.
	Code string `json:"code" doc:"What went wrong, for programs. Never changes." example:"no_leader"`
	// Detail says in one line what went wrong and what to do.
	Detail string `json:"detail" doc:"What went wrong, for people, in one line."`
	// Problems lists what is wrong with a job file.
	Problems []job.Problem `json:"problems,omitempty" doc:"Each thing that is wrong with a job file."`
}

var (
	_ huma.StatusError       = (*ProblemError)(nil)
	_ huma.HeadersError      = (*ProblemError)(nil)
	_ huma.ContentTypeFilter = (*ProblemError)(nil)
)

func newProblem(status int, code, detail string) *ProblemError {
	return &ProblemError{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error returns the detail.
func (p *ProblemError) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *ProblemError) GetStatus() int { return p.Status }

// GetHeaders returns the headers that belong to the problem.
func (p *ProblemError) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		h.Set("Retry-After", strconv.Itoa(retrySeconds))
	}
	return h
}

// ContentType returns the media type of problems.
func (p *ProblemError) ContentType(string) string { return "application/problem+json" }

// write sends the problem. An error of the connection is the client's loss.
func (p *ProblemError) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // it always encodes; the client may be gone.
}

// codeOf returns the code that says no more than the HTTP status does.
func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return CodeNotFound
	case http.StatusMethodNotAllowed:
		return CodeMethod
	case http.StatusRequestEntityTooLarge:
		return CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return CodeMediaType
	case http.StatusRequestTimeout:
		return CodeTimeout
	}
	if status >= http.StatusInternalServerError {
		return CodeInternal
	}
	return CodeBadRequest
}

// asProblem turns the errors that huma makes itself (a parameter that does not
// parse, a body that does not arrive) into problems with a code.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := newProblem(model.Status, codeOf(model.Status), model.Detail)
	for _, e := range model.Errors {
		if e == nil {
			continue
		}
		p.Problems = append(p.Problems, job.Problem{Field: e.Location, Message: e.Message})
	}
	if len(p.Problems) > 0 {
		p.Detail = p.Problems[0].Message
		if p.Problems[0].Field != "" {
			p.Detail = p.Problems[0].Field + ": " + p.Detail
		}
	}
	return p, nil
}
