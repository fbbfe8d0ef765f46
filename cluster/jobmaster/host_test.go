package jobmaster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// host is a worker that starts what is deployed, and the test ends it. It keeps its attempts and
// their ends whatever becomes of the master.
type host struct {
	*cluster
	who      gateway.Worker
	labels   map[string]string
	capacity int

	registered  bool
	connections int
	named       int
	slots       map[gateway.Slot]bool
	deployed    []gateway.Deployment // in order, all ever
	at          []time.Time          // when
	batches     []int                // how many at once
	running     map[gateway.AttemptID]gateway.Slot
	kept        map[gateway.AttemptID]gateway.AttemptEnd
	canceled    []gateway.AttemptID
	freed       []gateway.Slot
	parted      []string // the reasons of Disconnect
	beats       int

	// down lets every call fail, frozen lets it hang; mute only heartbeats fail.
	down, frozen, mute bool
	// stubborn keeps canceled attempts running.
	stubborn bool
	// deployErr and refuse are asked on each call, if set; onDeploy is told.
	deployErr func(n int) error
	refuse    func(d gateway.Deployment) error
	onDeploy  func(d gateway.Deployment)
}

func newHost(c *cluster, id string, slots int) *host {
	w := &host{
		cluster: c, who: gateway.Worker{ID: id, Instance: id + "-1", Address: "addr of " + id}, capacity: slots,
		slots: map[gateway.Slot]bool{}, running: map[gateway.AttemptID]gateway.Slot{},
		kept: map[gateway.AttemptID]gateway.AttemptEnd{},
	}
	c.workers = append(c.workers, w)
	return w
}

// allocate names a slot. The cluster is locked.
func (w *host) allocate() gateway.Slot {
	w.named++
	name := gateway.Slot(fmt.Sprintf("%s/%d", w.who.Instance, w.named))
	w.slots[name] = true
	return name
}

func (w *host) offer(names []gateway.Slot) {
	w.mu.Lock()
	m, registered := w.master, w.registered
	w.mu.Unlock()
	var taken []gateway.Slot
	var err error
	if registered {
		taken, err = m.OfferSlots(context.Background(), w.who, names)
	} else if w.register(m) == nil {
		taken = names
	}
	w.mu.Lock()
	if errors.Is(err, gateway.ErrNotRegistered) {
		w.registered = false
	}
	for _, name := range names {
		if !slices.Contains(taken, name) {
			delete(w.slots, name)
		}
	}
	w.mu.Unlock()
}

// report is what the worker has of the job.
func (w *host) report() gateway.JobReport {
	r := gateway.JobReport{Labels: w.labels, Slots: slices.Sorted(maps.Keys(w.slots))}
	for _, id := range slices.SortedFunc(maps.Keys(w.running), byName) {
		r.Running = append(r.Running, gateway.RunningAttempt{Attempt: id, Slot: w.running[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.kept), byName) {
		r.Ended = append(r.Ended, w.kept[id])
	}
	if len(w.at) > 0 {
		r.Age = time.Since(w.at[0])
	}
	return r
}

func byName(a, b gateway.AttemptID) int {
	return slices.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b)))
}

// register registers with a master and does what the answer says.
func (w *host) register(m *Master) error {
	w.mu.Lock()
	w.registered = true
	report := w.report()
	w.mu.Unlock()
	reply, err := m.RegisterWorker(context.Background(), w.who, report)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.registered = false
		return err
	}
	for _, id := range reply.Unwanted {
		delete(w.running, id)
	}
	for _, id := range reply.Settled {
		delete(w.kept, id)
	}
	for _, name := range reply.Refused {
		delete(w.slots, name)
	}
	var ends []gateway.AttemptEnd
	for _, id := range slices.SortedFunc(maps.Keys(w.kept), byName) {
		ends = append(ends, w.kept[id])
	}
	if len(ends) > 0 {
		w.calls.Go(func() { w.send(m, ends...) })
	}
	return nil
}

// send reports ends, and forgets them when they are settled.
func (w *host) send(m *Master, ends ...gateway.AttemptEnd) {
	err := m.AttemptsEnded(context.Background(), w.who, ends)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		for _, e := range ends {
			delete(w.kept, e.Attempt)
		}
	}
}

