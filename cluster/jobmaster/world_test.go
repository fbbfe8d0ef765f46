package jobmaster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/jobstore"
	"github.com/coordd/coordd/leader"
)

// world drives a core without any I/O: every answer is given by a draw, in any order,
// and the leader may crash between any two of them. Workers outlive leaders.
type world struct {
	*rapid.T
	graph job.Graph
	now   time.Time
	epoch leader.Epoch
	core  *core

	record  jobstore.Progress // what is durable
	outputs map[jobstore.OutputID]jobstore.Output

	// The open questions of the present leader.
	read        bool
	readOutputs []jobstore.OutputID
	write       *write
	declare     *declaration
	holders     *holdersQuery
	beats       []beat
	// connecting says that the resource manager is to be connected to.
	connecting bool
	// exchanges are calls that may still arrive, also those of former leaders.
	exchanges []call

	peers []*peer
	needs []gateway.Need
	// deployed are all attempts ever given to a worker, by which. Those in givenUp may
	// run beside a newer one: their worker was declared lost, or they were told to stop.
	deployed map[gateway.AttemptID]*peer
	givenUp  map[gateway.AttemptID]bool
	newest   map[int]mark // deployed or adopted, by the number of the subtask
	asked    []*report
	fair     bool // nothing fails any more
	canceled bool
}

// call is an exchange on its way, of the leader of a term.
type call struct {
	exchange
	epoch leader.Epoch
}

// report is an AttemptsEnded that waits for its answer.
type report struct {
	by    *peer
	ends  []gateway.AttemptEnd
	reply chan answer[none]
}

// peer is a worker.
type peer struct {
	gateway.TaskExecutor
	world      *world
	who        gateway.Worker
	labels     map[string]string
	registered bool
	seen       leader.Epoch // the newest
	named      int
	slots      map[gateway.Slot]bool
	leaving    map[gateway.Slot]bool // freed when empty
	running    map[gateway.AttemptID]gateway.Slot
	canceling  map[gateway.AttemptID]bool
	kept       map[gateway.AttemptID]gateway.AttemptEnd
}

func peerOf(at gateway.TaskExecutor) *peer { return at.(*peer) } //nolint:forcetypeassert // there are no others

func (w *world) newPeer(id string, labels map[string]string) {
	p := &peer{world: w, who: gateway.Worker{ID: id}, labels: labels}
	p.begin()
	w.peers = append(w.peers, p)
}

// begin starts a new process.
func (p *peer) begin() {
	p.who.Instance += "i"
	p.registered, p.seen = false, 0
	p.slots, p.leaving = map[gateway.Slot]bool{}, map[gateway.Slot]bool{}
	p.running, p.canceling = map[gateway.AttemptID]gateway.Slot{}, map[gateway.AttemptID]bool{}
	p.kept = map[gateway.AttemptID]gateway.AttemptEnd{}
}

// lead begins a term: with whatever is recorded, and nothing else.
func (w *world) lead() {
	w.epoch++
	j := jobstore.Job{ID: "j", Graph: w.graph}
	cfg := Config{Term: term(w.epoch), Job: j, Recovered: w.epoch > 1, HeartbeatTimeout: DefaultHeartbeatTimeout, Failures: DefaultFailures}
	c, err := newCore(cfg, newView(j, w.epoch), &stats{}, hclog.NewNullLogger())
	if err != nil {
		w.Fatal(err)
	}
	w.core, w.read, w.connecting, w.readOutputs, w.write, w.declare, w.holders, w.beats = c, false, false, nil, nil, nil, nil, nil
	w.needs, w.asked = nil, nil
	for _, p := range w.peers {
		p.registered = false
	}
	w.step(begun{})
}

func (w *world) step(e event) {
	before, recorded := w.core.view.snapshot(), w.record.Clone()
	w.core.step(e, w.now)
	late := w.core.manager.known && !w.core.manager.reconciled && !w.now.Before(w.core.manager.giveUp)
	for _, p := range w.peers {
		if late && !p.registered { // it is not waited for any longer
			w.giveUp(p)
		}
	}
	a := w.core.plan(w.now)
	if w.core.fatal != nil {
		w.Fatalf("the run ended with %v", w.core.fatal)
	}
	w.checkSubtasks(before, w.core.view.snapshot(), recorded)
	w.take(a)
}

