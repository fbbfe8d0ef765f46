package coordinator

import (
	"slices"

	"github.com/coordd/coordd/job"
)

// maxError bounds an error text that is stored, in bytes: a job's in a result that
// was too large, and the reason in a quarantine record.
const maxError = 4 << 10

// lessening returns a function that makes a result that is too large to be
// stored smaller with each call: a job must get its result, even without all of
// its details. First the outputs of subtasks go, then the subtasks.
func lessening() func(job.Result) job.Result {
	calls := 0
	return func(r job.Result) job.Result {
		calls++
		s := &r.Snapshot
		s.Tasks = slices.Clone(s.Tasks)
		for i, t := range s.Tasks {
			if calls > 1 {
				s.Tasks[i].Subtasks = []job.SubtaskSnapshot{}
				continue
			}
			s.Tasks[i].Subtasks = slices.Clone(t.Subtasks)
			for n := range t.Subtasks {
				s.Tasks[i].Subtasks[n].Output = ""
			}
		}
		s.Error = s.Error[:min(len(s.Error), maxError)]
		return r
	}
}
