package jobstore

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/internal/envelope"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// Progress is what is recorded of a running job: enough for a later leader to
// resume it without running a finished subtask again. Subtasks are numbered through
// the whole job, in the order of the graph: those of the first task first. The zero
// Progress records nothing. It is not safe for use by several goroutines.
type Progress struct {
	// StartedAt is when the job's first attempt was deployed, zero before.
	StartedAt time.Time
	// ResultBytes is what the results that are stored count against
	// job.MaxResults.
	ResultBytes int

	finished set
	// outputs are the finished subtasks that have an Output.
	outputs set
	// epochs has every subtask of which something is recorded; attempts and used
	// those whose number is not 1.
	epochs         groups[leader.Epoch]
	attempts, used groups[int]
	texts          map[int]string
}

// Recorded is what is recorded of one subtask: the newest attempt whose end is.
type Recorded struct {
	// Finished says that the attempt succeeded. The subtask never runs again.
	Finished bool
	// Epoch is the term in which the attempt was deployed, Attempt its number, from
	// 1. A record of version 1 does not say the epoch of a failed one: it is zero.
	Epoch   leader.Epoch
	Attempt int
	// Used is how many attempts of an unfinished subtask have failed.
	Used int
	// Output says that the subtask has an Output in the store.
	Output bool
	// Text is what a record of version 1 kept of a final subtask's output. It is
	// not written again: store it as an Output.
	Text string
}

// Finish records the success of a subtask. With output it has an Output.
func (p *Progress) Finish(n int, epoch leader.Epoch, attempt int, output bool) {
	p.finished.add(n)
	p.outputs.remove(n)
	if output {
		p.outputs.add(n)
	}
	delete(p.texts, n)
	p.epochs.put(n, epoch)
	p.attempts.putUnless(n, attempt, 1)
	p.used.remove(n)
}

// Fail records that an attempt of a subtask failed, the used-th of it.
func (p *Progress) Fail(n int, epoch leader.Epoch, attempt, used int) {
	p.epochs.put(n, epoch)
	p.attempts.putUnless(n, attempt, 1)
	p.used.putUnless(n, used, 1)
}

// Of returns what is recorded of a subtask, and whether anything is.
func (p *Progress) Of(n int) (Recorded, bool) {
	epoch, ok := p.epochs.of(n)
	if !ok {
		return Recorded{}, false
	}
	r := Recorded{Finished: p.finished.has(n), Epoch: epoch, Attempt: 1, Output: p.outputs.has(n), Text: p.texts[n]}
	if attempt, ok := p.attempts.of(n); ok {
		r.Attempt = attempt
	}
	if r.Finished {
		return r, true
	}
	r.Used = 1
	if used, ok := p.used.of(n); ok {
		r.Used = used
	}
	return r, true
}

