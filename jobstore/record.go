package jobstore

import (
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
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
	return envelope.Seal(jobRecord{
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
