package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// ErrJobDone: the job of a SingleJobFactory has its result, and nothing is left of it
// elsewhere. Lead returns it marked by election.Fatal, so that Elector.Run ends with it.
var ErrJobDone = errors.New("the one job is done")

// SingleJob is a job that a participant brings itself. Every participant of the cluster
// brings the same.
type SingleJob struct {
	// ID names the job. A job with another graph, and a further run of the same one,
	// needs another ID. Required.
	ID job.ID
	// Graph is what runs. Required.
	Graph job.Graph
}

// SingleJobFactory makes dispatchers that run one job, which they bring themselves, and
// end with its result. doc.go says what a term does.
type SingleJobFactory struct {
	cfg    DispatcherConfig
	own    gateway.Submission
	digest string

	once   sync.Once
	known  chan struct{} // closed when result is set
	result job.Result
}

var _ DispatcherFactory = (*SingleJobFactory)(nil)

// NewSingleJobFactory returns a factory whose dispatchers work with cfg and run j, or an
// error that names what is wrong with either.
func NewSingleJobFactory(cfg DispatcherConfig, j SingleJob) (*SingleJobFactory, error) {
	if err := errors.Join(cfg.Validate(), j.ID.Validate(), j.Graph.Validate()); err != nil {
		return nil, err
	}
	if err := cfg.Limits.withDefaults().graph(j.ID, j.Graph, len(j.Graph.Encode())); err != nil {
		return nil, err
	}
	return &SingleJobFactory{
		cfg: cfg, own: gateway.Submission{ID: j.ID, Graph: j.Graph}, digest: j.Graph.Digest(),
		known: make(chan struct{}),
	}, nil
}

// Result returns the job's result as soon as a term of this participant has recorded or
// found it, and blocks until then, or until ctx ends: then it returns ctx's error. The
// result is final. What the job left elsewhere may still be there; that is gone when
// Lead has returned ErrJobDone. It may be called at any time, also by many.
func (f *SingleJobFactory) Result(ctx context.Context) (job.Result, error) {
	select {
	case <-f.known:
		return f.result, nil
	default:
	}
	select {
	case <-f.known:
		return f.result, nil
	case <-ctx.Done():
		return job.Result{}, fmt.Errorf("wait for the result of job %q: %w", f.own.ID, ctx.Err())
	}
}

// NewDispatcher implements DispatcherFactory. Its error is marked by election.Fatal
// when no further term can go better: the ID, or the cluster, belongs to another job.
func (f *SingleJobFactory) NewDispatcher(t Token, r Recovery) (Service, error) {
	found, err := f.find(r)
	if err != nil {
		return nil, err
	}
	d, err := NewDispatcher(f.cfg, t, r)
	if err != nil {
		return nil, err
	}
	s := &singleJob{Dispatcher: d, factory: f, found: found, verdict: make(chan error, 1)}
	d.watch = s.look
	return s, nil
}

// foundJob is what a term found of its job.
type foundJob struct {
	// stored: its graph, or a result that is not clean.
	stored bool
	// clean is its result, when nothing else is left of it.
	clean *job.Result
}

// find looks for the job among what was recovered. Another job that waits to be run
// would be run by this program, which may not know its tasks; so the term must not
// begin.
func (f *SingleJobFactory) find(r Recovery) (foundJob, error) {
	for _, res := range r.Clean {
		if res.Snapshot.ID == f.own.ID {
			return foundJob{clean: &res}, f.compare(res.Digest)
		}
	}
	for _, q := range r.Quarantined {
		if q.ID == f.own.ID {
			return foundJob{}, fmt.Errorf("job %q cannot be read: %w", q.ID, q.Reason)
		}
	}
	var found foundJob
	for _, j := range r.Jobs {
		if j.ID != f.own.ID {
			return foundJob{}, election.Fatal(fmt.Errorf(
				"job %q cannot run here: the cluster has job %q, which is not done; give each its own cluster", f.own.ID, j.ID))
		}
		found.stored = true
		if err := f.compare(j.Digest); err != nil {
			return foundJob{}, err
		}
	}
	for _, res := range r.Dirty {
		if res.Snapshot.ID == f.own.ID {
			return foundJob{stored: true}, f.compare(res.Digest)
		}
	}
	return found, nil
}

