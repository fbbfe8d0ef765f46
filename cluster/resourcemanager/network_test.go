package resourcemanager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// health says how a process answers.
type health int

const (
	alive  health = iota
	paused        // calls get no answer
	failed        // calls fail
	dead          // nothing listens
)

var errBroken = errors.New("the process is broken")

// process is what stands at an address.
type process interface {
	// answer waits as long as the process takes to answer a call.
	answer(ctx context.Context) error
}

// network is a Network.
type network struct {
	mu   sync.Mutex
	at   map[string]process
	open int
	// onMaster is called when a master was connected to. It may be nil.
	onMaster func()
}

func (n *network) find(ctx context.Context, address string) (process, error) {
	n.mu.Lock()
	p := n.at[address]
	n.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("connect to %s: %w", address, gateway.ErrRefused)
	}
	return p, p.answer(ctx)
}

func (n *network) connect(ctx context.Context, address string) (process, func(), error) {
	p, err := n.find(ctx, address)
	if err != nil {
		return nil, nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	var once sync.Once
	closeIt := func() {
		once.Do(func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.open--
		})
	}
	return p, closeIt, nil
}

func (n *network) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

func (n *network) TaskExecutor(ctx context.Context, w gateway.Worker, term leader.TermID) (gateway.TaskExecutor, func(), error) {
	p, closeIt, err := n.connect(ctx, w.Address)
	if err != nil {
		return nil, nil, err
	}
	f, ok := p.(*fakeWorker)
	if !ok || f.ID != w.ID {
		closeIt()
		return nil, nil, fmt.Errorf("no worker %q at %s", w.ID, w.Address)
	}
	return workerFace{fakeWorker: f, term: term}, closeIt, nil
}

func (n *network) JobMaster(ctx context.Context, at gateway.MasterLocation, _ leader.TermID) (gateway.JobMaster, func(), error) {
	p, closeIt, err := n.connect(ctx, at.Address)
	if err != nil {
		return nil, nil, err
	}
	f, ok := p.(*fakeMaster)
	if !ok {
		closeIt()
		return nil, nil, fmt.Errorf("no master at %s", at.Address)
	}
	if n.onMaster != nil {
		n.onMaster()
	}
	return f, closeIt, nil
}

func (n *network) Probe(ctx context.Context, address string) error {
	_, err := n.find(ctx, address)
	return err
}

// body is what workers and masters have in common.
type body struct {
	mu     sync.Mutex
	health health
	// changed is closed when health changes.
	changed chan struct{}
	ended   error    // what it answers since it has, nil before
	said    []string // what it was told, in order
}

func (b *body) set(h health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.health = h
	if b.changed != nil {
		close(b.changed)
	}
	b.changed = make(chan struct{})
}

// end has the process answer with an error from now on.
func (b *body) end(answer error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = answer
}

func (b *body) answer(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		h, changed, ended := b.health, b.changed, b.ended
		b.mu.Unlock()
		if ended != nil {
			return ended
		}
		switch h {
		case alive:
			return ctx.Err()
		case failed:
			return errBroken
		case dead:
			return gateway.ErrRefused
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call waits for the answer and notes what was said.
func (b *body) call(ctx context.Context, format string, args ...any) error {
	if err := b.answer(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, fmt.Sprintf(format, args...))
	return nil
}

// heard returns what the process was told since the last time.
func (b *body) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.said
	b.said = nil
	return all
}

// fakeWorker is a worker process.
type fakeWorker struct {
	body
	gateway.Worker
	labels    map[string]string
	slots     int
	allocated map[gateway.Slot]job.ID
	named     int
	draining  bool
	// forgetful workers say that nobody is registered.
	forgetful bool
	// refusesDrain fails calls of Drain.
	refusesDrain bool
	// hold, when set, keeps answers to slot requests back, with their effect made.
	hold  chan struct{}
	beats int
}

// worker starts a worker process with two slots. It listens at "host-<id>:1" if nothing
// else is said.
func (n *network) worker(id, instance string, labels ...string) *fakeWorker {
	f := &fakeWorker{
		Worker: gateway.Worker{ID: id, Instance: instance, Address: "host-" + id + ":1"},
		labels: pairs(labels), slots: 2, allocated: make(map[gateway.Slot]job.ID),
	}
	n.listen(f.Address, f)
	return f
}

func (n *network) listen(address string, p process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at[address] = p
}

func (f *fakeWorker) registration() gateway.WorkerRegistration {
	return gateway.WorkerRegistration{Worker: f.Worker, Labels: f.labels, Release: "v1", Report: f.report()}
}

func (f *fakeWorker) report() gateway.WorkerReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := gateway.WorkerReport{Slots: f.slots, Draining: f.draining}
	for _, slot := range slices.Sorted(maps.Keys(f.allocated)) {
		r.Allocated = append(r.Allocated, gateway.Allocation{Slot: slot, Job: f.allocated[slot]})
	}
	return r
}

