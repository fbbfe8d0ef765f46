package jobmaster

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
)

func (w *world) checkDeploy(d gateway.Deployment) {
	id := d.Attempt
	n := w.number(id)
	if by := w.deployed[id]; by != nil {
		if markOf(id) != w.newest[n] {
			w.Fatalf("%+v was deployed again after a newer one", id)
		}
		return // its first deployment may not have arrived
	}
	spec := w.task(id.Task)
	for _, need := range spec.Needs {
		t := w.core.byID[need]
		for i := range t.subtasks {
			if rec, _ := w.record.Of(t.first + i); !rec.Finished {
				w.Fatalf("%s started, but subtask %d of %s is not recorded", id.Task, i, need)
			}
		}
	}
	if want := w.inputs(spec); !slices.EqualFunc(d.Inputs, want, func(a, b gateway.Input) bool {
		return a.Task == b.Task && a.Subtask == b.Subtask && string(a.Data) == string(b.Data)
	}) {
		w.Fatalf("%+v gets inputs %+v, want %+v", id, d.Inputs, want)
	}
	rec, _ := w.record.Of(n)
	if rec.Finished {
		w.Fatalf("%+v started after the subtask's success was recorded", id)
	}
	if rec.Used >= spec.Retry.Attempts {
		w.Fatalf("%+v started after all of %d attempts were recorded as failed", id, rec.Used)
	}
	for other := range w.live(n) {
		if !w.givenUp[other] {
			w.Fatalf("%+v started while %+v runs, or has finished", id, other)
		}
	}
}

// inputs returns what a task should get.
func (w *world) inputs(spec job.Task) []gateway.Input {
	var inputs []gateway.Input
	for _, need := range slices.Sorted(slices.Values(spec.Needs)) {
		for n := range w.task(need).Parallelism {
			inputs = append(inputs, gateway.Input{Task: need, Subtask: n, Data: w.outputs[jobstore.OutputID{Task: need, Subtask: n}].Result})
		}
	}
	return inputs
}

// checkSettled checks that a worker may forget an end.
func (w *world) checkSettled(e gateway.AttemptEnd) {
	n := w.number(e.Attempt)
	rec, _ := w.record.Of(n)
	id := markOf(e.Attempt)
	switch {
	case rec.Finished, !id.after(mark{rec.Epoch, rec.Attempt}), w.newest[n].after(id):
	case e.Outcome == gateway.OutcomeCanceled:
	default:
		w.Fatalf("the end %+v was settled, and the record says %+v", e, rec)
	}
}

// checkSubtasks follows each subtask from one moment to the next. A further attempt
// begins anew; so does one that was lost, taken back, or ended by the worker.
func (w *world) checkSubtasks(before, after job.Snapshot, recorded jobstore.Progress) {
	n := -1
	for i, task := range after.Tasks {
		for k, now := range task.Subtasks {
			n++
			was := before.Tasks[i].Subtasks[k]
			if rec, _ := recorded.Of(n); now.Status == job.SubtaskFinished && !rec.Finished &&
				after.Status != job.StatusFinished && !w.core.winding() && !w.core.ended() {
				w.Fatalf("subtask %s/%d shows FINISHED before that is recorded", task.ID, k)
			}
			switch {
			case now.Status == was.Status || now.Attempt != was.Attempt || now.Epoch != was.Epoch:
			case was.Status.CanBecome(now.Status):
			case now.Status == job.SubtaskScheduled && was.Status != job.SubtaskFinished && was.Status != job.SubtaskCanceling:
			case was.Status != job.SubtaskFinished && (now.Status == job.SubtaskRunning || now.Status == job.SubtaskFailed || now.Status == job.SubtaskCanceled || now.Status == job.SubtaskCanceling):
				// It was lost, and is back; or was canceled while it was, and is back.
			case before.Status == job.StatusReconciling || now.Status == job.SubtaskFinished:
			default:
				w.Fatalf("subtask %s/%d went from %s to %s in a job that was %s", task.ID, k, was.Status, now.Status, before.Status)
			}
		}
	}
}

