package jobstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/internal/layout"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

// Output is what is kept of what a finished subtask has made, in a value of its own.
// PutProgress stores it with the success.
type Output struct {
	Task    string
	Subtask int
	// Text is the tail of what the attempt printed, Result what it wrote as its
	// result.
	Text   string
	Result []byte
}

// OutputID names the Output of a subtask.
type OutputID struct {
	Task    string
	Subtask int
}

// outputFormat is the version of outputRecord. The next one is read, too.
const outputFormat = 1

// outputRecord is the stored form of an Output.
type outputRecord struct {
	Version int    `json:"v"`
	Task    string `json:"task"`
	Subtask int    `json:"subtask"`
	Text    string `json:"text,omitempty"`
	Result  []byte `json:"result,omitempty"`
}

func encodeOutput(o Output) ([]byte, error) {
	return seal(outputRecord{Version: outputFormat, Task: o.Task, Subtask: o.Subtask, Text: o.Text, Result: o.Result})
}

func decodeOutput(data []byte, id OutputID) (Output, error) {
	var r outputRecord
	if err := envelope.Open("output", outputFormat, data, &r); err != nil {
		return Output{}, err
	}
	if r.Task != id.Task || r.Subtask != id.Subtask {
		return Output{}, fmt.Errorf("%w: it is the output of task %q, subtask %d", ErrDamaged, r.Task, r.Subtask)
	}
	return Output{Task: r.Task, Subtask: r.Subtask, Text: r.Text, Result: r.Result}, nil
}

// outputPath returns where the folder of a job's outputs has that of a subtask. A
// task's ID may have dots; what follows the last one is the subtask.
func outputPath(folder, task string, subtask int) string {
	return folder + "/" + task + "." + strconv.Itoa(subtask)
}

// outputOps returns the operations that store outputs.
func outputOps(id job.ID, outputs []Output) ([]txn.Op, error) {
	folder, err := layout.Path(layout.Outputs, string(id))
	if err != nil {
		return nil, err
	}
	ops := make([]txn.Op, len(outputs))
	for i, o := range outputs {
		data, err := encodeOutput(o)
		if err != nil {
			return nil, fmt.Errorf("output of task %q, subtask %d: %w", o.Task, o.Subtask, err)
		}
		ops[i] = txn.Op{Kind: txn.Create, Path: outputPath(folder, o.Task, o.Subtask), Data: data}
	}
	return ops, nil
}

// replacing returns ops with a Put in place of each Create whose path is taken.
func (s *Store) replacing(ctx context.Context, g leader.Guard, ops []txn.Op) ([]txn.Op, error) {
	ops = slices.Clone(ops)
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(layout.Concurrency)
	for i := range ops {
		if ops[i].Kind != txn.Create {
			continue
		}
		reads.Go(func() error {
			_, err := s.driver.Get(ctx, g, ops[i].Path)
			if errors.Is(err, txn.ErrNotFound) {
				return nil
			}
			ops[i].Kind = txn.Put
			return err
		})
	}
	return ops, reads.Wait()
}

// Outputs returns the outputs of the given subtasks, in that order. It reads them in
// parallel, a bounded number at once. Errors: ErrInvalidID, ErrDamaged for one that
// is missing or cannot be read, ErrNewerFormat.
func (s *Store) Outputs(ctx context.Context, g leader.Guard, id job.ID, of []OutputID) ([]Output, error) {
	folder, err := layout.Path(layout.Outputs, string(id))
	if err != nil {
		return nil, fmt.Errorf("get outputs: %w", err)
	}
	outputs := make([]Output, len(of))
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(layout.Concurrency)
	for i, o := range of {
		reads.Go(func() error {
			path := outputPath(folder, o.Task, o.Subtask)
			data, err := s.driver.Get(ctx, g, path)
			if errors.Is(err, txn.ErrNotFound) {
				err = fmt.Errorf("%w: it is missing: %w", ErrDamaged, err)
			}
			if err == nil {
				outputs[i], err = decodeOutput(data, o)
			}
			if err != nil {
				return fmt.Errorf("get outputs of job %q: %s: %w", id, path, err)
			}
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return outputs, nil
}

// outputBatch is how many outputs one transaction deletes: enough to save round
// trips, few enough to delay no renewal of the lease.
const outputBatch = 100

// DeleteOutputs removes the outputs of a job's tasks, in batches, one guarded
// transaction each. It is no error when there are none, and may be repeated after
// it was cut short. Errors: ErrInvalidID. Nothing may write an output of the job
// meanwhile.
func (s *Store) DeleteOutputs(ctx context.Context, g leader.Guard, id job.ID) error {
	folder, err := layout.Path(layout.Outputs, string(id))
	if err != nil {
		return fmt.Errorf("delete outputs: %w", err)
	}
	names, err := s.driver.List(ctx, g, folder)
	if err != nil {
		return fmt.Errorf("delete outputs of job %q: %w", id, err)
	}
	if len(names) == 0 {
		return nil
	}
	ops := make([]txn.Op, 0, len(names)+1)
	for _, name := range names {
		ops = append(ops, txn.Op{Kind: txn.Remove, Path: folder + "/" + name})
	}
	// A backend whose folders are nodes keeps an empty one else. It goes with the last
	// outputs, for later it would look like a job without any.
	ops = append(ops, txn.Op{Kind: txn.Remove, Path: folder})
	for batch := range slices.Chunk(ops, outputBatch) {
		if err := s.driver.Commit(ctx, g, batch...); err != nil {
			return fmt.Errorf("delete outputs of job %q: %w", id, err)
		}
	}
	return nil
}