// has counts the slots that a job holds there.
func (f *fakeWorker) has(id job.ID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, owner := range f.allocated {
		if owner == id {
			n++
		}
	}
	return n
}

// change changes a worker under its lock.
func (f *fakeWorker) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// workerFace is a connection to a worker.
type workerFace struct {
	*fakeWorker
	term leader.TermID
}

var _ gateway.TaskExecutor = workerFace{}

func (f workerFace) RequestSlots(ctx context.Context, r gateway.SlotRequest) ([]gateway.Slot, error) {
	if err := f.answer(ctx); err != nil {
		return nil, err
	}
	if r.Term != f.term {
		return nil, gateway.ErrFencingToken
	}
	var (
		got  []gateway.Slot
		hold chan struct{}
	)
	f.change(func() {
		for len(got) < r.Count && len(f.allocated) < f.slots {
			f.named++
			slot := gateway.Slot(fmt.Sprintf("%s.%s.%d", f.ID, f.Instance, f.named))
			f.allocated[slot] = r.Job
			got = append(got, slot)
		}
		hold = f.hold
	})
	if hold != nil {
		<-hold
	}
	return got, nil
}

func (f workerFace) Heartbeat(ctx context.Context, from gateway.Peer) (gateway.WorkerReport, error) {
	if err := f.answer(ctx); err != nil {
		return gateway.WorkerReport{}, err
	}
	forgetful := false
	f.change(func() { f.beats++; forgetful = f.forgetful })
	if forgetful || from.Job != "" {
		return gateway.WorkerReport{}, gateway.ErrNotRegistered
	}
	return f.report(), nil
}

func (f workerFace) Drain(ctx context.Context, _ leader.TermID) error {
	if err := f.call(ctx, "drain"); err != nil {
		return err
	}
	var err error
	f.change(func() {
		if f.refusesDrain {
			err = errBroken
			return
		}
		f.draining = true
	})
	return err
}

func (f workerFace) ReleaseJob(ctx context.Context, _ leader.TermID, id job.ID) error {
	return f.call(ctx, "release %s", id)
}

func (f workerFace) Disconnect(ctx context.Context, _ gateway.Peer, reason string) error {
	return f.call(ctx, "disconnect: %s", reason)
}

func (f workerFace) Deploy(context.Context, leader.TermID, []gateway.Deployment) ([]gateway.Refusal, error) {
	return nil, errBroken
}
func (f workerFace) CancelAttempts(context.Context, leader.TermID, []gateway.AttemptID) error {
	return errBroken
}
func (f workerFace) FreeSlots(context.Context, leader.TermID, []gateway.Slot) error { return errBroken }
func (f workerFace) ReadLog(context.Context, gateway.LogRequest) (gateway.LogChunk, error) {
	return gateway.LogChunk{}, errBroken
}
func (f workerFace) Metrics(context.Context) ([]gateway.Metric, error) { return nil, errBroken }

// fakeMaster is a job's master.
type fakeMaster struct {
	body
	at gateway.MasterLocation
}

var _ gateway.JobMaster = (*fakeMaster)(nil)

// master starts a master, in place of one that is there.
func (n *network) master(id job.ID) *fakeMaster {
	f := &fakeMaster{at: gateway.MasterLocation{Job: id, Address: "master-" + string(id)}}
	n.listen(f.at.Address, f)
	return f
}

func (f *fakeMaster) DisconnectWorker(ctx context.Context, w gateway.Worker, _ string) error {
	return f.call(ctx, "lost %s/%s", w.ID, w.Instance)
}

func (f *fakeMaster) Heartbeat(ctx context.Context, _ gateway.Peer) error { return f.answer(ctx) }

func (f *fakeMaster) DisconnectResourceManager(ctx context.Context, reason string) error {
	return f.call(ctx, "disconnect: %s", reason)
}

func (f *fakeMaster) GiveBack(ctx context.Context, n gateway.Need) error {
	return f.call(ctx, "give back %d %v", n.Count, n.Requires)
}

func (f *fakeMaster) RegisterWorker(context.Context, gateway.Worker, gateway.JobReport) (gateway.JobReply, error) {
	return gateway.JobReply{}, errBroken
}
func (f *fakeMaster) OfferSlots(context.Context, gateway.Worker, []gateway.Slot) ([]gateway.Slot, error) {
	return nil, errBroken
}
func (f *fakeMaster) AttemptsEnded(context.Context, gateway.Worker, []gateway.AttemptEnd) error {
	return errBroken
}
func (f *fakeMaster) Metrics(context.Context) ([]gateway.Metric, error) { return nil, errBroken }
