package history

import "fmt"

// Kind says what happened.
type Kind int

// The kinds of events, with the fields of Event that they use besides Epoch.
const (
	// Led: By began a term.
	Led Kind = iota + 1
	// Committed: the backend accepted Writes, all at once. Epoch is that of the
	// guard, 0 for a write without one.
	Committed
	// Announced: the reader By was told of the leader with this epoch.
	Announced
	// Recovered: the term knows Jobs, whether they run, are in quarantine, or have
	// a result.
	Recovered
	// Acked: a client was told that Job with Content is accepted.
	Acked
	// Ran: a worker began Job, or Subtask of it if that is not empty.
	Ran
	// Cleaned: all that Job left outside the stores is gone.
	Cleaned
	// Seen: a client was told that Job has ended with Content.
	Seen
	// Damaged: somebody who is no leader made the Writes.
	Damaged
)

// String returns the kind as it appears in messages.
func (k Kind) String() string {
	names := [...]string{"?", "led", "committed", "announced", "recovered", "acked", "ran", "cleaned", "seen", "damaged"}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Thing is what a write is about.
type Thing int

// The things that the cluster stores of a job, and Other for what is none's.
const (
	Other Thing = iota
	Graph
	Progress
	Output
	Quarantine
	Dirty
	Clean
)

// String returns the thing as it appears in messages.
func (t Thing) String() string {
	return [...]string{"other", "graph", "progress", "output", "quarantine record", "dirty result", "clean result"}[t]
}

// Write is one change of a transaction.
type Write struct {
	Thing Thing
	Job   string
	// Name tells things of one kind and job apart, as outputs; mostly empty.
	Name string
	// Gone says that the thing was removed, if it was there; otherwise it was made
	// or replaced.
	Gone bool
	// Content is what was stored, or a digest of it.
	Content string
	// Subtasks of a progress are those whose success it records.
	Subtasks []string
}

// String returns the write on one line.
func (w Write) String() string {
	verb := "put"
	if w.Gone {
		verb = "remove"
	}
	return fmt.Sprintf("%s %s of %q", verb, w.Thing, w.Job)
}

// Event is one thing that happened. Kind says which fields count.
type Event struct {
	Kind    Kind
	Epoch   int64
	By      string
	Job     string
	Subtask string
	Content string
	Jobs    []string
	Writes  []Write
}

// String returns the event on one line.
func (e Event) String() string {
	return fmt.Sprintf("%s epoch %d by %q job %q %s %s %v %v", e.Kind, e.Epoch, e.By, e.Job, e.Subtask, e.Content, e.Jobs, e.Writes)
}

// Violation is a broken invariant.
type Violation struct {
	// Invariant is its name, for example "I7".
	Invariant string
	// At is the index of the event that breaks it, the number of events for one
	// that is broken at the end.
	At int
	// Text says what is wrong.
	Text string
}

// String returns the violation on one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s at event %d: %s", v.Invariant, v.At, v.Text)
}
