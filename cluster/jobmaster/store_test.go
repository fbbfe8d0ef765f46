package jobmaster

import (
	"context"
	"sync"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// store is a ProgressStore that fails when told to.
type store struct {
	mu      sync.Mutex
	record  jobstore.Progress
	outputs map[jobstore.OutputID]jobstore.Output
	writes  []jobstore.Progress
	// readErr, outputsErr and writeErr are asked on each call, if set; n counts from 1.
	readErr, outputsErr, writeErr func(n int) error
	reads, outputReads            int
	// gate, when set, holds writes back until it is closed.
	gate chan struct{}
}

func (s *store) Progress(ctx context.Context, _ leader.Guard, _ job.ID, _ job.Graph) (jobstore.Progress, error) {
	if err := ctx.Err(); err != nil {
		return jobstore.Progress{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.readErr != nil {
		if err := s.readErr(s.reads); err != nil {
			return jobstore.Progress{}, err
		}
	}
	return s.record.Clone(), nil
}

func (s *store) Outputs(ctx context.Context, _ leader.Guard, _ job.ID, of []jobstore.OutputID) ([]jobstore.Output, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outputReads += len(of)
	if s.outputsErr != nil {
		if err := s.outputsErr(s.outputReads); err != nil {
			return nil, err
		}
	}
	outputs := make([]jobstore.Output, len(of))
	for i, id := range of {
		o, ok := s.outputs[id]
		if !ok {
			return nil, jobstore.ErrDamaged
		}
		outputs[i] = o
	}
	return outputs, nil
}

func (s *store) PutProgress(ctx context.Context, _ leader.Guard, _ job.ID, p jobstore.Progress, outputs ...jobstore.Output) error {
	s.mu.Lock()
	s.writes = append(s.writes, p)
	n, gate := len(s.writes), s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		if err := s.writeErr(n); err != nil {
			return err
		}
	}
	s.keep(p, outputs)
	return nil
}

func (s *store) keep(p jobstore.Progress, outputs []jobstore.Output) {
	s.record = p
	if s.outputs == nil {
		s.outputs = map[jobstore.OutputID]jobstore.Output{}
	}
	for _, o := range outputs {
		s.outputs[jobstore.OutputID{Task: o.Task, Subtask: o.Subtask}] = o
	}
}
