package history

import "slices"

// AcceptedIsKept checks I6: what was acknowledged was stored before, and has a graph
// or a result ever after, until its result was retained and forgotten; and every
// later leader knows it.
func AcceptedIsKept(events []Event) []Violation {
	v := violations{invariant: "I6"}
	s := newStored()
	newest := int64(0)
	for i, e := range events {
		s.follow(e)
		switch e.Kind {
		case Led:
			newest = max(newest, e.Epoch)
		case Acked:
			if j := s.job(e.Job); !j.holds(Graph) && !j.ended() && !j.forgotten {
				v.addf(i, "job %q is acknowledged and not stored", e.Job)
			}
		case Committed:
			for _, w := range e.Writes {
				if j := s.job(w.Job); w.Thing != Other && w.Gone && !j.holds(Graph) && !j.ended() && j.acked != "" {
					v.addf(i, "%s in epoch %d, and nothing of the job is left", w, e.Epoch)
				}
			}
		case Recovered:
			for id, j := range s.jobs {
				// A term that is over may have read before its successor accepted.
				if e.Epoch == newest && j.acked != "" && (j.holds(Graph) || j.ended()) && !slices.Contains(e.Jobs, id) {
					v.addf(i, "epoch %d does not know job %q, which was acknowledged", e.Epoch, id)
				}
			}
		default:
		}
	}
	return v.found
}

// OneResult checks I7: a job gets one result, which says the same wherever it is
// stored or seen, for as long as it is retained.
func OneResult(events []Event) []Violation {
	r := results{
		violations: violations{invariant: "I7"}, s: newStored(),
		seen: make(map[string]string), damaged: make(map[string]bool),
	}
	for i, e := range events {
		switch e.Kind {
		case Damaged:
			for _, w := range e.Writes {
				r.damaged[w.Job] = r.damaged[w.Job] || w.Thing == Dirty || w.Thing == Clean
			}
		case Committed:
			for _, w := range e.Writes {
				r.write(i, e, w)
			}
		case Seen:
			r.see(i, e)
		default:
		}
		r.s.follow(e)
	}
	return r.found
}

// results is what OneResult goes through a history with.
type results struct {
	violations
	s       *stored
	seen    map[string]string
	damaged map[string]bool // jobs whose results an operator may replace
}

// write looks at one write of the event, which has not taken effect.
func (r *results) write(i int, e Event, w Write) {
	j := r.s.job(w.Job)
	switch {
	case w.Thing == Clean && w.Gone && !recreated(e.Writes, w.Job):
		delete(r.seen, w.Job)
	case w.Gone || w.Thing != Dirty && w.Thing != Clean:
	case w.Thing == Dirty && j.ended() && !r.damaged[w.Job]:
		r.addf(i, "job %q gets a second result, %q after %q", w.Job, w.Content, j.result)
	case w.Thing == Clean && !j.holds(Dirty):
		r.addf(i, "job %q gets a clean result without a dirty one", w.Job)
	case w.Thing == Clean && w.Content != j.result && !r.damaged[w.Job]:
		r.addf(i, "the result of job %q is %q when dirty and %q when clean", w.Job, j.result, w.Content)
	}
}

// see looks at what a client was told.
func (r *results) see(i int, e Event) {
	j := r.s.job(e.Job)
	if r.damaged[e.Job] || j.forgotten && !j.holds(Graph) && !j.ended() {
		return // a forgotten result may be told until its leader has heard that it is gone
	}
	if before, ok := r.seen[e.Job]; ok && before != e.Content {
		r.addf(i, "the result of job %q is seen as %q after %q", e.Job, e.Content, before)
	}
	r.seen[e.Job] = e.Content
	switch {
	case j.ended() && j.result != e.Content:
		r.addf(i, "the result of job %q is seen as %q and stored as %q", e.Job, e.Content, j.result)
	case !j.ended():
		r.addf(i, "a result of job %q is seen before it was recorded", e.Job)
	}
}

// recreated reports whether the writes store a result of the job, too.
func recreated(writes []Write, id string) bool {
	return slices.ContainsFunc(writes, func(w Write) bool {
		return w.Job == id && !w.Gone && (w.Thing == Dirty || w.Thing == Clean)
	})
}

// NoRerun checks I8: a job runs only once it is stored, and not when its result is
// recorded; a subtask does not run when its success is.
func NoRerun(events []Event) []Violation {
	v := violations{invariant: "I8"}
	s := newStored()
	for i, e := range events {
		s.follow(e)
		if e.Kind != Ran {
			continue
		}
		switch j := s.job(e.Job); {
		case j.ended():
			v.addf(i, "job %q runs in epoch %d though its result is recorded", e.Job, e.Epoch)
		case !j.holds(Graph):
			v.addf(i, "job %q runs in epoch %d and is not stored", e.Job, e.Epoch)
		case e.Subtask != "" && j.succeeded[e.Subtask]:
			v.addf(i, "subtask %s of job %q runs in epoch %d though its success is recorded", e.Subtask, e.Job, e.Epoch)
		}
	}
	return v.found
}

// CleanIsLast checks the order of I9: a graph goes only when there is a result, and
// a result becomes clean only when all else of the job is gone.
func CleanIsLast(events []Event) []Violation {
	v := violations{invariant: "I9"}
	s := newStored()
	external := slices.ContainsFunc(events, func(e Event) bool { return e.Kind == Cleaned })
	for i, e := range events {
		s.follow(e)
		if e.Kind != Committed {
			continue
		}
		for _, w := range e.Writes {
			j := s.job(w.Job)
			switch {
			case w.Thing == Graph && w.Gone && !j.ended() && !j.forgotten:
				v.addf(i, "the graph of job %q goes and there is no result", w.Job)
			case w.Thing != Clean || w.Gone:
			case external && !j.cleaned:
				v.addf(i, "job %q becomes clean before its externals are gone", w.Job)
			default:
				if left := j.leftovers(); len(left) > 0 {
					v.addf(i, "job %q becomes clean and leaves %v", w.Job, left)
				}
			}
		}
	}
	return v.found
}

// DirtyEndsClean checks I9 at the end of a history in which all jobs had the time to
// end: no result is dirty, and of a job with a result nothing else is left. What an
// accepted job without a result is, the history cannot know.
func DirtyEndsClean(events []Event) []Violation {
	v := violations{invariant: "I9"}
	s := newStored()
	for _, e := range events {
		s.follow(e)
	}
	for id, j := range s.jobs {
		if j.holds(Dirty) {
			v.addf(len(events), "the result of job %q is dirty at the end", id)
		}
		if left := j.leftovers(); len(left) > 0 && (j.ended() || j.forgotten) && !j.holds(Graph) {
			v.addf(len(events), "%v of job %q are left at the end", left, id)
		}
	}
	return v.found
}

// leftovers returns what is stored of a job besides its clean result.
func (j *kept) leftovers() []Thing {
	var left []Thing
	for _, t := range []Thing{Graph, Progress, Output, Quarantine, Dirty} {
		if j.holds(t) {
			left = append(left, t)
		}
	}
	return left
}
