package job

import (
	"slices"
	"strings"
)

// Subtasks returns the number of subtasks of all tasks.
func (g Graph) Subtasks() int {
	total := 0
	for _, t := range g.Tasks {
		total += t.Subtasks()
	}
	return total
}

// Task returns the task with an ID, and whether there is one.
func (g Graph) Task(id string) (Task, bool) {
	i := slices.IndexFunc(g.Tasks, func(t Task) bool { return t.ID == id })
	if i < 0 {
		return Task{}, false
	}
	return g.Tasks[i], true
}

// Order returns the IDs of a valid graph's tasks so that each stands after all
// that it needs. The order depends on the graph alone. Tasks on a cycle, which
// only an invalid graph has, are left out.
func (g Graph) Order() []string {
	dependents := g.Dependents()
	waiting := make(map[string]int, len(g.Tasks))
	order := make([]string, 0, len(g.Tasks))
	for _, t := range g.Tasks {
		waiting[t.ID] = len(t.Needs)
		if len(t.Needs) == 0 {
			order = append(order, t.ID)
		}
	}
	for next := 0; next < len(order); next++ {
		for _, id := range dependents[order[next]] {
			waiting[id]--
			if waiting[id] == 0 {
				order = append(order, id)
			}
		}
	}
	return order
}

// Dependents returns, for each task that others need, their IDs in the order of
// the graph.
func (g Graph) Dependents() map[string][]string {
	dependents := make(map[string][]string)
	for _, t := range g.Tasks {
		for _, need := range t.Needs {
			dependents[need] = append(dependents[need], t.ID)
		}
	}
	return dependents
}

// Final returns the IDs of the tasks that no other task needs, in the order of
// the graph. Their output is the job's answer.
func (g Graph) Final() []string {
	dependents := g.Dependents()
	var final []string
	for _, t := range g.Tasks {
		if len(dependents[t.ID]) == 0 {
			final = append(final, t.ID)
		}
	}
	return final
}

// checkCycles names a cycle when there is one. It expects unique IDs and needs
// that all name tasks.
func (g Graph) checkCycles(p *problems) {
	if len(g.Order()) == len(g.Tasks) {
		return
	}
	cycle := g.findCycle()
	first := slices.IndexFunc(g.Tasks, func(t Task) bool { return t.ID == cycle[0] })
	p.addf(taskPath(first)+".needs", "tasks need each other in a cycle: %s", arrows(cycle))
}

// findCycle returns the tasks of one cycle, each needing the next, beginning
// with the one that stands first in the graph and ending with it again. It
// expects that there is a cycle.
func (g Graph) findCycle() []string {
	ordered := make(map[string]bool, len(g.Tasks))
	for _, id := range g.Order() {
		ordered[id] = true
	}
	needs := make(map[string][]string, len(g.Tasks))
	position := make(map[string]int, len(g.Tasks))
	start := ""
	for i, t := range g.Tasks {
		needs[t.ID], position[t.ID] = t.Needs, i
		if start == "" && !ordered[t.ID] {
			start = t.ID
		}
	}
	// What was not ordered needs something that was not ordered either, so this
	// walk never ends until it meets itself.
	var path []string
	at := make(map[string]int)
	for id := start; ; {
		if begin, met := at[id]; met {
			path = path[begin:]
			break
		}
		at[id] = len(path)
		path = append(path, id)
		next := slices.IndexFunc(needs[id], func(need string) bool { return !ordered[need] })
		id = needs[id][next]
	}
	first := 0
	for i, id := range path {
		if position[id] < position[path[first]] {
			first = i
		}
	}
	return slices.Concat(path[first:], path[:first+1])
}

// arrows writes a path as "a -> b -> a" and leaves out the middle of a long one.
func arrows(path []string) string {
	const ends = 5
	if len(path) > 2*ends {
		path = slices.Concat(path[:ends], []string{"..."}, path[len(path)-ends:])
	}
	return strings.Join(path, " -> ")
}