// giveUp notes that all that the worker has may be done elsewhere.
func (w *world) giveUp(p *peer) {
	for id, by := range w.deployed {
		if by == p {
			w.givenUp[id] = true
		}
	}
}

// take does what the core wants and checks that it may.
func (w *world) take(a actions) {
	w.read, w.connecting = w.read || a.read, w.connecting || a.connect || a.reconnect != nil
	if a.readOutputs != nil {
		w.readOutputs = a.readOutputs
	}
	if a.write != nil {
		if w.write != nil {
			w.Fatal("a second write while one is under way")
		}
		w.write = a.write
	}
	if a.declare != nil {
		if w.declare != nil && w.declare.manager == a.declare.manager {
			w.Fatal("a second declaration while one is under way")
		}
		w.declare = a.declare
	}
	if a.holders != nil {
		w.holders = a.holders
	}
	w.beats = append(w.beats, a.beats...)
	for _, p := range a.partings {
		if p.reason != "" {
			w.giveUp(peerOf(p.at))
			if w.Bool("the lost worker hears of it") {
				peerOf(p.at).registered = false
			}
		}
	}
	for _, x := range a.exchanges {
		if slices.ContainsFunc(w.exchanges, func(o call) bool { return o.serial == x.serial && o.epoch == w.epoch }) {
			w.Fatal("a second call to a worker while one is under way")
		}
		for _, id := range x.cancel {
			w.givenUp[id] = true
		}
		for _, d := range x.deploy {
			w.checkDeploy(d)
			w.deployed[d.Attempt] = peerOf(x.at)
			w.newest[w.number(d.Attempt)] = markOf(d.Attempt)
		}
		w.exchanges = append(w.exchanges, call{x, w.epoch})
	}
	for _, give := range a.answers {
		give()
	}
	w.hear()
}

// hear takes the answers to reports.
func (w *world) hear() {
	w.asked = slices.DeleteFunc(w.asked, func(r *report) bool {
		select {
		case a := <-r.reply:
			if a.err != nil {
				r.by.registered = false
				return true
			}
			for _, e := range r.ends {
				w.checkSettled(e)
				delete(r.by.kept, e.Attempt)
			}
			return true
		default:
			return false
		}
	})
}

func (w *world) number(id gateway.AttemptID) int { return w.core.find(id).number() }

func (w *world) task(id string) job.Task {
	return w.graph.Tasks[slices.IndexFunc(w.graph.Tasks, func(t job.Task) bool { return t.ID == id })]
}

func (w *world) Bool(label string) bool { return w.fair || rapid.Bool().Draw(w.T, label) }

// Rarely is true once in some ten times, and never once the world is fair.
func (w *world) Rarely(label string) bool {
	return !w.fair && rapid.IntRange(0, 9).Draw(w.T, label) == 0
}

