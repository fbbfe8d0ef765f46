package main

import (
	"slices"
	"time"

	"github.com/coordd/coordd/job"
)

// clockStep is by how much the servers' clock, in whole milliseconds, may be behind
// the commands' on the same machine.
const clockStep = time.Millisecond

// told holds the log to what clients were told.
func (o *oracle) told(entries []entry) {
	for _, e := range entries {
		l := o.jobs[e.id]
		switch {
		case l == nil && e.acked:
			o.violated("I6", "job %s was acknowledged and never stored", e.id)
		case l == nil:
		case !slices.Contains(e.mayEnd(), l.result.status):
			o.violated("I7", "job %s of kind %s ended as %q, want one of %q", e.id, e.kind, l.result.status, e.mayEnd())
		case e.seen != nil && !e.seen.same(l.result):
			o.violated("I7", "a client saw job %s end as %+v, its result is %+v", e.id, *e.seen, l.result)
		}
	}
}

// ran holds the log to what commands wrote down, in the order of their starts.
func (o *oracle) ran(runs []started, pauses []paused) {
	attempts := make(map[started]bool)
	built := make(map[job.ID]started) // the first start of a second stage
	for _, r := range runs {
		l := o.jobs[r.job]
		if l == nil || l.accepted.IsZero() || r.at.Before(l.accepted) {
			o.violated("I6", "job %s ran before it was accepted: %v", r.job, r)
			continue
		}
		name := r
		name.worker, name.at = 0, time.Time{}
		if attempts[name] {
			o.violated("I8", "an attempt started twice: %v", r)
		}
		attempts[name] = true
		if !l.ended.IsZero() && r.at.After(l.ended.Add(clockStep)) {
			if r.epoch >= l.result.epoch && !woken(r, pauses) {
				o.violated("I8", "job %s started again after term %#x recorded its result at %v: %v", r.job, l.result.epoch, l.ended, r)
			} else {
				o.late = append(o.late, r)
			}
		}
		switch b, ok := built[r.job]; {
		case r.task == second && (!ok || r.epoch < b.epoch):
			built[r.job] = r
		case r.task == first && ok && r.epoch >= b.epoch && !woken(r, pauses):
			o.violated("I8", "%v started after %v was built upon it", r, b)
		}
	}
	o.complete(runs)
}

// subtask names one of a job's.
type subtask struct {
	job  job.ID
	task string
	n    int
}

// complete looks for the start of each subtask of a job that is FINISHED.
func (o *oracle) complete(runs []started) {
	ran := make(map[subtask]bool)
	for _, r := range runs {
		ran[subtask{r.job, r.task, r.subtask}] = true
	}
	for id, l := range o.jobs {
		if l.result.status != job.StatusFinished {
			continue
		}
		for _, s := range []subtask{{id, first, 0}, {id, first, 1}, {id, second, 0}} {
			if !ran[s] {
				o.violated("I7", "job %s is FINISHED and its %s/%d never started", id, s.task, s.n)
			}
		}
	}
}

// results counts how jobs ended.
func (o *oracle) results() map[string]int {
	counts := make(map[string]int)
	for _, l := range o.jobs {
		counts[string(l.result.status)]++
	}
	return counts
}

// excuse is how long after a pause a start may come late: the agent wakes up with
// much to do before it finds that its term is over, or its worker that it is lost.
const excuse = time.Second

func (p paused) covers(at time.Time) bool { return at.After(p.from) && at.Before(p.to.Add(excuse)) }

// woken reports whether who started it had just been paused: then it was told to before
// its pause, and another may have taken its place, in the same term, too.
func woken(r started, pauses []paused) bool {
	return slices.ContainsFunc(pauses, func(p paused) bool { return p.pid == r.worker && p.covers(r.at) })
}

// unexplained returns the late starts where neither who led nor who started them had just
// been paused. On a machine with time to spare there are none: a lease ends before its
// session.
func (o *oracle) unexplained(pauses []paused) []started {
	return slices.DeleteFunc(slices.Clone(o.late), func(r started) bool {
		return woken(r, pauses) || slices.ContainsFunc(pauses, func(p paused) bool { return p.id == o.ids[r.epoch] && p.covers(r.at) })
	})
}
