package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
)

// Gateways gives access to the components of the cluster, in this process or another,
// so that every node can answer everything. Its methods may be called by many
// goroutines at once.
//
// The first three return gateways of the term that leads. They do not block, and
// return gateway.ErrNotLeader while no leader is known or connected. A call of a
// gateway whose term is over fails with gateway.ErrNotLeader, gateway.ErrFencingToken,
// gateway.ErrStopped, gateway.ErrNoEndpoint or gateway.ErrUnreachable.
type Gateways interface {

	// Dispatcher returns the dispatcher.
	Dispatcher() (gateway.Dispatcher, error)
	// Recovery returns the dispatcher's face for operators.
	Recovery() (gateway.Recovery, error)
	// ResourceManager returns the resource manager.
	ResourceManager() (gateway.ResourceManager, error)

	// JobMaster connects to the job's master in the term that leads. It blocks until
	// that has answered, or ctx ends. The caller calls hangUp, once, when it needs the
	// gateway no more.
	JobMaster(ctx context.Context, id job.ID) (master gateway.JobMaster, hangUp func(), err error)
	// Worker connects to a worker, as JobMaster does.
	Worker(ctx context.Context, w gateway.Worker) (worker gateway.TaskExecutor, hangUp func(), err error)
}

// problem turns an error of a leading component or of the parser into an answer.
func (s *Server) problem(ctx context.Context, err error) error {
	var known *ProblemError
	var invalid *job.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		return invalidJob(invalid)
	case errors.Is(err, gateway.ErrConflict):
		return newProblem(http.StatusConflict, CodeConflict, err.Error())
	case errors.Is(err, gateway.ErrSingleJob):
		return newProblem(http.StatusConflict, CodeSingleJob, err.Error())
	case errors.Is(err, gateway.ErrBusy):
		return newProblem(http.StatusTooManyRequests, CodeBusy, err.Error())
	case errors.Is(err, gateway.ErrTooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, CodeTooLarge, err.Error())
	case notLeading(err):
		return s.leaderless(err)
	case errors.Is(err, gateway.ErrUnreachable), errors.Is(err, txn.ErrUnknownOutcome):
		return newProblem(http.StatusServiceUnavailable, CodeTimeout,
			"the leader was lost before it had answered; the same request may be sent again")
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(http.StatusServiceUnavailable, CodeTimeout,
			"the leader did not answer in time; the same request may be sent again")
	}
	s.log.Error("the leader failed", "error", err)
	return newProblem(http.StatusInternalServerError, CodeInternal, err.Error())
}

// notLeading reports whether err says that whoever was asked does not lead, or not
// any more. A request that it is the answer to had no effect, or is idempotent.
func notLeading(err error) bool {
	for _, target := range []error{
		gateway.ErrNotLeader, gateway.ErrFencingToken, gateway.ErrStopped, gateway.ErrNoEndpoint, gateway.ErrRefused,
		leader.ErrFenced,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// leaderless says what this node knows of why no leader answers.
func (s *Server) leaderless(err error) *ProblemError {
	info, leads, _ := s.cfg.Node.Leading(leader.Dispatcher)
	if leads && info.Phase != leader.PhaseReady {
		return newProblem(http.StatusServiceUnavailable, CodeNoLeader,
			fmt.Sprintf("this node leads and is not ready yet (%s)", info.Phase))
	}
	o, _ := s.cfg.Followers[leader.Dispatcher].Latest()
	switch {
	case leads, o.Status == retrieval.StatusKnown && o.Info.ID == s.cfg.ID:
		return newProblem(http.StatusServiceUnavailable, CodeNoLeader, "this node is just ceasing to lead, and no other leads yet")
	case o.Status != retrieval.StatusKnown:
		return s.noLeader(leader.Dispatcher, o.Status, o.Info)
	}
	return newProblem(http.StatusServiceUnavailable, CodeNoLeader,
		fmt.Sprintf("%s at %s led last and does not answer: %v", o.Info.ID, o.Info.RPCAddress, err))
}

// unreachable says why a worker or a job's master, which is what names, has not
// answered. Whatever else is wrong with it, another moment may be better.
func (s *Server) unreachable(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return newProblem(http.StatusServiceUnavailable, CodeTimeout, what+" did not answer in time")
	}
	s.log.Debug("component does not answer", "which", what, "error", err)
	return newProblem(http.StatusServiceUnavailable, CodeUnreachable, fmt.Sprintf("%s does not answer: %v", what, err))
}
