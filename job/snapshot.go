package job

import (
	"time"
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
	// ExitCode is nil until the attempt has ended by exiting.
	ExitCode *int `json:"exit_code"`
	// Output is the tail of what the attempt wrote, kept for the tasks that
	// nothing needs and for failed attempts.
	Output string `json:"output,omitempty"`
	// Error says why the attempt failed.
	Error string `json:"error,omitempty"`
}

// Result is the one terminal outcome of a job.
type Result struct {
	// Snapshot is the job at its end; its Status is terminal.
	Snapshot Snapshot `json:"snapshot"`
	// Digest identifies the graph that ran (Graph.Digest), so that a later
	// submission under the same ID can be compared.
	Digest string `json:"digest"`
}
