package coordinator

import (
	"errors"
	"fmt"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

// The defaults of Limits.
const (
	DefaultMaxJobs      = 50_000
	DefaultMaxAccepting = 1_000
	DefaultMaxGraphSize = 10 << 20
)

// Limits bound what a leader takes on, so that neither its memory nor a queue grows
// without end. What exceeds them is refused before anything is written; what was
// accepted by an earlier leader is never refused.
type Limits struct {
	// Jobs is how many jobs may be known that are not clean: that run, end, are
	// cleaned up after, or are in quarantine. Submissions beyond it fail with
	// gateway.ErrBusy. Zero means DefaultMaxJobs.
	Jobs int
	// Accepting is how many submissions may be on their way to the store at once.
	// Those beyond it fail with gateway.ErrBusy. Zero means DefaultMaxAccepting.
	Accepting int
	// GraphSize bounds a graph, as JSON, in bytes. Larger ones fail with
	// gateway.ErrTooLarge. Zero means DefaultMaxGraphSize.
	GraphSize int
	// Tasks and Subtasks bound a graph. Larger ones fail with gateway.ErrTooLarge.
	// Zero means job.MaxTasks and job.MaxSubtasks, which are also the most.
	Tasks, Subtasks int
}

func (l Limits) validate() error {
	if min(l.Jobs, l.Accepting, l.GraphSize, l.Tasks, l.Subtasks) < 0 {
		return errors.New("coordinator: DispatcherConfig.Limits has a negative limit")
	}
	return nil
}

func (l Limits) withDefaults() Limits {
	for field, value := range map[*int]int{
		&l.Jobs: DefaultMaxJobs, &l.Accepting: DefaultMaxAccepting, &l.GraphSize: DefaultMaxGraphSize,
		&l.Tasks: job.MaxTasks, &l.Subtasks: job.MaxSubtasks,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return l
}

// graph refuses a graph that is too large. size is that of its JSON.
func (l Limits) graph(id job.ID, g job.Graph, size int) error {
	for _, c := range []struct {
		n, limit int
		what     string
	}{
		{len(g.Tasks), l.Tasks, "tasks"},
		{g.Subtasks(), l.Subtasks, "subtasks"},
		{size, l.GraphSize, "bytes of JSON"},
	} {
		if c.n > c.limit {
			return fmt.Errorf("submit job %q: %w: it has %d %s, the limit is %d", id, gateway.ErrTooLarge, c.n, c.what, c.limit)
		}
	}
	return nil
}

// admit says whether one more job may begin to be accepted. accepting is how many
// are.
func (l Limits) admit(r *registry, j jobstore.Job, accepting int) error {
	unclean := len(r.jobs) - len(r.retained)
	switch {
	case accepting >= l.Accepting:
		return fmt.Errorf("submit job %q: %w: %d submissions are being stored", j.ID, gateway.ErrBusy, accepting)
	case unclean >= l.Jobs:
		return fmt.Errorf("submit job %q: %w: %d jobs have not ended or are being cleaned up after, the limit is %d",
			j.ID, gateway.ErrBusy, unclean, l.Jobs)
	}
	return nil
}
