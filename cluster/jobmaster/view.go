package jobmaster

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// view is what others see of the job. The owner of the core changes it, anybody
// takes snapshots. A change costs the same however large the job is; a snapshot
// shares the subtasks of every task with the view, and the first change of a task
// after it copies that task's.
type view struct {
	mu   sync.Mutex
	live job.Snapshot
	// shared says for each task whether a snapshot refers to its subtasks.
	shared []bool
	// cached is the last snapshot taken, while nothing has changed since.
	cached *job.Snapshot
	// counts are how many subtasks are in each status.
	counts map[job.SubtaskStatus]int
}

func newView(j jobstore.Job, epoch leader.Epoch) *view {
	v := &view{
		shared: make([]bool, len(j.Graph.Tasks)),
		counts: map[job.SubtaskStatus]int{},
		live: job.Snapshot{
			ID: j.ID, Name: j.Graph.Name, Status: job.StatusInitializing,
			SubmittedAt: j.SubmittedAt, Epoch: int64(epoch),
			Tasks: make([]job.TaskSnapshot, len(j.Graph.Tasks)),
		},
	}
	for i, spec := range j.Graph.Tasks {
		subtasks := make([]job.SubtaskSnapshot, spec.Subtasks())
		for n := range subtasks {
			subtasks[n] = job.SubtaskSnapshot{Index: n, Status: job.SubtaskCreated}
		}
		v.counts[job.SubtaskCreated] += len(subtasks)
		v.live.Tasks[i] = job.TaskSnapshot{ID: spec.ID, Subtasks: subtasks}
	}
	return v
}

func (v *view) snapshot() job.Snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cached == nil {
		snap := v.live
		snap.Tasks = slices.Clone(v.live.Tasks)
		for i := range v.shared {
			v.shared[i] = true
		}
		v.cached = &snap
	}
	return *v.cached
}

func (v *view) setStatus(s job.Status, now time.Time, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cached = nil
	v.live.Status, v.live.Error = s, reason
	if s.Terminal() {
		v.live.FinishedAt = now
	}
}

func (v *view) setStarted(at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cached = nil
	v.live.StartedAt = at
}

// change lets edit change one subtask.
func (v *view) change(s *subtask, edit func(*job.SubtaskSnapshot)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cached = nil
	i := s.task.index
	if v.shared[i] {
		v.live.Tasks[i].Subtasks = slices.Clone(v.live.Tasks[i].Subtasks)
		v.shared[i] = false
	}
	now := &v.live.Tasks[i].Subtasks[s.index]
	before := now.Status
	edit(now)
	if now.Status != before {
		v.counts[before]--
		v.counts[now.Status]++
	}
}

// count returns how many subtasks are in each status.
func (v *view) count() map[job.SubtaskStatus]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.counts)
}