// moves returns what can happen now.
func (w *world) moves() []func() {
	var moves []func()
	add := func(when bool, move func()) {
		if when {
			moves = append(moves, move)
		}
	}
	w.storeMoves(add)
	w.managerMoves(add)
	for i := range w.exchanges {
		add(true, func() { w.deliver(i) })
	}
	for i := range w.beats {
		add(true, func() {
			b := w.beats[i]
			w.beats = slices.Delete(w.beats, i, i+1)
			p, err := peerOf(b.at), error(nil)
			if !p.registered || !w.Bool("heartbeat arrives") {
				err = gateway.ErrNotRegistered
			}
			w.step(beaten{serial: b.serial, sent: w.now, err: err})
		})
	}
	for _, p := range w.peers {
		w.peerMoves(p, add)
	}
	wait := w.core.wake(w.now)
	add(wait < time.Hour, func() {
		w.now = w.now.Add(wait)
		w.step(ticked{})
	})
	return moves
}

func (w *world) storeMoves(add func(bool, func())) {
	away := errors.New("away")
	add(w.read, func() {
		w.read = false
		if w.Bool("read succeeds") {
			w.step(recordRead{progress: w.record.Clone()})
		} else {
			w.step(recordRead{err: away})
		}
	})
	add(w.readOutputs != nil, func() {
		ids := w.readOutputs
		w.readOutputs = nil
		if !w.Bool("outputs are read") {
			w.step(outputsRead{err: away})
			return
		}
		var outputs []jobstore.Output
		for _, id := range ids {
			o, ok := w.outputs[id]
			if !ok {
				w.Fatalf("output %+v is to be read, which was not stored", id)
			}
			outputs = append(outputs, o)
		}
		w.step(outputsRead{outputs: outputs})
	})
	add(w.write != nil, func() {
		ok := w.Bool("write succeeds")
		if ok || w.Bool("write has effect") {
			w.store()
		}
		w.write = nil
		if ok {
			w.step(recordWritten{})
		} else {
			w.step(recordWritten{err: away})
		}
	})
}

// store makes the write under way durable, and checks that it takes nothing back.
func (w *world) store() {
	for n, was := range w.record.All() {
		if now, _ := w.write.progress.Of(n); was.Finished && !now.Finished || !was.Finished && !now.Finished && now.Used < was.Used {
			w.Fatalf("the record forgets of subtask %d what it said: %+v, now %+v", n, was, now)
		}
	}
	w.record = w.write.progress
	for _, o := range w.write.outputs {
		w.outputs[jobstore.OutputID{Task: o.Task, Subtask: o.Subtask}] = o
	}
}

func (w *world) managerMoves(add func(bool, func())) {
	away := errors.New("away")
	add(w.connecting, func() {
		w.connecting = false
		w.step(managerConnected{at: struct{ gateway.ResourceManager }{}})
	})
	add(w.declare != nil, func() {
		d := w.declare
		w.declare = nil
		if w.Bool("declared") {
			w.needs = d.needs
			w.step(needsDeclared{manager: d.manager})
		} else {
			w.step(needsDeclared{manager: d.manager, err: away})
		}
	})
	add(w.holders != nil, func() {
		h := w.holders
		w.holders = nil
		if !w.Bool("holders are known") {
			w.step(holdersKnown{manager: h.manager, err: away})
			return
		}
		var holders []gateway.Worker
		for _, p := range w.peers {
			if len(p.slots) > 0 {
				holders = append(holders, p.who)
			}
		}
		w.step(holdersKnown{manager: h.manager, workers: holders})
	})
}

// deliver lets an exchange arrive, or its answer, or neither.
func (w *world) deliver(i int) {
	x := w.exchanges[i]
	w.exchanges = slices.Delete(w.exchanges, i, i+1)
	p := peerOf(x.at)
	answer := exchanged{of: x.exchange, deployErr: errors.New("away")}
	if w.Bool("exchange arrives") {
		refusals := p.deliver(x)
		if w.Bool("answer arrives") {
			answer = exchanged{of: x.exchange, refusals: refusals}
		}
	}
	if x.epoch == w.epoch {
		w.step(answer)
	}
}

