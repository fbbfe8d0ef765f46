package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a job. They keep one job from filling a leader's memory.
const (
	// MaxResult is the greatest size of a subtask's result, in bytes.
	MaxResult = 64 << 10
	// MaxTasks is the greatest number of tasks of a graph.
	MaxTasks = 10_000
	// MaxSubtasks is the greatest number of subtasks of a graph, over all tasks.
	MaxSubtasks = 100_000
	// MaxAttempts is the greatest number of attempts of a subtask.
	MaxAttempts = 1_000
	// MaxEnv is the greatest number of variables in a task's env.
	MaxEnv = 1_000
	// MaxNameLength is the greatest length of a job's name in characters.
	MaxNameLength = 200
)

// The variables that every task gets from coordd. A job must not set them: they
// let a task fence its own writes elsewhere.
const (
	EnvJobID       = "COORDD_JOB_ID"
	EnvTask        = "COORDD_TASK"
	EnvSubtask     = "COORDD_SUBTASK"
	EnvParallelism = "COORDD_PARALLELISM"
	EnvAttempt     = "COORDD_ATTEMPT"
	EnvEpoch       = "COORDD_EPOCH"
	// EnvOutput names the file to which an attempt may write a small result, EnvInputs
	// the folder that holds the results of what the task needs: one file a subtask,
	// <task>/<subtask>.
	EnvOutput = "COORDD_OUTPUT"
	EnvInputs = "COORDD_INPUTS"
	// EnvWork names a folder that is the attempt's own, empty at its start.
	EnvWork = "COORDD_WORK"
)

// Validate returns nil when the graph can run, and an *InvalidError otherwise.
// The problems have no lines; Parse adds them for files.
func (g Graph) Validate() error {
	var p problems
	g.check(&p)
	return p.err("")
}

// check finds every problem of the graph that is not one of spelling.
func (g Graph) check(p *problems) {
	checkName(p, g.Name)
	switch n := len(g.Tasks); {
	case n == 0:
		p.addf("tasks", "there are none; a job needs at least one task, with an id and a command")
		return
	case n > MaxTasks:
		p.addf("tasks", "there are %s tasks; at most %s are allowed", thousands(n), thousands(MaxTasks))
		return
	}
	for i, t := range g.Tasks {
		checkTask(p, taskPath(i), t)
	}
	if g.checkReferences(p) {
		g.checkCycles(p)
	}
	g.checkSubtasks(p)
}

func taskPath(i int) string { return fmt.Sprintf("tasks[%d]", i) }

func checkName(p *problems, name string) {
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		p.addf("name", "is missing; give the job a name for people to read")
	case n > MaxNameLength:
		p.addf("name", "has %s characters; at most %d are allowed", thousands(n), MaxNameLength)
	case !utf8.ValidString(name):
		p.addf("name", "%s is not UTF-8", quote(name))
	case strings.ContainsFunc(name, unicode.IsControl):
		p.addf("name", "%s contains a control character", quote(name))
	}
}

// checkTask checks what can be said of a task alone.
func checkTask(p *problems, path string, t Task) {
	if msg := checkID(t.ID); msg != "" {
		p.addf(path+".id", "%s", msg)
	}
	checkWork(p, path, t)
	checkRequires(p, path+".requires", t.Requires)
	checkText(p, path+".dir", t.Dir)
	checkEnv(p, path+".env", t.Env)
	if n := t.Parallelism; n < 0 || n > MaxSubtasks {
		p.addf(path+".parallelism", "is %s; it must be from 1 to %s", thousands(n), thousands(MaxSubtasks))
	}
	if n := t.Retry.Attempts; n < 0 || n > MaxAttempts {
		p.addf(path+".retry.attempts", "is %s; it must be from 1 to %s", thousands(n), thousands(MaxAttempts))
	}
	checkNotNegative(p, path+".retry.delay", t.Retry.Delay)
	checkNotNegative(p, path+".timeout", t.Timeout)
}

