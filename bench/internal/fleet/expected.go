package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/coordd/coordd/bench/internal/rig"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
)

// Expected are jobs whose results are waited for, by watches of their nodes: asking the
// agent again and again would be work for it.
type Expected struct {
	fleet *Fleet
	jobs  []job.ID
	ended []<-chan zk.Event

	// Bytes is the size of the largest record of progress that was seen meanwhile.
	Bytes int
}

// Expect begins to wait for the results of jobs that are not submitted yet.
func (f *Fleet) Expect(jobs ...job.ID) (*Expected, error) {
	e := &Expected{fleet: f, jobs: jobs}
	for _, id := range jobs {
		path, err := f.path(layout.Dirty, id)
		if err != nil {
			return nil, err
		}
		_, _, ended, err := f.bare.Conn.ExistsW(path)
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", path, err)
		}
		e.ended = append(e.ended, ended)
	}
	return e, nil
}

func (f *Fleet) path(folder string, id job.ID) (string, error) {
	path, err := layout.Path(folder, string(id))
	return f.cfg.Root() + "/" + path, err
}

// patience bounds each wait, so that a benchmark fails and does not hang.
const patience = 5 * time.Minute

// sample is how often the record of the last job is looked at meanwhile.
const sample = 50 * time.Millisecond

// Results blocks until all jobs have a result that is stored.
func (e *Expected) Results(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	record, err := e.fleet.path(layout.Progress, e.jobs[len(e.jobs)-1])
	if err != nil {
		return err
	}
	look := time.NewTicker(sample)
	defer look.Stop()
	for i := 0; i < len(e.ended); {
		select {
		case event := <-e.ended[i]:
			if event.Err != nil {
				return fmt.Errorf("wait for the result of %s: %w", e.jobs[i], event.Err)
			}
			i++
		case <-look.C:
			if data, _, err := e.fleet.bare.Conn.Get(record); err == nil { // it may be gone
				e.Bytes = max(e.Bytes, len(data))
			}
		case <-ctx.Done():
			return fmt.Errorf("job %s has no result: %w", e.jobs[i], context.Cause(ctx))
		}
	}
	return nil
}

// Cleaned blocks until all jobs are FINISHED and cleaned up after, so that nothing of
// them disturbs what is measured next.
func (e *Expected) Cleaned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, id := range e.jobs {
		record, err := e.fleet.path(layout.Progress, id)
		if err != nil {
			return err
		}
		for there := true; there; {
			if there, _, err = e.fleet.bare.Conn.Exists(record); err != nil {
				return fmt.Errorf("look for %s: %w", record, err)
			}
			if err := rig.Pause(ctx, time.Millisecond); err != nil {
				return fmt.Errorf("job %s is not cleaned up: %w", id, err)
			}
		}
		snap, err := e.fleet.Client.Job(ctx, id)
		if err != nil {
			return err
		}
		if snap.Status != job.StatusFinished {
			return fmt.Errorf("job %s is %s: %s", id, snap.Status, snap.Error)
		}
	}
	return nil
}