// compare returns an error when what is stored under the job's ID is of another graph.
// A job that an operator gave up unread has no digest, and its result is this one's.
func (f *SingleJobFactory) compare(digest string) error {
	if digest == "" || digest == f.digest {
		return nil
	}
	return election.Fatal(fmt.Errorf("job %q: %w: choose another ID", f.own.ID, gateway.ErrConflict))
}

// settle keeps the result for Result.
func (f *SingleJobFactory) settle(r job.Result) {
	f.once.Do(func() {
		f.result = r
		close(f.known)
	})
}

// singleJob is the dispatcher of one term with one job.
type singleJob struct {
	*Dispatcher
	factory *SingleJobFactory
	found   foundJob
	// seen is the job's state as it was last looked at. It belongs to the goroutine
	// that owns the registry.
	seen entryState
	// verdict holds what the term ends with.
	verdict chan error
}

var (
	_ Service          = (*singleJob)(nil)
	_ gateway.Recovery = (*singleJob)(nil)
)

// Run implements Service. It returns ErrJobDone when the job is clean.
func (s *singleJob) Run(ctx context.Context) error {
	if s.found.clean != nil {
		s.factory.settle(*s.found.clean)
		return s.done()
	}
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.Dispatcher.Run(gctx) })
	group.Go(func() error { return s.await(gctx) })
	return group.Wait()
}

// Submit implements gateway.Dispatcher: only the participant's own job is known here.
func (s *singleJob) Submit(ctx context.Context, sub gateway.Submission) (job.Snapshot, bool, error) {
	switch {
	case sub.ID != s.factory.own.ID:
		return job.Snapshot{}, false, fmt.Errorf("submit job %q: %w: it is %q", sub.ID, gateway.ErrSingleJob, s.factory.own.ID)
	case sub.Graph.Digest() != s.factory.digest:
		return job.Snapshot{}, false, fmt.Errorf("submit job %q: %w", sub.ID, gateway.ErrConflict)
	}
	return s.Dispatcher.Submit(ctx, sub)
}

// await has the job accepted, if no term has yet, and returns what the term ends with.
func (s *singleJob) await(ctx context.Context) error {
	if !s.found.stored {
		if err := s.accept(ctx); err != nil {
			return err
		}
	}
	select {
	case err := <-s.verdict:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// accept submits the job, again if it may or may not have been stored.
func (s *singleJob) accept(ctx context.Context) error {
	var refused error
	err := s.cfg.ResultRetry.retry(ctx,
		func(ctx context.Context) error {
			_, _, err := s.Dispatcher.Submit(ctx, s.factory.own)
			if err == nil || errors.Is(err, txn.ErrUnknownOutcome) || errors.Is(err, gateway.ErrBusy) {
				return err
			}
			refused = err
			return nil
		},
		func(err error, next time.Duration) {
			s.log.Warn("the job could not be stored", "job", s.factory.own.ID, "error", err, "retry_in", next)
		})
	if errors.Is(refused, gateway.ErrConflict) || errors.Is(refused, gateway.ErrTooLarge) {
		refused = election.Fatal(refused)
	}
	return cmp.Or(err, refused)
}

// look is the Dispatcher's watch: it follows the job's state.
func (s *singleJob) look(r *registry) {
	e := r.jobs[s.factory.own.ID]
	if e == nil || e.state == s.seen {
		return
	}
	s.seen = e.state
	switch e.state {
	case dirty:
		s.factory.settle(job.Result{Snapshot: e.snap, Digest: e.digest})
	case clean:
		s.end(s.done())
	case quarantined:
		// Nothing else would happen in this term; in another, it may go on.
		s.end(fmt.Errorf("job %q: %s", e.id, e.snap.Error))
	default:
	}
}

// end gives the term's verdict. Only the first counts.
func (s *singleJob) end(err error) {
	select {
	case s.verdict <- err:
	default:
	}
}

func (s *singleJob) done() error {
	return election.Fatal(fmt.Errorf("job %q: %w", s.factory.own.ID, ErrJobDone))
}
