package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

// The headers of an output that is read.
const (
	// HeaderLogOffset is where in the output the body begins: after the offset that
	// was asked for when what stood there was rotated away.
	HeaderLogOffset = "Coordd-Log-Offset"
	// HeaderLogAttempt names the attempt whose output it is, as epoch/number. A later
	// attempt has an output of its own, with offsets of its own.
	HeaderLogAttempt = "Coordd-Log-Attempt"
)

const (
	// followWait is how long a worker waits for something new before it answers that
	// there is nothing.
	followWait = 10 * time.Second
	// readerStall is how long a reader may take nothing of what is sent.
	readerStall = 30 * time.Second
)

type logInput struct {
	ID      string `path:"id" example:"etl-2026-11-21"`
	Task    string `path:"task" example:"extract"`
	Subtask int    `path:"subtask" minimum:"0" doc:"Index of the subtask, from 0."`
	Follow  bool   `query:"follow" doc:"Go on with what the attempt writes, until it ends."`
	Offset  int64  `query:"offset" doc:"The first byte; a negative one counts from the end."`
}

func (s *Server) logRoutes(api huma.API) {
	responses := problems(api, http.StatusNotFound, http.StatusUnprocessableEntity,
		http.StatusTooManyRequests, http.StatusServiceUnavailable)
	responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "What the newest attempt has written to stdout and stderr.",
		Content: map[string]*huma.MediaType{
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
		},
		Headers: map[string]*huma.Param{
			HeaderLogOffset:  {Schema: &huma.Schema{Type: huma.TypeInteger, Description: "Where in the output the body begins."}},
			HeaderLogAttempt: {Schema: &huma.Schema{Type: huma.TypeString, Description: "Whose output it is: epoch/number."}},
		},
	}
	huma.Register(api, huma.Operation{
		OperationID: "log",
		Method:      http.MethodGet,
		Path:        "/v1/jobs/{id}/tasks/{task}/{subtask}/log",
		Summary:     "What a subtask writes",
		Description: "The output of the subtask's newest attempt, from its worker. When it cannot be sent to its end " +
			"the connection is cut: ask again from where it was, as long as the attempt is the same.",
		Middlewares: huma.Middlewares{s.limitReaders},
		Responses:   responses,
	}, s.jobLog)
}

// limitReaders bounds how many outputs are read at once, also by those that follow
// one for hours.
func (s *Server) limitReaders(ctx huma.Context, next func(huma.Context)) {
	if !s.readers.TryAcquire(1) {
		_, w := humago.Unwrap(ctx)
		busy("%d outputs are being read through this node; ask another node, or later", int64(s.cfg.MaxLogs)).write(w)
		return
	}
	defer s.readers.Release(1)
	next(ctx)
}

func (s *Server) jobLog(ctx context.Context, in *logInput) (*huma.StreamResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	l := &logReader{follow: in.Follow, timeout: s.cfg.Timeout, request: gateway.LogRequest{
		Job: job.ID(in.ID), Task: in.Task, Subtask: in.Subtask, Offset: in.Offset,
	}}
	status, err := s.workerOf(ctx, l.request)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("worker %q, which runs %s", status.ID, subtaskName(l.request))
	if l.worker, l.hangUp, err = s.cfg.Gateways.Worker(ctx, addressOf(status)); err != nil {
		return nil, s.unreachable(ctx, what, err)
	}
	// Without waiting: the first answer says whether there is anything at all.
	if l.chunk, err = l.worker.ReadLog(ctx, l.request); err != nil {
		l.hangUp()
		if errors.Is(err, gateway.ErrNoLog) {
			return nil, noLog("worker %q keeps no output of %s", status.ID, subtaskName(l.request))
		}
		return nil, s.unreachable(ctx, what, err)
	}
	return &huma.StreamResponse{Body: l.stream}, nil
}

