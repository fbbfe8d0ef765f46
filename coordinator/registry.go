package coordinator

import (
	"cmp"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// entryState is where a job is in its life; doc.go has the diagram.
type entryState int

const (
	accepting   entryState = iota + 1 // the graph is being stored; nobody but submitters sees it
	running                           // a runner has it, or is about to
	ending                            // it has ended, the result is being recorded
	dirty                             // the result is recorded, cleaners run
	clean                             // all is done
	quarantined                       // kept as it is, not run in this term
)

// mayBecome says which changes of state exist.
func (s entryState) mayBecome(next entryState) bool {
	switch s {
	case accepting:
		return next == running
	case running:
		return next == ending || next == quarantined
	case quarantined: // an operator retries or drops it
		return next == running || next == ending || next == dirty
	case ending:
		return next == dirty
	case dirty:
		return next == clean
	default:
		return false
	}
}

// entry is one job as the registry knows it.
type entry struct {
	id     job.ID
	digest string // of the graph, empty when it could not be read
	state  entryState
	// snap is the job as it stands when no runner has a newer snapshot.
	snap   job.Snapshot
	runner JobRunner // nil until it was made, and after the job ended
	// canceled remembers a Cancel that came before the runner.
	canceled bool
	// settled is closed when a job leaves accepting, one way or the other.
	settled chan struct{}
	// resources are what a dirty job still leaves behind.
	resources []gateway.Resource
	// aside is about the job's quarantine, nil when it was never in one.
	aside *aside
}

// view is a copy of what is needed to show an entry outside the owning goroutine.
type view struct {
	snap   job.Snapshot
	runner JobRunner
	state  entryState
}

func (e *entry) view() view { return view{snap: e.snap, runner: e.runner, state: e.state} }

// snapshot asks the runner, if there is one. A terminal status is shown only when
// it is recorded: until then the next leader may still come to another end.
func (v view) snapshot() job.Snapshot {
	if v.runner == nil {
		return v.snap
	}
	return provisional(v.runner.Snapshot())
}

// provisional returns the snapshot of a job whose end is not recorded.
func provisional(s job.Snapshot) job.Snapshot {
	switch s.Status {
	case job.StatusFinished:
		s.Status = job.StatusRunning
	case job.StatusFailed:
		s.Status = job.StatusFailing
	case job.StatusCanceled:
		s.Status = job.StatusCancelling
	default:
		return s
	}
	s.FinishedAt = time.Time{}
	return s
}

// registry holds all jobs that the dispatcher knows. It belongs to one
// goroutine, and neither blocks nor does I/O.
type registry struct {
	jobs map[job.ID]*entry
	// retained are the clean jobs, by the time of their end.
	retained []*entry
	// held are IDs that nobody may accept until the channel is closed.
	held map[job.ID]chan struct{}
}

// newRegistry knows what was recovered.
func newRegistry(r Recovery, epoch leader.Epoch) *registry {
	reg := &registry{
		jobs: make(map[job.ID]*entry, len(r.Jobs)+len(r.Dirty)+len(r.Clean)+len(r.Quarantined)),
		held: make(map[job.ID]chan struct{}),
	}
	for _, q := range r.Quarantined {
		e := &entry{id: q.ID, state: quarantined, aside: recorded(r.Records, q.ID)}
		e.setAside(job.Snapshot{ID: q.ID, Epoch: int64(epoch)}, q.Reason, epoch)
		reg.jobs[q.ID] = e
	}
	for _, j := range r.Jobs {
		reg.jobs[j.ID] = &entry{id: j.ID, digest: j.Digest, state: running, snap: initial(j, epoch), aside: recorded(r.Records, j.ID)}
	}
	for _, res := range r.Clean {
		e := &entry{id: res.Snapshot.ID, digest: res.Digest, state: clean, snap: res.Snapshot, aside: recorded(r.Records, res.Snapshot.ID)}
		reg.jobs[e.id] = e
		reg.retained = append(reg.retained, e)
	}
	slices.SortFunc(reg.retained, byEnd)
	for _, res := range r.Dirty {
		reg.jobs[res.Snapshot.ID] = &entry{id: res.Snapshot.ID, digest: res.Digest, state: dirty, snap: res.Snapshot}
	}
	return reg
}

// accept enters a job whose graph is about to be stored.
func (r *registry) accept(j jobstore.Job, epoch leader.Epoch) *entry {
	e := &entry{id: j.ID, digest: j.Digest, state: accepting, snap: initial(j, epoch), settled: make(chan struct{})}
	r.jobs[j.ID] = e
	return e
}

// settle ends accepting: with the job as it is stored, or without one.
func (r *registry) settle(e *entry, j jobstore.Job, epoch leader.Epoch, stored bool) {
	if stored {
		e.digest = j.Digest
		e.become(running, initial(j, epoch))
	} else {
		delete(r.jobs, e.id)
	}
	close(e.settled)
}

// become changes the state, and with it what is shown. A change that the diagram
// has not is not made: late news of an earlier state changes nothing.
func (e *entry) become(next entryState, snap job.Snapshot) {
	if !e.state.mayBecome(next) {
		return
	}
	e.state, e.snap = next, snap
	if next != running {
		e.runner = nil
	}
}

// views returns all jobs that were accepted, by submission time.
func (r *registry) views() []view {
	all := make([]view, 0, len(r.jobs))
	for _, e := range r.jobs {
		if e.state != accepting {
			all = append(all, e.view())
		}
	}
	slices.SortFunc(all, func(a, b view) int {
		return cmp.Or(a.snap.SubmittedAt.Compare(b.snap.SubmittedAt), cmp.Compare(a.snap.ID, b.snap.ID))
	})
	return all
}

// initial is the snapshot of an accepted job before its runner has spoken.
func initial(j jobstore.Job, epoch leader.Epoch) job.Snapshot {
	snap := job.Snapshot{
		ID: j.ID, Name: j.Graph.Name, Status: job.StatusInitializing,
		SubmittedAt: j.SubmittedAt, Epoch: int64(epoch),
		Tasks: make([]job.TaskSnapshot, len(j.Graph.Tasks)),
	}
	for i, t := range j.Graph.Tasks {
		subtasks := make([]job.SubtaskSnapshot, t.Subtasks())
		for n := range subtasks {
			subtasks[n] = job.SubtaskSnapshot{Index: n, Status: job.SubtaskCreated}
		}
		snap.Tasks[i] = job.TaskSnapshot{ID: t.ID, Subtasks: subtasks}
	}
	return snap
}
