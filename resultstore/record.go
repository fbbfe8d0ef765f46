package resultstore

import (
	"errors"
	"fmt"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/txn"
)

// format is the version of record. The next one is read, too.
const format = 1

// record is the stored form of a job.Result: its JSON and a version.
type record struct {
	Version int `json:"v"`
	job.Result
}

// encode makes the stored form. A value that is too large is the same to a
// caller as a transaction that is.
func encode(r job.Result) ([]byte, error) {
	data, err := envelope.Seal(record{Version: format, Result: r})
	if errors.Is(err, envelope.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", txn.ErrTooLarge, err)
	}
	return data, err
}

// decode reads the result of the job with the given id.
func decode(data []byte, id job.ID) (job.Result, error) {
	var r record
	if err := envelope.Open("job result", format, data, &r); err != nil {
		return job.Result{}, err
	}
	if r.Snapshot.ID != id {
		return job.Result{}, fmt.Errorf("%w: it is the result of job %q", ErrDamaged, r.Snapshot.ID)
	}
	return r.Result, nil
}
