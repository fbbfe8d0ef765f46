package jobmaster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// world drives a core without any I/O: every answer is given by a draw, in any
// order, and the leader may crash between any two of them.
type world struct {
	*rapid.T
	graph job.Graph
	now   time.Time
	epoch leader.Epoch
	core  *core

	record  jobstore.Progress // what is durable
	read    bool              // a read is under way
	write   *jobstore.Progress
	asked   bool // for a slot
	deploy  *deployment
	held    map[gateway.Slot]bool
	granted int
	// running are the attempts at the worker, of all terms; gone those that ended.
	running, gone map[gateway.AttemptID]bool
	deployments   map[gateway.AttemptID]bool
	fair          bool // nothing fails any more
}

func drawGraph(t *rapid.T) job.Graph {
	var g job.Graph
	for i := range rapid.IntRange(1, 5).Draw(t, "tasks") {
		spec := node(fmt.Sprint("t", i), rapid.IntRange(1, 3).Draw(t, "parallelism"))
		for need := range i {
			if rapid.Bool().Draw(t, "needs") {
				spec.Needs = append(spec.Needs, fmt.Sprint("t", need))
			}
		}
		g.Tasks = append(g.Tasks, retry(spec, rapid.IntRange(1, 3).Draw(t, "attempts"), time.Second))
	}
	return g
}

// lead begins a term: with whatever is recorded, and nothing else.
func (w *world) lead() {
	w.epoch++
	j := jobstore.Job{ID: "j", Graph: w.graph}
	cfg := Config{Epoch: w.epoch, Job: j, Recovered: w.epoch > 1}
	c, err := newCore(cfg, newView(j, w.epoch), hclog.NewNullLogger())
	if err != nil {
		w.Fatal(err)
	}
	w.core, w.read, w.write, w.asked, w.deploy = c, false, nil, false, nil
	w.held = map[gateway.Slot]bool{}
	w.step(begun{})
}

func (w *world) step(e event) {
	before := w.core.view.snapshot()
	w.core.step(e, w.now)
	w.checkSubtasks(before, w.core.view.snapshot())
	if w.core.fatal != nil {
		w.Fatalf("the run ended with %v", w.core.fatal)
	}
	w.take(w.core.plan(w.now))
}

// take does what the core wants and checks that it may.
func (w *world) take(a actions) {
	w.read = w.read || a.read
	if a.write != nil {
		if w.write != nil {
			w.Fatal("a second write while one is under way")
		}
		w.write = a.write
	}
	w.asked = w.asked || a.requestSlot
	if a.deploy != nil {
		w.deploy = a.deploy
		w.checkDeploy(a.deploy)
	}
	for _, id := range a.cancel {
		if w.running[id] && !w.core.ended() && w.Bool("cancel at once") {
			w.end(id, gateway.OutcomeCanceled)
		}
	}
	for _, slot := range a.free {
		if !w.held[slot] {
			w.Fatalf("slot %s was freed, which is not held", slot)
		}
		delete(w.held, slot)
	}
}

func (w *world) checkDeploy(d *deployment) {
	id := d.what.Attempt
	if w.deployments[id] && w.gone[id] {
		w.Fatalf("attempt %+v was used before", id)
	}
	w.deployments[id] = true
	done := func(task string) int { return len(w.record.Tasks[task].Finished) }
	spec, _ := w.task(id.Task)
	for _, need := range spec.Needs {
		if n, _ := w.task(need); done(need) != n.Subtasks() {
			w.Fatalf("%s started, but only %d of %d subtasks of %s are recorded", id.Task, done(need), n.Subtasks(), need)
		}
	}
	for _, f := range w.record.Tasks[id.Task].Finished {
		if f.Index == id.Subtask {
			w.Fatalf("%s/%d started again after its success was recorded", id.Task, id.Subtask)
		}
	}
	if used := w.record.Tasks[id.Task].Attempts[id.Subtask]; used >= spec.Retry.Attempts {
		w.Fatalf("%s/%d started after all of its %d attempts were recorded as failed", id.Task, id.Subtask, used)
	}
	for other := range w.running {
		if other.Epoch == id.Epoch && other.Task == id.Task && other.Subtask == id.Subtask {
			w.Fatalf("%+v started while %+v runs", id, other)
		}
	}
}

func (w *world) task(id string) (job.Task, bool) {
	i := slices.IndexFunc(w.graph.Tasks, func(t job.Task) bool { return t.ID == id })
	return w.graph.Tasks[i], true
}

func (w *world) Bool(label string) bool { return w.fair || rapid.Bool().Draw(w.T, label) }

func (w *world) end(id gateway.AttemptID, o gateway.Outcome) {
	delete(w.running, id)
	w.gone[id] = true
	w.step(attemptEnded{gateway.AttemptEnd{Attempt: id, Outcome: o, ExitCode: new(0)}})
}

