package job

import (
	"time"
	"unicode/utf8"
)

// Snapshot is what is known of a job at one moment: the answer to every status
// question, and the content of a final result. Its JSON is the API's.
type Snapshot struct {
	ID     ID     `json:"id"`
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Error says why the job failed, empty otherwise.
	Error string `json:"error,omitempty"`
	// SubmittedAt is when the job was accepted; the other times are zero until
	// they happen.
	SubmittedAt time.Time `json:"submitted_at"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	FinishedAt  time.Time `json:"finished_at,omitzero"`
	// Epoch is the term that runs the job, or that recorded its result.
	Epoch int64          `json:"epoch"`
	Tasks []TaskSnapshot `json:"tasks"`
}

// TaskSnapshot is one task of a Snapshot.
type TaskSnapshot struct {
	ID       string            `json:"id"`
	Subtasks []SubtaskSnapshot `json:"subtasks"`
}

// SubtaskSnapshot is one subtask of a Snapshot, seen through its newest attempt.
type SubtaskSnapshot struct {
	Index  int           `json:"index"`
	Status SubtaskStatus `json:"status"`
	// Attempt counts from 1, zero before the first. An attempt that a fail-over cut
	// off does not count: the next term may use its number again, in its own epoch.
	Attempt int `json:"attempt"`
	// Epoch is the term in which the attempt was deployed.
	Epoch int64 `json:"epoch,omitempty"`
	// Worker is the ID of the worker that the attempt was deployed to, empty before and,
	// for what had ended, after a fail-over.
	Worker string `json:"worker,omitempty"`
	// ExitCode is nil until the attempt has ended by exiting.
	ExitCode *int `json:"exit_code"`
	// Output is the tail of what the attempt wrote, kept for the tasks that
	// nothing needs and for failed attempts.
	Output string `json:"output,omitempty"`
	// Result is what the attempt wrote to the file that COORDD_OUTPUT names, kept
	// for the tasks that nothing needs. ResultBase64 has it instead when it is not
	// UTF-8.
	Result       string `json:"result,omitempty"`
	ResultBase64 []byte `json:"result_base64,omitempty"`
	// Error says why the attempt failed.
	Error string `json:"error,omitempty"`
}

// SetResult keeps data as the result, in the field that can hold it.
func (s *SubtaskSnapshot) SetResult(data []byte) {
	s.Result, s.ResultBase64 = "", nil
	if utf8.Valid(data) {
		s.Result = string(data)
	} else {
		s.ResultBase64 = data
	}
}

// ResultData returns the result, whichever field holds it; nil when there is none.
func (s *SubtaskSnapshot) ResultData() []byte {
	if s.Result != "" {
		return []byte(s.Result)
	}
	return s.ResultBase64
}

// The limits of results, besides MaxResult for each.
const (
	// MaxResults is the greatest size of all results of a job, in bytes. Each counts
	// with an allowance for its name, five times what its task's ID and ten more
	// characters have.
	MaxResults = 4 << 20
	// MaxFinalResults is the greatest size of the results of those tasks of a job
	// that nothing needs, counted likewise: they are part of the job's Result.
	MaxFinalResults = 256 << 10
)

// Result is the one terminal outcome of a job.
type Result struct {
	// Snapshot is the job at its end; its Status is terminal.
	Snapshot Snapshot `json:"snapshot"`
	// Digest identifies the graph that ran (Graph.Digest), so that a later
	// submission under the same ID can be compared.
	Digest string `json:"digest"`
}
