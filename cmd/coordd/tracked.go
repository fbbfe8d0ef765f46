package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coordd/coordd/job"
)

// settle is how long the demo waits for all subtasks of a task to start before it
// says which run.
const settle = 150 * time.Millisecond

// tracked is what the demo has seen of one task. Its methods are called with one
// snapshot after another.
type tracked struct {
	// attempts holds the workers of all attempts that were seen.
	attempts map[attempt]string
	// recorded holds the epochs in which subtasks were first seen finished.
	recorded map[int]int64
	// atCrash holds the attempts that were running when the leader was killed, by
	// subtask; done says that none was, because the task had finished.
	atCrash map[int]attempt
	done    bool

	since time.Time // when one was first seen running, in this term
	said  stage
}

// attempt names an attempt of a task.
type attempt struct {
	subtask, n int
	epoch      int64
}

// stage is what was said of a task last.
type stage int

const (
	stageNone stage = iota
	stageRuns
	stageCrashed // it ran then
	stageAdopted
	stageFailed
	stageFinished
)

// fate is what the crash meant to a task.
type fate int

const (
	fateLater    fate = iota // it had not started
	fateFinished             // it had finished
	fateAdopted              // all that ran kept running
	fateAgain                // some of what ran was started again
)

// news is a line of the demo.
type news struct {
	kind, text string
	color      color
}

func newTracked() *tracked {
	return &tracked{attempts: make(map[attempt]string), recorded: make(map[int]int64), atCrash: make(map[int]attempt)}
}

// runs reports whether it was said that the task runs.
func (k *tracked) runs() bool { return k.said == stageRuns }

// attemptOf returns the attempt of a subtask that has had one.
func attemptOf(sub job.SubtaskSnapshot) attempt {
	return attempt{subtask: sub.Index, n: sub.Attempt, epoch: sub.Epoch}
}

// look takes in how the task is in an epoch, and returns what is new, nil for nothing.
func (k *tracked) look(t job.TaskSnapshot, epoch int64, now time.Time) *news {
	for _, sub := range t.Subtasks {
		if sub.Worker != "" {
			k.attempts[attemptOf(sub)] = sub.Worker
		}
		if sub.Status == job.SubtaskFinished && k.recorded[sub.Index] == 0 {
			k.recorded[sub.Index] = epoch
		}
	}
	running, finished := count(t, job.SubtaskRunning), count(t, job.SubtaskFinished)
	if running > 0 && k.since.IsZero() {
		k.since = now
	}
	settled := running > 0 && (running+finished == len(t.Subtasks) || now.Sub(k.since) >= settle)
	switch {
	case finished == len(t.Subtasks) && k.said < stageFinished:
		k.said = stageFinished
		return &news{kind: "task", text: k.ending(epoch)}
	case count(t, job.SubtaskFailed) > 0 && k.said < stageFailed:
		k.said = stageFailed
		return &news{kind: "task", text: "failed"}
	case settled && k.said == stageCrashed:
		k.said = stageAdopted
		return k.takenOver(t)
	case settled && k.said == stageNone:
		k.said = stageRuns
		return &news{kind: "task", text: fmt.Sprintf("runs: %s", places(t))}
	}
	return nil
}

// ending says in which epochs the task was started and recorded.
func (k *tracked) ending(epoch int64) string {
	for a := range k.attempts {
		if a.epoch != epoch {
			return fmt.Sprintf("finished; started in epoch %d, recorded in epoch %d", a.epoch, epoch)
		}
	}
	return fmt.Sprintf("finished in epoch %d", epoch)
}

// atTheCrash notes what the crash finds.
func (k *tracked) atTheCrash(t job.TaskSnapshot) {
	k.done = count(t, job.SubtaskFinished) == len(t.Subtasks)
	for _, sub := range t.Subtasks {
		if sub.Status == job.SubtaskRunning {
			k.atCrash[sub.Index] = attemptOf(sub)
		}
	}
	if len(k.atCrash) > 0 {
		k.said, k.since = stageCrashed, time.Time{}
	}
}

// takenOver says what became of the attempts that ran at the crash.
func (k *tracked) takenOver(t job.TaskSnapshot) *news {
	if k.fate(t) == fateAgain {
		return &news{kind: "task", color: red, text: "was started again: " + places(t)}
	}
	return &news{kind: "adopt", color: green, text: "still runs, not restarted: " + places(t)}
}

// fate returns what the crash meant.
func (k *tracked) fate(t job.TaskSnapshot) fate {
	switch {
	case k.done:
		return fateFinished
	case len(k.atCrash) == 0:
		return fateLater
	}
	for _, sub := range t.Subtasks {
		before, ran := k.atCrash[sub.Index]
		if ran && sub.Attempt > 0 && attemptOf(sub) != before {
			return fateAgain
		}
	}
	return fateAdopted
}

// row returns the task's row of the table at the end.
func (k *tracked) row(t job.TaskSnapshot) []string {
	started := make(map[int64]bool)
	workers := make(map[string]bool)
	for a, worker := range k.attempts {
		started[a.epoch], workers[worker] = true, true
	}
	recorded := make(map[int64]bool)
	for _, epoch := range k.recorded {
		recorded[epoch] = true
	}
	return []string{
		t.ID, strings.Join(slices.Sorted(maps.Keys(workers)), ", "), epochs(started), epochs(recorded),
		fmt.Sprintf("%d for %s", len(k.attempts), plural(len(t.Subtasks), "subtask")),
	}
}

// epochs names epochs.
func epochs(of map[int64]bool) string {
	if len(of) == 0 {
		return "-"
	}
	var names []string
	for _, e := range slices.Sorted(maps.Keys(of)) {
		names = append(names, strconv.FormatInt(e, 10))
	}
	return "epoch " + strings.Join(names, ", ")
}

// places says how many subtasks run where.
func places(t job.TaskSnapshot) string {
	on := make(map[string]int)
	for _, sub := range t.Subtasks {
		if sub.Status == job.SubtaskRunning {
			on[cmp.Or(sub.Worker, "?")]++
		}
	}
	var parts []string
	for i, worker := range slices.Sorted(maps.Keys(on)) {
		n := strconv.Itoa(on[worker])
		if i == 0 {
			n = plural(on[worker], "subtask")
		}
		parts = append(parts, n+" on "+worker)
	}
	return strings.Join(parts, ", ")
}
