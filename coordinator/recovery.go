package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/resultstore"
)

// Recovery is what a leader found of its predecessors.
type Recovery struct {
	// Jobs are to be run, oldest first.
	Jobs []jobstore.Job
	// Dirty are recorded results whose clean-up is to be completed.
	Dirty []job.Result
	// Clean are retained results: shown, and never run again.
	Clean []job.Result
	// Quarantined are jobs whose graph or result could not be read. They are kept
	// as they are for the next leader.
	Quarantined []Quarantined
	// Records are the quarantine records that predecessors wrote, of those and of
	// jobs that can be read again.
	Records map[job.ID]jobstore.Quarantine
}

// Quarantined is a job that is kept but not run.
type Quarantined struct {
	ID job.ID
	// Reason says what could not be read.
	Reason error
}

// recover reads all that the predecessors left. Its error means that the stores
// cannot be read as a whole, that this participant must not read them, or that the
// term is over. It writes nothing; only gates may.
func (p *leaderProcess) recover(ctx context.Context, g leader.Guard, since time.Time) (Recovery, error) {
	if err := p.pass(ctx, g); err != nil {
		return Recovery{}, err
	}
	var r Recovery
	// Whether dirty, clean, or not to be read: a job that has a result is not run.
	ended := make(map[job.ID]bool)
	dirty, err := p.cfg.Results.Dirty(ctx, g)
	if err != nil {
		return Recovery{}, fmt.Errorf("read dirty results: %w", err)
	}
	if r.Dirty, err = p.readable(dirty, ended, &r); err != nil {
		return Recovery{}, err
	}
	if !p.running(ctx) {
		return Recovery{}, context.Cause(ctx)
	}
	clean, err := p.cfg.Results.Clean(ctx, g)
	if err != nil {
		return Recovery{}, fmt.Errorf("read clean results: %w", err)
	}
	if r.Clean, err = p.readable(clean, ended, &r); err != nil {
		return Recovery{}, err
	}
	since = p.cfg.Hooks.step(StepResults, since)
	if !p.running(ctx) {
		return Recovery{}, context.Cause(ctx)
	}
	ids, err := p.cfg.Jobs.IDs(ctx, g)
	if err != nil {
		return Recovery{}, fmt.Errorf("list accepted jobs: %w", err)
	}
	if r.Records, err = p.readRecords(ctx, g); err != nil {
		return Recovery{}, err
	}
	ids = slices.DeleteFunc(ids, func(id job.ID) bool { return ended[id] })
	if err := p.readGraphs(ctx, g, ids, &r); err != nil {
		return Recovery{}, err
	}
	p.cfg.Hooks.step(StepGraphs, since)
	p.cfg.Hooks.recovered(r)
	p.log.Info("recovered", "jobs", len(r.Jobs), "dirty", len(r.Dirty), "clean", len(r.Clean),
		"quarantined", len(r.Quarantined))
	return r, nil
}

// readable returns the results of entries, notes all their jobs as ended, and
// puts those aside whose result cannot be read. Its error says that a newer
// release must lead.
func (p *leaderProcess) readable(entries []resultstore.Entry, ended map[job.ID]bool, r *Recovery) ([]job.Result, error) {
	results := make([]job.Result, 0, len(entries))
	for _, e := range entries {
		ended[e.ID] = true
		switch {
		case e.Err == nil:
			results = append(results, e.Result)
		case errors.Is(e.Err, resultstore.ErrNewerFormat):
			return nil, fmt.Errorf("read the result of job %q: %w", e.ID, e.Err)
		default:
			p.log.Error("result cannot be read; the job is kept for the next leader and not run", "job", e.ID, "error", e.Err)
			r.Quarantined = append(r.Quarantined, Quarantined{ID: e.ID, Reason: e.Err})
		}
	}
	return results, nil
}

// readRecords reads what the predecessors noted of jobs in quarantine. A record
// that cannot be read is as good as none: the graph decides, and a new record
// takes its place. Its error is about the whole store, or says that a newer
// release must lead.
func (p *leaderProcess) readRecords(ctx context.Context, g leader.Guard) (map[job.ID]jobstore.Quarantine, error) {
	entries, err := p.cfg.Jobs.Quarantined(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("read quarantine records: %w", err)
	}
	records := make(map[job.ID]jobstore.Quarantine, len(entries))
	for _, e := range entries {
		switch {
		case e.Err == nil:
			records[e.ID] = e.Record
		case errors.Is(e.Err, jobstore.ErrNewerFormat):
			return nil, fmt.Errorf("read the quarantine record of job %q: %w", e.ID, e.Err)
		default:
			p.log.Warn("quarantine record cannot be read", "job", e.ID, "error", e.Err)
			records[e.ID] = jobstore.Quarantine{ID: e.ID} // it is there, so that it is replaced or removed
		}
	}
	return records, nil
}

// found is one graph, or why it could not be read.
type found struct {
	job  jobstore.Job
	err  error
	gone bool
}

// readGraphs reads the graphs of ids side by side into r.
func (p *leaderProcess) readGraphs(ctx context.Context, g leader.Guard, ids []job.ID, r *Recovery) error {
	results := make([]found, len(ids))
	group, gctx := errgroup.WithContext(ctx)
	progress := newReading(len(ids), p.cfg.Hooks, p.log)
	var next atomic.Int64
	// A reader reads many: the stack that decoding takes has grown for all but the first.
	for range min(p.cfg.Reads, len(ids)) {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(ids) && gctx.Err() == nil; i = int(next.Add(1)) - 1 {
				f, err := p.readGraph(gctx, g, ids[i])
				if err != nil {
					return err
				}
				results[i] = f
				progress.one()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	progress.end()
	for i, f := range results {
		switch {
		case f.gone:
		case f.err != nil:
			r.Quarantined = append(r.Quarantined, Quarantined{ID: ids[i], Reason: f.err})
		default:
			r.Jobs = append(r.Jobs, f.job)
		}
	}
	slices.SortFunc(r.Jobs, func(a, b jobstore.Job) int {
		return cmp.Or(a.SubmittedAt.Compare(b.SubmittedAt), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(r.Quarantined, func(a, b Quarantined) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

// readGraph reads one graph. Its error is about the whole store; what is wrong
// with this graph alone stands in found.
func (p *leaderProcess) readGraph(ctx context.Context, g leader.Guard, id job.ID) (found, error) {
	j, err := p.cfg.Jobs.Get(ctx, g, id)
	switch {
	case err == nil:
		return found{job: j}, nil
	case ctx.Err() != nil:
		return found{}, context.Cause(ctx)
	case errors.Is(err, leader.ErrFenced), errors.Is(err, jobstore.ErrNewerFormat):
		return found{}, err
	case errors.Is(err, jobstore.ErrNotFound):
		p.log.Warn("accepted job was removed by somebody else during recovery", "job", id)
		return found{gone: true}, nil
	default:
		p.log.Error("accepted job cannot be read; it is kept for the next leader and not run", "job", id, "error", err)
		return found{err: err}, nil
	}
}