// end ends a running attempt and reports it, and says whether it was running.
func (w *host) end(e gateway.AttemptEnd) bool {
	w.mu.Lock()
	_, ok := w.running[e.Attempt]
	delete(w.running, e.Attempt)
	m := w.master
	if ok {
		w.kept[e.Attempt] = e
	}
	w.mu.Unlock()
	if ok {
		w.calls.Go(func() { w.send(m, e) })
	}
	return ok
}

// reached waits until the worker answers.
func (w *host) reached(ctx context.Context) error {
	w.mu.Lock()
	down, frozen := w.down, w.frozen
	w.mu.Unlock()
	switch {
	case down:
		return errors.New("connection refused")
	case frozen:
		<-ctx.Done()
		return ctx.Err()
	}
	return ctx.Err()
}

func (w *host) Deploy(ctx context.Context, _ leader.TermID, ds []gateway.Deployment) (refusals []gateway.Refusal, err error) {
	if err := w.reached(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.batches = append(w.batches, len(ds))
	if w.deployErr != nil {
		if err := w.deployErr(len(w.batches)); err != nil {
			w.mu.Unlock()
			return nil, err
		}
	}
	var started []gateway.Deployment
	for _, d := range ds {
		if w.refuse != nil {
			if err := w.refuse(d); err != nil {
				refusals = append(refusals, gateway.Refusal{Attempt: d.Attempt, Err: err})
				continue
			}
		}
		if _, known := w.kept[d.Attempt]; known || w.running[d.Attempt] == d.Slot {
			continue
		}
		if !w.slots[d.Slot] || slices.Contains(slices.Collect(maps.Values(w.running)), d.Slot) {
			refusals = append(refusals, gateway.Refusal{Attempt: d.Attempt, Err: gateway.ErrNoSlot})
			continue
		}
		w.deployed, w.at = append(w.deployed, d), append(w.at, time.Now())
		w.running[d.Attempt] = d.Slot
		started = append(started, d)
	}
	then := w.onDeploy
	w.mu.Unlock()
	if then != nil {
		for _, d := range started {
			then(d)
		}
	}
	return refusals, nil
}

func (w *host) CancelAttempts(ctx context.Context, _ leader.TermID, ids []gateway.AttemptID) error {
	if err := w.reached(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.canceled = append(w.canceled, ids...)
	stubborn := w.stubborn
	w.mu.Unlock()
	for _, id := range ids {
		if !stubborn {
			w.end(gateway.AttemptEnd{Attempt: id, Outcome: gateway.OutcomeCanceled, Reason: "canceled"}) //nolint:contextcheck // it goes on after the call
		}
	}
	return nil
}

func (w *host) FreeSlots(ctx context.Context, _ leader.TermID, names []gateway.Slot) error {
	if err := w.reached(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	for _, name := range names {
		if w.slots[name] {
			w.freed = append(w.freed, name)
			delete(w.slots, name)
		}
	}
	w.mu.Unlock()
	w.share() //nolint:contextcheck // it goes on after the call
	return nil
}

func (w *host) Heartbeat(ctx context.Context, from gateway.Peer) (gateway.WorkerReport, error) {
	if err := w.reached(ctx); err != nil {
		return gateway.WorkerReport{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beats++
	if w.mute || from.Job != "j" {
		return gateway.WorkerReport{}, gateway.ErrNotRegistered
	}
	return gateway.WorkerReport{}, nil
}

func (w *host) Disconnect(ctx context.Context, _ gateway.Peer, reason string) error {
	if err := w.reached(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parted = append(w.parted, reason)
	w.registered = false
	return nil
}

func (w *host) Metrics(context.Context) ([]gateway.Metric, error) { panic("not the master's call") }
func (w *host) RequestSlots(context.Context, gateway.SlotRequest) ([]gateway.Slot, error) {
	panic("not the master's call")
}
func (w *host) ReleaseJob(context.Context, leader.TermID, job.ID) error {
	panic("not the master's call")
}
func (w *host) ReadLog(context.Context, gateway.LogRequest) (gateway.LogChunk, error) {
	panic("not the master's call")
}

func (w *host) Drain(context.Context, leader.TermID) error { panic("not the master's call") }
