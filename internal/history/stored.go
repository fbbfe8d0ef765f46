package history

// stored is what the backend holds at one moment, as the commits so far made it.
type stored struct {
	jobs map[string]*kept
}

// kept is what is stored of one job.
type kept struct {
	has map[Thing]map[string]bool
	// succeeded are the subtasks whose success was ever recorded.
	succeeded map[string]bool
	// acked is the content that clients were told is accepted, "" before.
	acked string
	// result is the content of the recorded result.
	result string
	// cleaned says that what the job left elsewhere was removed since its result.
	cleaned bool
	// forgotten says that its result was retained and then given up: the ID is free.
	forgotten bool
}

func newStored() *stored { return &stored{jobs: make(map[string]*kept)} }

func (s *stored) job(id string) *kept {
	j := s.jobs[id]
	if j == nil {
		j = &kept{has: make(map[Thing]map[string]bool), succeeded: make(map[string]bool)}
		s.jobs[id] = j
	}
	return j
}

// holds reports whether anything of the kind is stored.
func (j *kept) holds(t Thing) bool { return len(j.has[t]) > 0 }

// ended reports whether a result is stored.
func (j *kept) ended() bool { return j.holds(Dirty) || j.holds(Clean) }

// follow lets the event take effect.
func (s *stored) follow(e Event) {
	switch e.Kind {
	case Committed, Damaged:
		for _, w := range e.Writes {
			if w.Thing != Other {
				s.job(w.Job).apply(w)
			}
		}
		for _, w := range e.Writes {
			if w.Thing != Other {
				s.job(w.Job).settle(w)
			}
		}
	case Acked:
		// A forgotten result may be told until its leader has heard that it is gone.
		if j := s.job(e.Job); j.holds(Graph) || j.ended() {
			j.acked = e.Content
		}
	case Cleaned:
		if j := s.job(e.Job); j.holds(Dirty) {
			j.cleaned = true
		}
	default:
	}
}

func (j *kept) apply(w Write) {
	if w.Gone {
		delete(j.has[w.Thing], w.Name)
		return
	}
	if j.has[w.Thing] == nil {
		j.has[w.Thing] = make(map[string]bool)
	}
	j.has[w.Thing][w.Name] = true
	switch w.Thing {
	case Graph:
		j.forgotten = false
	case Dirty, Clean:
		j.result, j.forgotten = w.Content, false
	case Progress:
		for _, subtask := range w.Subtasks {
			j.succeeded[subtask] = true
		}
	default:
	}
}

// settle notes, when all of a transaction was applied, what it means for the job.
func (j *kept) settle(w Write) {
	if w.Thing == Clean && w.Gone && !j.ended() {
		// A new job may come under this ID.
		has := j.has
		*j = kept{has: has, succeeded: make(map[string]bool), forgotten: true}
	}
}
