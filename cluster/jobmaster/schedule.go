package jobmaster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// task is one node of the graph with its subtasks.
type task struct {
	spec  job.Task
	index int
	// first is the number of its first subtask in the job.
	first int
	// needs are the tasks that this one needs, needed those that need this one.
	needs, needed []*task
	// blockers counts the needed tasks of which not all subtasks are recorded.
	blockers int
	// left counts the subtasks whose success is not recorded, users the tasks that
	// need this one and have such subtasks.
	left, users int
	group       *group
	subtasks    []subtask
	// size is what a deployment takes without its inputs, in bytes.
	size int
	// results are those of its subtasks, while something may need them; inputs those
	// that its own deployments carry, inputSize their bytes.
	results   []gateway.Input
	inputs    []gateway.Input
	inputSize int
}

// final says that nothing needs the task, so that its output is a result.
func (t *task) final() bool { return len(t.needed) == 0 }

// budget is how many attempts of a subtask may fail before the job does.
func (t *task) budget() int { return max(t.spec.Retry.Attempts, 1) }

// place says where a subtask stands for the core.
type place int

const (
	// placeNone: it waits for others, or for the record.
	placeNone place = iota
	// placeReady: in its group's queue.
	placeReady
	// placeDelayed: its next attempt waits for the rule's delay.
	placeDelayed
	// placeActive: an attempt was or is being deployed, and its end is not known.
	placeActive
	// placeDone: nothing more is to be done.
	placeDone
)

// subtask is one command to be run to success once.
type subtask struct {
	task   *task
	index  int
	status job.SubtaskStatus
	place  place
	// ticket tells the entry in a queue that counts from those that do not any more.
	ticket int
	// attempt is the newest one, of any term; its N is zero before the first.
	attempt gateway.AttemptID
	// slot is where the attempt runs, while it is active.
	slot *slot
	// cancel: the attempt is to end as soon as it is known to run.
	cancel bool
	// ended is the newest attempt whose end was taken in.
	ended mark
	// used counts the attempts that failed, over all terms.
	used int
	// finished: an attempt has succeeded, recorded or not.
	finished bool
	// change is the newest one that is not recorded yet.
	change *change
}

func (s *subtask) number() int { return s.task.first + s.index }

// mark orders the attempts of one subtask.
type mark struct {
	epoch leader.Epoch
	n     int
}

func markOf(id gateway.AttemptID) mark { return mark{id.Epoch, id.N} }

func (m mark) after(o mark) bool {
	return m.epoch > o.epoch || m.epoch == o.epoch && m.n > o.n
}

// buildTasks makes the tasks of a graph and connects them.
func buildTasks(graph job.Graph) ([]*task, []*group, error) {
	byID := make(map[string]*task, len(graph.Tasks))
	tasks := make([]*task, len(graph.Tasks))
	first := 0
	for i, spec := range graph.Tasks {
		if byID[spec.ID] != nil {
			return nil, nil, fmt.Errorf("two tasks have the id %q", spec.ID)
		}
		t := &task{spec: spec, index: i, first: first, left: spec.Subtasks(), size: deploymentSize(spec)}
		t.subtasks = make([]subtask, t.left)
		for n := range t.subtasks {
			t.subtasks[n] = subtask{task: t, index: n, status: job.SubtaskCreated}
		}
		first += t.left
		tasks[i], byID[spec.ID] = t, t
	}
	for _, t := range tasks {
		needs := slices.Compact(slices.Sorted(slices.Values(t.spec.Needs)))
		t.blockers = len(needs)
		for _, id := range needs {
			if byID[id] == nil {
				return nil, nil, fmt.Errorf("task %q needs %q, which is not in the job", t.spec.ID, id)
			}
			byID[id].needed = append(byID[id].needed, t)
			byID[id].users++
			t.needs = append(t.needs, byID[id])
		}
	}
	// Graphs were checked when they were accepted. What would wait for ever here is
	// refused all the same.
	switch stuck := len(tasks) - len(graph.Order()); {
	case len(tasks) == 0:
		return nil, nil, errors.New("the graph has no tasks")
	case stuck > 0:
		return nil, nil, fmt.Errorf("the graph has a cycle: %d of %d tasks can never start", stuck, len(tasks))
	}
	return tasks, buildGroups(tasks), nil
}

// group holds the subtasks that require the same labels of a worker.
type group struct {
	requires map[string]string
	ready    queue
	// active counts those of which an attempt is deployed or being deployed.
	active int
	// declared is the need that the resource manager was told of last.
	declared int
}

// need is how many slots the group can use now.
func (g *group) need() int { return min(g.ready.count+g.active, maxNeed) }

// fits says whether a worker with the labels may run the group's subtasks.
func (g *group) fits(labels map[string]string) bool { return has(labels, g.requires) }

// has says whether labels hold those that are required.
func has(labels, required map[string]string) bool {
	for label, value := range required {
		if have, ok := labels[label]; !ok || have != value {
			return false
		}
	}
	return true
}

// buildGroups puts each task into its group. Those that require more come first: the
// workers that suit them are fewer.
func buildGroups(tasks []*task) []*group {
	byLabels := map[string]*group{}
	var groups []*group
	for _, t := range tasks {
		var key strings.Builder
		for _, label := range slices.Sorted(maps.Keys(t.spec.Requires)) {
			fmt.Fprintf(&key, "%q=%q,", label, t.spec.Requires[label])
		}
		g := byLabels[key.String()]
		if g == nil {
			g = &group{requires: t.spec.Requires}
			byLabels[key.String()] = g
			groups = append(groups, g)
		}
		t.group = g
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return len(b.requires) - len(a.requires) })
	return groups
}
