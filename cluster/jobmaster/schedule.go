package jobmaster

import (
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// task is one node of the graph with its subtasks.
type task struct {
	spec  job.Task
	index int
	// needed are the tasks that need this one.
	needed []*task
	// blockers counts the needed tasks of which not all subtasks are recorded.
	blockers int
	// left counts the subtasks whose success is not recorded.
	left     int
	subtasks []subtask
}

// final says that nothing needs the task, so that its output is a result.
func (t *task) final() bool { return len(t.needed) == 0 }

// budget is how many attempts of a subtask may fail before the job does.
func (t *task) budget() int { return max(t.spec.Retry.Attempts, 1) }

// subtask is one command to be run to success once.
type subtask struct {
	task   *task
	index  int
	status job.SubtaskStatus
	// attempt is the newest one; its N is zero before the first.
	attempt gateway.AttemptID
	// slot is where the attempt runs, while it does.
	slot gateway.Slot
	// cancel: the attempt is being deployed and shall end as soon as it is.
	cancel bool
	// used counts the attempts that failed, over all terms.
	used int
	// finished is set when an attempt has succeeded, recorded or not.
	finished *jobstore.Finished
	// dueAt is when a failed subtask may be tried again.
	dueAt time.Time
}

// buildTasks makes the tasks of a graph and connects them.
func buildTasks(graph job.Graph) ([]*task, error) {
	byID := make(map[string]*task, len(graph.Tasks))
	tasks := make([]*task, len(graph.Tasks))
	for i, spec := range graph.Tasks {
		if byID[spec.ID] != nil {
			return nil, fmt.Errorf("two tasks have the id %q", spec.ID)
		}
		t := &task{spec: spec, index: i, subtasks: make([]subtask, spec.Subtasks()), left: spec.Subtasks()}
		for n := range t.subtasks {
			t.subtasks[n] = subtask{task: t, index: n, status: job.SubtaskCreated}
		}
		tasks[i], byID[spec.ID] = t, t
	}
	for _, t := range tasks {
		needs := slices.Compact(slices.Sorted(slices.Values(t.spec.Needs)))
		t.blockers = len(needs)
		for _, id := range needs {
			if byID[id] == nil {
				return nil, fmt.Errorf("task %q needs %q, which is not in the job", t.spec.ID, id)
			}
			byID[id].needed = append(byID[id].needed, t)
		}
	}
	// Graphs were checked when they were accepted. What would wait for ever here is
	// refused all the same.
	switch stuck := len(tasks) - len(graph.Order()); {
	case len(tasks) == 0:
		return nil, errors.New("the graph has no tasks")
	case stuck > 0:
		return nil, fmt.Errorf("the graph has a cycle: %d of %d tasks can never start", stuck, len(tasks))
	}
	return tasks, nil
}

// queue holds the subtasks that wait for a slot, first in, first out.
type queue struct {
	items []*subtask
	head  int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(s *subtask) { q.items = append(q.items, s) }

// unpop puts back what pop has just returned.
func (q *queue) unpop(s *subtask) {
	if q.head == 0 {
		q.items = slices.Insert(q.items, 0, s)
		return
	}
	q.head--
	q.items[q.head] = s
}

func (q *queue) pop() *subtask {
	s := q.items[q.head]
	q.items[q.head] = nil
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return s
}

// delayed holds the subtasks that wait for their next try, by time.
type delayed []*subtask

// Len implements heap.Interface.
func (d delayed) Len() int { return len(d) }

// Less implements heap.Interface.
func (d delayed) Less(i, j int) bool { return d[i].dueAt.Before(d[j].dueAt) }

// Swap implements heap.Interface.
func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *delayed) Push(x any) { *d = append(*d, x.(*subtask)) } //nolint:forcetypeassert // only add calls it

// Pop implements heap.Interface.
func (d *delayed) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return s
}

func (d *delayed) add(s *subtask) { heap.Push(d, s) }

// due removes and returns the next subtask whose time has come, nil when there is
// none.
func (d *delayed) due(now time.Time) *subtask {
	if len(*d) == 0 || (*d)[0].dueAt.After(now) {
		return nil
	}
	s := (*d)[0]
	heap.Pop(d)
	return s
}