// registers lets a worker register with all that it has.
func (w *world) registers(p *peer) {
	if w.core.unread {
		return // it would wait
	}
	p.seen = max(p.seen, w.epoch)
	has := gateway.JobReport{Labels: p.labels, Slots: slices.Sorted(maps.Keys(p.slots))}
	for _, id := range slices.SortedFunc(maps.Keys(p.running), byName) {
		has.Running = append(has.Running, gateway.RunningAttempt{Attempt: id, Slot: p.running[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.kept), byName) {
		has.Ended = append(has.Ended, p.kept[id])
	}
	p.registered = true
	reply := make(chan answer[gateway.JobReply], 1)
	w.step(workerRegistered{who: p.who, has: has, executor: p, hangUp: func() {}, reply: reply})
	select {
	case a := <-reply:
		if a.err != nil {
			w.Fatalf("worker %s was not registered: %v", p.who.ID, a.err)
		}
		w.checkReply(p, has, a.value)
	default:
		w.Fatalf("worker %s got no answer", p.who.ID)
	}
}

// checkReply does what a reply says and checks that it may say so.
func (w *world) checkReply(p *peer, has gateway.JobReport, reply gateway.JobReply) {
	for _, r := range has.Running {
		if !slices.Contains(reply.Unwanted, r.Attempt) {
			n := w.number(r.Attempt)
			if rec, _ := w.record.Of(n); rec.Finished {
				w.Fatalf("%+v was adopted though its subtask's success is recorded", r.Attempt)
			}
			if newest := w.newest[n]; newest.after(markOf(r.Attempt)) {
				for other := range w.live(n) {
					if other != r.Attempt && !w.givenUp[other] && w.deployed[other].registered {
						w.Fatalf("%+v was adopted beside %+v", r.Attempt, other)
					}
				}
			}
		}
	}
	for _, id := range reply.Unwanted {
		delete(p.running, id)
		delete(p.canceling, id)
	}
	for _, id := range reply.Settled {
		w.checkSettled(p.kept[id])
		delete(p.kept, id)
	}
	for _, name := range reply.Refused {
		delete(p.slots, name)
	}
}

// live yields the attempts of a subtask that run, or whose success a worker keeps.
func (w *world) live(n int) map[gateway.AttemptID]bool {
	live := map[gateway.AttemptID]bool{}
	for _, p := range w.peers {
		for id := range p.running {
			if w.number(id) == n {
				live[id] = true
			}
		}
		for id, e := range p.kept {
			if w.number(id) == n && e.Outcome == gateway.OutcomeFinished {
				live[id] = true
			}
		}
	}
	return live
}

// deliver lets an exchange reach its worker.
func (p *peer) deliver(x call) (refusals []gateway.Refusal) {
	for _, d := range x.deploy {
		_, kept := p.kept[d.Attempt]
		busy := slices.Contains(slices.Collect(maps.Values(p.running)), d.Slot)
		switch {
		case kept || p.running[d.Attempt] == d.Slot:
		case d.Attempt.Epoch < p.seen:
			refusals = append(refusals, gateway.Refusal{Attempt: d.Attempt, Err: gateway.ErrNoSlot})
		case !p.slots[d.Slot] || p.leaving[d.Slot] || busy || p.world.Rarely("refused"):
			refusals = append(refusals, gateway.Refusal{Attempt: d.Attempt, Err: gateway.ErrNoSlot})
		default:
			p.running[d.Attempt] = d.Slot
		}
	}
	for _, id := range x.cancel {
		if _, ok := p.running[id]; ok {
			p.canceling[id] = true
		}
	}
	for _, name := range x.free {
		p.leaving[name] = p.slots[name]
	}
	p.tidy()
	return refusals
}

// tidy frees the slots that are empty now.
func (p *peer) tidy() {
	for name := range p.leaving {
		if !slices.Contains(slices.Collect(maps.Values(p.running)), name) {
			delete(p.slots, name)
			delete(p.leaving, name)
		}
	}
}

// end ends an attempt at its worker, which has told nobody yet.
func (p *peer) end(id gateway.AttemptID, o gateway.Outcome) {
	if p.canceling[id] {
		o = gateway.OutcomeCanceled
	}
	delete(p.running, id)
	delete(p.canceling, id)
	p.kept[id] = gateway.AttemptEnd{Attempt: id, Outcome: o, ExitCode: new(0), Result: []byte(fmt.Sprint(id.Subtask))}
	p.tidy()
}

// tell reports all ends that a worker keeps.
func (w *world) tell(p *peer) {
	if w.core.unread {
		return // it would wait
	}
	r := &report{by: p, reply: make(chan answer[none], 1)}
	for _, id := range slices.SortedFunc(maps.Keys(p.kept), byName) {
		r.ends = append(r.ends, p.kept[id])
	}
	w.asked = append(w.asked, r)
	w.step(attemptsEnded{who: p.who, ends: r.ends, reply: r.reply})
}

// grant gives a worker's slot to the job.
func (w *world) grant(p *peer) {
	p.named++
	name := gateway.Slot(fmt.Sprint(p.who.ID, p.who.Instance, p.named))
	p.slots[name] = true
	if !p.registered {
		w.registers(p)
		return
	}
	reply := make(chan answer[[]gateway.Slot], 1)
	w.step(slotsOffered{who: p.who, slots: []gateway.Slot{name}, reply: reply})
	select {
	case a := <-reply:
		p.registered = a.err == nil
		if len(a.value) == 0 {
			delete(p.slots, name)
		}
	default:
		w.Fatalf("worker %s got no answer", p.who.ID)
	}
}

// wants says how many more slots of the worker's kind the job needs.
func (w *world) wants(p *peer) int {
	n := 0
	for _, need := range w.needs {
		if (&group{requires: need.Requires}).fits(p.labels) {
			n += need.Count
		}
	}
	return n - len(p.slots)
}
