package jobstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// jobFormat is the version of jobRecord. This release reads no other.
const jobFormat = 1

// jobRecord is the stored form of a Job.
type jobRecord struct {
	Version     int       `json:"v"`
	ID          job.ID    `json:"id"`
	SubmittedAt time.Time `json:"submitted_at"`
	Digest      string    `json:"digest"`
	Graph       job.Graph `json:"graph"`
}

func encodeJob(j Job) ([]byte, error) {
	if j.Digest == "" {
		j.Digest = j.Graph.Digest()
	}
	return seal(jobRecord{
		Version: jobFormat, ID: j.ID, SubmittedAt: j.SubmittedAt.UTC(), Digest: j.Digest, Graph: j.Graph,
	})
}

func decodeJob(data []byte) (Job, error) {
	var r jobRecord
	if err := envelope.Open("job graph", jobFormat, data, &r); err != nil {
		return Job{}, err
	}
	return Job{ID: r.ID, Graph: r.Graph, SubmittedAt: r.SubmittedAt, Digest: r.Digest}, nil
}

// seal makes the stored form of a record. A value that is too large is the same
// to a caller as a transaction that is.
func seal(record any) ([]byte, error) {
	data, err := envelope.Seal(record)
	if errors.Is(err, envelope.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", txn.ErrTooLarge, err)
	}
	return data, err
}