// All yields every subtask of which something is recorded, in order.
func (p *Progress) All() iter.Seq2[int, Recorded] {
	return func(yield func(int, Recorded) bool) {
		for n := range p.epochs.all().all() {
			r, _ := p.Of(n)
			if !yield(n, r) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with p. It costs some KiB for a job of
// 10,000 subtasks.
func (p *Progress) Clone() Progress {
	c := *p
	c.finished, c.outputs = p.finished.clone(), p.outputs.clone()
	c.epochs, c.attempts, c.used = p.epochs.clone(), p.attempts.clone(), p.used.clone()
	c.texts = nil // they are not written
	return c
}

// groups holds a value for each subtask, where few values serve many subtasks.
type groups[V cmp.Ordered] []grouped[V]

type grouped[V cmp.Ordered] struct {
	value   V
	members set
}

func (g groups[V]) of(n int) (value V, ok bool) {
	for i := range g {
		if g[i].members.has(n) {
			return g[i].value, true
		}
	}
	return value, false
}

func (g *groups[V]) remove(n int) {
	for i := range *g {
		if members := &(*g)[i].members; members.has(n) {
			members.remove(n)
			if members.IsZero() {
				*g = slices.Delete(*g, i, i+1)
			}
			return
		}
	}
}

func (g *groups[V]) put(n int, value V) {
	g.remove(n)
	for i := range *g {
		if (*g)[i].value == value {
			(*g)[i].members.add(n)
			return
		}
	}
	*g = append(*g, grouped[V]{value: value})
	(*g)[len(*g)-1].members.add(n)
}

// putUnless puts the value unless it is the one that goes without saying.
func (g *groups[V]) putUnless(n int, value, usual V) {
	if value == usual {
		g.remove(n)
		return
	}
	g.put(n, value)
}

// all returns the subtasks that have a value.
func (g groups[V]) all() set {
	var all set
	for _, one := range g {
		all.include(one.members)
	}
	return all
}

func (g groups[V]) clone() groups[V] {
	c := slices.Clone(g)
	for i := range c {
		c[i].members = c[i].members.clone()
	}
	return c
}

// progressFormat is the version of progressRecord. The next one is read, too, and
// version 1. There was no version 2: a reader of version 1 would have read it, and
// found nothing finished in it.
const progressFormat = 3

// progressRecord is the stored form of a Progress. A job is stored again at each
// step, so the keys are short and subtasks are sets of numbers: 10,000 of them take
// two KiB at most for each value that they differ in.
type progressRecord struct {
	Version   int       `json:"v"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Finished  set       `json:"f,omitzero"`
	Outputs   set       `json:"o,omitzero"`
	// Epochs has the subtasks by the epoch of their newest recorded attempt,
	// Attempts those by its number for which that is not 1, Used the unfinished ones
	// by the number of failed attempts if that is not 1.
	Epochs      map[leader.Epoch]set `json:"e,omitempty"`
	Attempts    map[int]set          `json:"a,omitempty"`
	Used        map[int]set          `json:"u,omitempty"`
	ResultBytes int                  `json:"r,omitempty"`
}

func encodeProgress(p Progress) ([]byte, error) {
	r := progressRecord{
		Version: progressFormat, Finished: p.finished, Outputs: p.outputs,
		Epochs: byValue(p.epochs), Attempts: byValue(p.attempts), Used: byValue(p.used), ResultBytes: p.ResultBytes,
	}
	if !p.StartedAt.IsZero() {
		r.StartedAt = p.StartedAt.UTC()
	}
	return seal(r)
}

func byValue[V cmp.Ordered](g groups[V]) map[V]set {
	m := make(map[V]set, len(g))
	for _, one := range g {
		m[one.value] = one.members
	}
	return m
}

// decodeProgress reads the progress of a job with the graph, in any version.
func decodeProgress(data []byte, graph job.Graph) (Progress, error) {
	var head struct {
		Version int `json:"v"`
	}
	if err := envelope.Open("progress", progressFormat, data, &head); err != nil {
		return Progress{}, err
	}
	if head.Version == 1 {
		return decodeProgressV1(data, graph)
	}
	var r progressRecord
	if err := envelope.Open("progress", progressFormat, data, &r); err != nil {
		return Progress{}, err
	}
	p := Progress{StartedAt: r.StartedAt, ResultBytes: r.ResultBytes, finished: r.Finished, outputs: r.Outputs}
	err := errors.Join(p.epochs.restore(r.Epochs), p.attempts.restore(r.Attempts), p.used.restore(r.Used), p.check(graph))
	if err != nil {
		return Progress{}, fmt.Errorf("progress: %w: %w", ErrDamaged, err)
	}
	return p, nil
}

// restore takes up what byValue returned.
func (g *groups[V]) restore(stored map[V]set) error {
	var all set
	for _, value := range slices.Sorted(maps.Keys(stored)) {
		members := stored[value]
		if members.IsZero() || all.overlaps(members) {
			return fmt.Errorf("value %v has no subtasks, or one that has another value, too", value)
		}
		all.include(members)
		*g = append(*g, grouped[V]{value: value, members: members})
	}
	return nil
}

// check returns what cannot be true of a job with the graph.
func (p *Progress) check(graph job.Graph) error {
	known := p.epochs.all()
	subtasks := 0
	for _, t := range graph.Tasks {
		subtasks += t.Subtasks()
	}
	switch {
	case known.end() > subtasks:
		return fmt.Errorf("it speaks of subtask %d of %d", known.end()-1, subtasks)
	case !p.finished.within(known) || !p.attempts.all().within(known):
		return errors.New("it does not say the epoch of each attempt")
	case !p.outputs.within(p.finished), !p.used.all().within(known), p.used.all().overlaps(p.finished):
		return errors.New("it mixes what has finished with what has not")
	}
	for _, g := range [...]groups[int]{p.attempts, p.used} {
		for _, one := range g {
			if one.value < 1 {
				return fmt.Errorf("it counts %d attempts", one.value)
			}
		}
	}
	return nil
}
