package job

import (
	"fmt"
	"time"
)

// Graph is a job: tasks and what each needs. The zero Graph is invalid; Parse
// and Validate say why.
type Graph struct {
	// Name is shown to people and need not be unique.
	Name string `json:"name"`
	// Tasks stand in the order of the job file.
	Tasks []Task `json:"tasks"`
}

// Task is one node of the graph: a command, run Parallelism times.
type Task struct {
	// ID is unique in the graph, with the same letters as a job's ID.
	ID string `json:"id"`
	// Needs lists the tasks all of whose subtasks must have finished first.
	Needs []string `json:"needs,omitempty"`
	// Parallelism is the number of subtasks; zero means 1.
	Parallelism int `json:"parallelism,omitempty"`
	// Command is the program and its arguments; no shell is involved.
	Command []string `json:"command,omitempty"`
	// Func is the name of a function that workers of an embedding program know, in
	// place of Command.
	Func string `json:"func,omitempty"`
	// Requires are labels that a worker must have to run the task.
	Requires map[string]string `json:"requires,omitempty"`
	// Env is added to the worker's environment. The names that coordd sets for
	// every task (EnvJobID and so on) are refused.
	Env map[string]string `json:"env,omitempty"`
	// Dir is the working folder, empty for the worker's own.
	Dir string `json:"dir,omitempty"`
	// Timeout bounds one attempt; zero means no bound.
	Timeout Duration `json:"timeout,omitempty"`
	// Retry says what happens when an attempt fails.
	Retry Retry `json:"retry,omitzero"`
}

// Subtasks returns the number of subtasks, at least 1.
func (t Task) Subtasks() int { return max(t.Parallelism, 1) }

// Retry is the rule for failed attempts of a subtask.
type Retry struct {
	// Attempts is the number of attempts in all; zero means 1: no retry.
	Attempts int `json:"attempts,omitempty"`
	// Delay is waited before each further attempt.
	Delay Duration `json:"delay,omitempty"`
}

// Duration is a time.Duration that reads and writes as "10m" or "1.5s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration accepts. The error names the text
// and shows what a duration looks like.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("must be a duration such as \"10m\" or \"1.5s\", not %s", quote(string(text)))
	}
	*d = Duration(v)
	return nil
}