// moves returns what can happen now.
func (w *world) moves() []func() {
	away := errors.New("away")
	var moves []func()
	add := func(when bool, move func()) {
		if when {
			moves = append(moves, move)
		}
	}
	add(w.read, func() {
		w.read = false
		if w.Bool("read succeeds") {
			w.step(recordRead{progress: w.record})
		} else {
			w.step(recordRead{err: away})
		}
	})
	add(w.write != nil, func() {
		ok := w.Bool("write succeeds")
		if ok || w.Bool("write has effect") {
			w.record = *w.write
		}
		w.write = nil
		if ok {
			w.step(recordWritten{})
		} else {
			w.step(recordWritten{err: away})
		}
	})
	add(w.asked, func() {
		w.asked = false
		if !w.Bool("slot granted") {
			w.step(slotGranted{err: gateway.ErrStopped})
			return
		}
		w.granted++
		slot := gateway.Slot(fmt.Sprint(w.granted))
		w.held[slot] = true
		w.step(slotGranted{slot: slot})
	})
	add(w.deploy != nil, func() {
		d := w.deploy
		id := d.what.Attempt
		w.deploy = nil
		if !w.Bool("deployed") {
			delete(w.deployments, id)
			w.step(deployed{attempt: id, err: gateway.ErrNoSlot})
			return
		}
		w.running[id] = true
		if !w.fair && rapid.Bool().Draw(w.T, "ends before the answer") {
			w.end(id, gateway.OutcomeFinished)
		}
		w.step(deployed{attempt: id})
	})
	for _, id := range slices.SortedFunc(maps.Keys(w.running), compareAttempts) {
		add(true, func() {
			outcome := gateway.OutcomeFinished
			if !w.fair {
				outcome = rapid.SampledFrom([]gateway.Outcome{gateway.OutcomeFinished, gateway.OutcomeFailed, gateway.OutcomeCanceled}).Draw(w.T, "outcome")
			}
			w.end(id, outcome)
		})
	}
	wait := w.core.wake(w.now)
	add(wait < time.Hour, func() {
		w.now = w.now.Add(wait)
		w.step(ticked{})
	})
	return moves
}

func compareAttempts(a, b gateway.AttemptID) int {
	if a == b {
		return 0
	}
	if fmt.Sprint(a) < fmt.Sprint(b) {
		return -1
	}
	return 1
}

// disturb does what nobody asked for.
func (w *world) disturb() {
	switch rapid.IntRange(0, 9).Draw(w.T, "disturbance") {
	case 0:
		// The predecessor's write may still arrive: it had been sent before.
		if w.write != nil && rapid.Bool().Draw(w.T, "write has effect") {
			w.record = *w.write
		}
		w.lead()
	case 1:
		if len(w.gone) > 0 {
			id := slices.SortedFunc(maps.Keys(w.gone), compareAttempts)[0]
			w.step(attemptEnded{gateway.AttemptEnd{Attempt: id, Outcome: gateway.OutcomeFailed}})
		}
	case 2:
		if rapid.IntRange(0, 3).Draw(w.T, "cancel") == 0 {
			w.step(cancelRequested{})
		}
	}
}

// TestCoreKeepsItsRulesWhateverHappens draws graphs, outcomes, failures and
// crashes, and checks each deployment against what is durable at that moment.
func TestCoreKeepsItsRulesWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			T: t, graph: drawGraph(t), now: time.Unix(0, 0),
			running: map[gateway.AttemptID]bool{}, gone: map[gateway.AttemptID]bool{},
			deployments: map[gateway.AttemptID]bool{},
		}
		w.lead()
		for range rapid.IntRange(0, 80).Draw(t, "moves") {
			w.disturb()
			moves := w.moves()
			if w.core.ended() || len(moves) == 0 {
				break
			}
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
		}
		w.fair = true
		for range 1000 {
			moves := w.moves()
			if w.core.ended() || len(moves) == 0 {
				break
			}
			moves[0]()
		}
		snap := w.core.view.snapshot()
		if !snap.Status.Terminal() {
			t.Fatalf("the job hangs in %s though nothing fails any more: %+v", snap.Status, snap)
		}
		if len(w.held) > 0 {
			t.Errorf("slots %v are still held at the end", w.held)
		}
		for _, task := range snap.Tasks {
			for _, s := range task.Subtasks {
				if snap.Status == job.StatusFinished && s.Status != job.SubtaskFinished || !s.Status.Terminal() {
					t.Errorf("subtask %s/%d is %s in a job that is %s", task.ID, s.Index, s.Status, snap.Status)
				}
			}
		}
	})
}

// checkSubtasks follows each subtask from one moment to the next. A further attempt
// begins anew; so does one that was taken back, or ended by the worker.
func (w *world) checkSubtasks(before, after job.Snapshot) {
	for i, task := range after.Tasks {
		for n, now := range task.Subtasks {
			was := before.Tasks[i].Subtasks[n]
			switch {
			case now.Status == was.Status || now.Attempt != was.Attempt:
			case was.Status.CanBecome(now.Status):
			case now.Status == job.SubtaskScheduled && was.Status != job.SubtaskFinished && was.Status != job.SubtaskCanceling:
			case before.Status == job.StatusReconciling || before.Status == job.StatusCancelling && now.Status == job.SubtaskFinished:
			default:
				w.Fatalf("subtask %s/%d went from %s to %s in a job that was %s", task.ID, n, was.Status, now.Status, before.Status)
			}
		}
	}
}