// checkWork checks what the task runs: a command or a function.
func checkWork(p *problems, path string, t Task) {
	switch {
	case len(t.Command) == 0 && t.Func == "":
		p.addf(path+".command", "is missing; write the program and its arguments, such as [sh, -c, \"echo hello\"]")
	case len(t.Command) > 0 && t.Func != "":
		p.addf(path+".func", "is given beside command; a task runs either a command or a function, so remove one of them")
	case len(t.Command) > 0 && t.Command[0] == "":
		p.addf(path+".command[0]", "is empty; it must name the program to run")
	}
	for i, arg := range t.Command {
		checkText(p, fmt.Sprintf("%s.command[%d]", path, i), arg)
	}
	if msg := checkFunc(t.Func); t.Func != "" && msg != "" {
		p.addf(path+".func", "a function's name %s", msg)
	}
}

func checkNotNegative(p *problems, path string, d Duration) {
	if d < 0 {
		text, _ := d.MarshalText() // never fails
		p.addf(path, "is %s; it must not be negative", text)
	}
}

// checkText refuses what no command line or environment can carry.
func checkText(p *problems, path, text string) {
	if strings.ContainsRune(text, 0) {
		p.addf(path, "%s contains a NUL character, which no command can be given", quote(text))
	} else if !utf8.ValidString(text) {
		p.addf(path, "%s is not UTF-8", quote(text))
	}
}

func checkEnv(p *problems, path string, env map[string]string) {
	if len(env) > MaxEnv {
		p.addf(path, "has %s variables; at most %s are allowed", thousands(len(env)), thousands(MaxEnv))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		field := fieldPath(path, name)
		if !validEnvName(name) {
			p.addf(field, "%s is not a variable's name; use letters, digits and '_', and do not start with a digit",
				quote(name))
			continue
		}
		if reservedEnv(name) {
			p.addf(field, "is set by coordd for every task; choose another name")
			continue
		}
		checkText(p, field, env[name])
	}
}

func validEnvName(name string) bool {
	for i, r := range name {
		if r != '_' && !letterOrDigit(r) || i == 0 && '0' <= r && r <= '9' {
			return false
		}
	}
	return name != ""
}

func reservedEnv(name string) bool {
	switch name {
	case EnvJobID, EnvTask, EnvSubtask, EnvParallelism, EnvAttempt, EnvEpoch, EnvOutput, EnvInputs, EnvWork:
		return true
	default:
		return false
	}
}

// checkReferences checks that IDs are unique and that needs name tasks. It
// reports whether a search for cycles makes sense.
func (g Graph) checkReferences(p *problems) bool {
	index := make(map[string]int, len(g.Tasks))
	ids := make([]string, 0, len(g.Tasks))
	sound := true
	for i, t := range g.Tasks {
		if first, taken := index[t.ID]; taken && t.ID != "" {
			p.addf(taskPath(i)+".id", "%s is the id of %s too; each task needs its own", quote(t.ID), taskPath(first))
			sound = false
			continue
		}
		index[t.ID] = i
		ids = append(ids, t.ID)
	}
	for i, t := range g.Tasks {
		if !g.checkNeeds(p, i, t, index, ids) {
			sound = false
		}
	}
	return sound
}

func (g Graph) checkNeeds(p *problems, i int, t Task, index map[string]int, ids []string) bool {
	sound := true
	seen := make(map[string]bool, len(t.Needs))
	for j, need := range t.Needs {
		path := fmt.Sprintf("%s.needs[%d]", taskPath(i), j)
		_, known := index[need]
		switch {
		case need == t.ID:
			p.addf(path, "task %s needs itself", quote(t.ID))
		case seen[need]:
			p.addf(path, "%s is listed twice", quote(need))
		case !known && p.full():
			p.add(Problem{}) // only counted
		case !known:
			p.addf(path, "there is no task %s%s", quote(need), didYouMean(need, ids))
		default:
			seen[need] = true
			continue
		}
		sound = false
	}
	return sound
}

// checkSubtasks checks the sum; each task's own number was checked before.
func (g Graph) checkSubtasks(p *problems) {
	total := 0
	for _, t := range g.Tasks {
		if t.Parallelism > MaxSubtasks {
			return // already refused
		}
		total += t.Subtasks()
	}
	if total > MaxSubtasks {
		p.addf("tasks", "there are %s subtasks in all (the sum of every task's parallelism); at most %s are allowed",
			thousands(total), thousands(MaxSubtasks))
	}
}