// workerOf returns the worker that has the output. Its error is an answer.
func (s *Server) workerOf(ctx context.Context, r gateway.LogRequest) (gateway.WorkerStatus, error) {
	snap, err := s.snapshot(ctx, r.Job)
	if err != nil {
		return gateway.WorkerStatus{}, err
	}
	sub, problem := findSubtask(snap, r)
	switch {
	case problem != nil:
		return gateway.WorkerStatus{}, problem
	case sub.Worker == "":
		return gateway.WorkerStatus{}, noLog("%s has not been started", subtaskName(r))
	}
	list, err := s.listWorkers(ctx)
	if err != nil {
		return gateway.WorkerStatus{}, err
	}
	status, there := findWorker(list, sub.Worker)
	if !there {
		return gateway.WorkerStatus{}, noLog("worker %q is gone, and with it the output of %s", sub.Worker, subtaskName(r))
	}
	return status, nil
}

// findSubtask returns the subtask of a job, or says what there is in its place.
func findSubtask(snap job.Snapshot, r gateway.LogRequest) (job.SubtaskSnapshot, *ProblemError) {
	for _, t := range snap.Tasks {
		if t.ID != r.Task {
			continue
		}
		for _, sub := range t.Subtasks {
			if sub.Index == r.Subtask {
				return sub, nil
			}
		}
		return job.SubtaskSnapshot{}, newProblem(http.StatusNotFound, CodeNoTask, fmt.Sprintf(
			"task %q of job %q has %d subtasks, the first of which is 0; there is no %d", r.Task, r.Job, len(t.Subtasks), r.Subtask))
	}
	return job.SubtaskSnapshot{}, newProblem(http.StatusNotFound, CodeNoTask, fmt.Sprintf("job %q has no task %q", r.Job, r.Task))
}

func subtaskName(r gateway.LogRequest) string {
	return fmt.Sprintf("subtask %d of task %q", r.Subtask, r.Task)
}

func noLog(format string, args ...any) *ProblemError {
	return newProblem(http.StatusNotFound, CodeNoLog, fmt.Sprintf(format, args...))
}

// logReader sends one output.
type logReader struct {
	worker  gateway.TaskExecutor
	hangUp  func()
	request gateway.LogRequest
	follow  bool
	// timeout bounds each call of the worker, besides the wait that it asks for.
	timeout time.Duration
	// chunk is what is sent next.
	chunk gateway.LogChunk
}

// stream sends the output to its end. A reader that gets less sees the connection cut.
func (l *logReader) stream(ctx huma.Context) {
	defer l.hangUp()
	r, w := humago.Unwrap(ctx)
	control := http.NewResponseController(w)
	attempt := l.chunk.Attempt
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(HeaderLogOffset, strconv.FormatInt(l.chunk.Offset, 10))
	w.Header().Set(HeaderLogAttempt, fmt.Sprintf("%d/%d", attempt.Epoch, attempt.N))
	w.WriteHeader(http.StatusOK)
	for {
		// The limit of other requests would end one that is followed. A test's writer has
		// no deadlines.
		_ = control.SetWriteDeadline(time.Now().Add(readerStall))
		if _, err := w.Write(l.chunk.Data); err != nil {
			return // the reader is gone
		}
		if err := control.Flush(); err != nil {
			return
		}
		more := l.follow || len(l.chunk.Data) > 0
		if l.chunk.Ended || !more || r.Method == http.MethodHead {
			return
		}
		if err := l.next(r.Context()); err != nil {
			panic(http.ErrAbortHandler) // which cuts the connection: an end would say that this was all
		}
		if l.chunk.Attempt != attempt {
			return // a later one has begun, so this one has ended
		}
	}
}

// errGap: what comes next was rotated away before it was read.
var errGap = errors.New("output was rotated away before it was read")

// next reads the chunk behind the one that was sent.
func (l *logReader) next(ctx context.Context) error {
	l.request.Offset = l.chunk.Offset + int64(len(l.chunk.Data))
	l.request.Wait = 0
	if l.follow {
		l.request.Wait = followWait
	}
	ctx, cancel := context.WithTimeout(ctx, l.request.Wait+l.timeout)
	defer cancel()
	chunk, err := l.worker.ReadLog(ctx, l.request)
	switch {
	case err != nil:
		return err
	case chunk.Attempt == l.chunk.Attempt && chunk.Offset != l.request.Offset:
		return errGap
	}
	l.chunk = chunk
	return nil
}