func (w *world) peerMoves(p *peer, add func(bool, func())) {
	for _, id := range slices.SortedFunc(maps.Keys(p.running), byName) {
		add(true, func() {
			outcome := gateway.OutcomeFinished
			if !w.fair {
				outcome = rapid.SampledFrom([]gateway.Outcome{gateway.OutcomeFinished, gateway.OutcomeFailed, gateway.OutcomeCanceled}).Draw(w.T, "outcome")
			}
			p.end(id, outcome)
			if p.registered && w.Bool("told at once") {
				w.tell(p)
			}
		})
	}
	add(p.registered && w.untold(p), func() { w.tell(p) })
	add(!p.registered && len(p.slots)+len(p.kept)+len(p.running) > 0, func() { w.registers(p) })
	add(w.wants(p) > 0, func() { w.grant(p) })
	add(p.registered && w.core.pool.known(p.who) == nil, func() { p.registered = false }) // no heartbeat comes
}

// untold says whether a worker keeps an end of which no report is under way.
func (w *world) untold(p *peer) bool {
	for id := range p.kept {
		told := func(r *report) bool {
			return r.by == p && slices.ContainsFunc(r.ends, func(e gateway.AttemptEnd) bool { return e.Attempt == id })
		}
		if !slices.ContainsFunc(w.asked, told) {
			return true
		}
	}
	return false
}

// disturb does what nobody asked for.
func (w *world) disturb() {
	p := w.peers[rapid.IntRange(0, len(w.peers)-1).Draw(w.T, "peer")]
	switch rapid.IntRange(0, 29).Draw(w.T, "disturbance") {
	case 0, 1:
		// The predecessor's write may still arrive: it had been sent before.
		if w.write != nil && rapid.Bool().Draw(w.T, "write has effect") {
			w.store()
		}
		w.lead()
	case 2:
		if len(p.kept) > 0 {
			w.tell(p) // once more
		}
	case 3:
		if rapid.IntRange(0, 3).Draw(w.T, "cancel") == 0 {
			w.canceled = true
			w.step(cancelRequested{})
		}
	case 4:
		w.registers(p) // its connection was lost, and is back
	case 5: // it is killed, and starts again
		w.giveUp(p)
		old := p.who
		p.begin()
		if rapid.Bool().Draw(w.T, "its loss is noticed") {
			w.step(workerGone{who: old, reason: "killed"})
		}
	case 6: // it is thought to be gone, and is not
		w.giveUp(p)
		p.registered = false
		w.step(workerGone{who: p.who, reason: "unreachable"})
	case 7:
		w.step(slotsWanted{need: gateway.Need{Count: rapid.IntRange(0, 3).Draw(w.T, "slots")}})
	case 8:
		if w.core.manager.at != nil {
			w.connecting = true
			w.step(managerLost{reason: "restarted"})
		}
	}
}

// TestCoreKeepsItsRulesWhateverHappens draws graphs, outcomes, failures and
// crashes, and checks each deployment against what is durable and what runs at that
// moment.
func TestCoreKeepsItsRulesWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(0, 150).Draw(t, "moves") {
			if !w.core.ended() {
				w.disturb()
			}
			if w.core.ended() {
				break
			}
			moves := w.moves()
			moves[rapid.IntRange(0, len(moves)-1).Draw(t, "move")]()
		}
		if w.core.ended() && rapid.Bool().Draw(t, "the result was not recorded") {
			w.lead()
		}
		w.settle()
	})
}

// settle lets nothing fail any more, until the job has ended.
func (w *world) settle() {
	w.fair = true
	for i := range 3000 {
		moves := w.moves()
		if w.core.ended() || len(moves) == 0 {
			break
		}
		// Time, which is the last one, passes more slowly than answers come.
		if last := len(moves) - 1; last > 0 && i%7 > 0 {
			moves = moves[:last]
		}
		moves[i%len(moves)]()
	}
	snap := w.core.view.snapshot()
	if !snap.Status.Terminal() {
		w.Fatalf("the job hangs in %s though nothing fails any more: %+v", snap.Status, snap)
	}
	if snap.Status == job.StatusCanceled && !w.canceled {
		w.Fatal("the job was canceled by nobody")
	}
	for _, task := range snap.Tasks {
		for _, s := range task.Subtasks {
			if snap.Status == job.StatusFinished && s.Status != job.SubtaskFinished || !s.Status.Terminal() {
				w.Fatalf("subtask %s/%d is %s in a job that is %s", task.ID, s.Index, s.Status, snap.Status)
			}
		}
	}
	for _, t := range w.core.tasks {
		if t.left == 0 && (t.inputs != nil || len(t.results) > 0 && !t.wanted()) {
			w.Fatalf("task %s holds results that nothing needs", t.spec.ID)
		}
	}
}
