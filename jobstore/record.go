package jobstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// The versions of jobRecord.
const (
	// jobFormat is what every release reads.
	jobFormat = 1
	// jobFormatDemands is the same, with a graph that names functions or requires
	// labels. A release that does not know them must not run it, so it is two ahead.
	// The next one is read, too.
	jobFormatDemands = jobFormat + 2
)

// jobRecord is the stored form of a Job: its graph, or where that is. A blob holds
// one too, with the graph.
type jobRecord struct {
	Version     int        `json:"v"`
	ID          job.ID     `json:"id"`
	SubmittedAt time.Time  `json:"submitted_at"`
	Digest      string     `json:"digest"`
	Graph       *job.Graph `json:"graph,omitempty"`
	Blob        *reference `json:"blob,omitempty"`
}

// reference names the blob of a graph that is too large for the backend.
type reference struct {
	Name string `json:"name"`
	// Size and SHA256 are of the blob's bytes, the sum in hex.
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
	// Released says that the job has ended and its blob is being deleted: the
	// reference is kept only to say which that is.
	Released bool `json:"released,omitempty"`
}

func newJobRecord(j Job) jobRecord {
	if j.Digest == "" {
		j.Digest = j.Graph.Digest()
	}
	return jobRecord{Version: formatOf(j.Graph), ID: j.ID, SubmittedAt: j.SubmittedAt.UTC(), Digest: j.Digest, Graph: &j.Graph}
}

// formatOf returns the oldest version in which the graph means what it says.
func formatOf(g job.Graph) int {
	for _, t := range g.Tasks {
		if t.Func != "" || len(t.Requires) > 0 {
			return jobFormatDemands
		}
	}
	return jobFormat
}

func encodeJob(j Job) ([]byte, error) { return seal(newJobRecord(j)) }

// decodeJob returns the record of the job with the given id.
func decodeJob(data []byte, id job.ID) (jobRecord, error) {
	var r jobRecord
	if err := envelope.Open("job graph", jobFormatDemands, data, &r); err != nil {
		return jobRecord{}, err
	}
	switch {
	case r.ID != id:
		return jobRecord{}, fmt.Errorf("%w: it holds job %q", ErrDamaged, r.ID)
	case (r.Graph == nil) == (r.Blob == nil):
		return jobRecord{}, fmt.Errorf("%w: it holds neither a graph nor where that is", ErrDamaged)
	case r.Blob != nil && !strings.HasPrefix(r.Blob.Name, string(id)+"."):
		return jobRecord{}, fmt.Errorf("%w: blob %q is not one of this job", ErrDamaged, r.Blob.Name)
	}
	return r, nil
}

// job returns what the record says, when it holds the graph.
func (r jobRecord) job() Job {
	return Job{ID: r.ID, Graph: *r.Graph, SubmittedAt: r.SubmittedAt, Digest: r.Digest}
}

// encodeBlob makes the blob of a job, and the record that names it.
func encodeBlob(j Job) (blob []byte, r jobRecord, err error) {
	r = newJobRecord(j)
	blob, err = envelope.SealLarge(r)
	if errors.Is(err, envelope.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", txn.ErrTooLarge, err)
	}
	if err != nil {
		return nil, jobRecord{}, err
	}
	sum := sha256.Sum256(blob)
	r.Graph = nil
	r.Blob = &reference{
		Name: string(j.ID) + "." + strings.ToLower(rand.Text()),
		Size: len(blob), SHA256: hex.EncodeToString(sum[:]),
	}
	return blob, r, nil
}

// decodeBlob returns the job of a blob that r names.
func decodeBlob(blob []byte, r jobRecord) (Job, error) {
	sum := sha256.Sum256(blob)
	if len(blob) != r.Blob.Size || hex.EncodeToString(sum[:]) != r.Blob.SHA256 {
		return Job{}, fmt.Errorf("%w: %d bytes that are not the %d that were stored", ErrDamaged, len(blob), r.Blob.Size)
	}
	var full jobRecord
	if err := envelope.OpenLarge("job graph", jobFormatDemands, blob, &full); err != nil {
		return Job{}, err
	}
	if full.ID != r.ID || full.Graph == nil {
		return Job{}, fmt.Errorf("%w: it holds no graph of this job", ErrDamaged)
	}
	return full.job(), nil
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
