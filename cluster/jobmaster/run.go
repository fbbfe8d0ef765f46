package jobmaster

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/rpc"
)

// farewellWait bounds what the end of a job waits for the resource manager to take
// note, and then for workers.
const farewellWait = time.Second

// run is one call of Run.
type run struct {
	// end ends it, and over says that it has ended, or Run's context: from then on nothing
	// is decided.
	end  context.CancelFunc
	over func() bool
	// call runs what can block on a goroutine of the endpoint, until the end. calls are
	// those under way.
	call  func(work func(context.Context))
	calls sync.WaitGroup
}

// serve runs the endpoint. Calls of others come to it, and answers to its own: the core
// steps through them, and what follows is decided once for all that came together.
func (m *Master) serve(ctx context.Context) (job.Snapshot, error) {
	life, end := context.WithCancel(ctx)
	defer end()
	m.run.end = end
	m.run.over = func() bool { return life.Err() != nil }
	m.run.call = func(work func(context.Context)) {
		m.run.calls.Add(1)
		_ = m.endpoint.Go(func(context.Context) { // it runs: nothing is called at the end
			defer m.run.calls.Done()
			work(life)
		})
	}
	err := m.endpoint.Run(life)
	if p, panicked := errors.AsType[*rpc.PanicError](err); panicked {
		panic(p)
	}
	return m.finish(ctx)
}

// start is called on the endpoint before all calls.
func (m *Master) start() {
	// After a panic the endpoint ends before Run's context, and waits for its calls.
	_ = m.endpoint.Go(func(own context.Context) { context.AfterFunc(own, m.run.end) }) // it runs
	m.step(begun{})
	if m.canceled.Load() {
		m.step(cancelRequested{})
	}
}

// step lets the core take in an event. When nothing is decided any more, it hangs up on
// workers that have come.
func (m *Master) step(e event) {
	if !m.run.over() {
		m.core.step(e, time.Now())
		return
	}
	if e, ok := e.(workerRegistered); ok {
		e.hangUp()
	}
}

// settle is called on the endpoint after calls.
func (m *Master) settle() {
	if m.run.over() {
		return
	}
	now := time.Now()
	if m.core.fatal == nil {
		m.act(m.core.plan(now))
	}
	if m.core.ended() || m.core.fatal != nil {
		m.run.end()
		return
	}
	m.arm(now.Add(m.core.wake(now)))
}

// arm has the endpoint wake up at the time, or before.
func (m *Master) arm(at time.Time) {
	if !m.armed.IsZero() && !at.Before(m.armed) {
		return
	}
	m.disarm()
	m.armed = at
	m.disarm = m.endpoint.After(time.Until(at), func() {
		m.armed = time.Time{}
		m.step(ticked{})
	})
}

// stop ends the connection to the resource manager, waits for the calls that are under
// way, and has what came of them taken in. ctx ends early when the endpoint has panicked.
func (m *Master) stop(ctx context.Context) {
	gone, err := rpc.Ask(ctx, m.endpoint, func() (<-chan struct{}, error) {
		reason := errSuspended
		if m.core.ended() {
			reason = errEnded
		}
		return m.link.Close(reason), nil
	})
	if err == nil {
		<-gone
		m.run.calls.Wait()
	}
}

// finish is called when callers were let go. It says farewell when the job has ended, and
// leaves everything as it is when only this leader's part has. Then it hangs up.
func (m *Master) finish(ctx context.Context) (job.Snapshot, error) {
	ended := m.core.ended()
	for _, e := range m.core.early {
		if e, ok := e.(workerRegistered); ok {
			e.hangUp()
		}
	}
	if ended {
		m.farewell(ctx)
	} else {
		m.core.suspend()
	}
	for _, w := range m.core.pool.fleet {
		w.hangUp()
	}
	for _, p := range m.core.out.partings { // of what was not acted upon any more
		p.hangUp()
	}
	switch {
	case ended:
		return m.Snapshot(), nil
	case ctx.Err() != nil:
		return m.Snapshot(), ctx.Err()
	default:
		return m.Snapshot(), m.core.fatal
	}
}

// farewell tells the workers that the job has ended, and gives slots back: after the
// resource manager knows, so that they do not come back. A worker that keeps ends which are
// not recorded keeps a slot as well, until the job's result is recorded.
func (m *Master) farewell(ctx context.Context) {
	var calls sync.WaitGroup
	ctx, done := context.WithTimeout(ctx, farewellWait)
	defer done()
	for _, w := range m.core.pool.fleet {
		slots := slices.Concat(w.free, w.told.free)
		for _, s := range w.slots {
			if !w.keeps() {
				w.drop(s)
				slots = append(slots, s.name)
			}
		}
		calls.Go(func() {
			var err error
			if len(slots) > 0 {
				err = w.at.FreeSlots(ctx, m.cfg.Term, slots)
			}
			if err = errors.Join(err, w.at.Disconnect(ctx, m.peer(), errEnded.Error())); err != nil {
				m.log.Debug("worker did not hear of the job's end", "worker", w.who.ID, "error", err)
			}
		})
	}
	calls.Wait()
}

func (m *Master) peer() gateway.Peer { return gateway.Peer{Term: m.cfg.Term, Job: m.cfg.Job.ID} }

// hear takes in what came of a call.
func (m *Master) hear(e event) { _ = m.tell(e) } // it runs until its calls have ended

// act does what the core wants.
func (m *Master) act(a actions) {
	m.store(a)
	m.manage(a)
	for _, x := range a.exchanges {
		m.run.call(func(ctx context.Context) { m.hear(m.exchange(ctx, x)) })
	}
	for _, b := range a.beats {
		m.run.call(func(ctx context.Context) {
			sent := time.Now()
			ctx, done := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
			defer done()
			_, err := b.at.Heartbeat(ctx, m.peer())
			m.hear(beaten{serial: b.serial, sent: sent, err: err})
		})
	}
	for _, p := range a.partings {
		m.run.call(func(ctx context.Context) { m.part(ctx, p) })
	}
	for _, give := range a.answers {
		give()
	}
	m.stats.gauge(&m.core.pool)
}

// store reads and writes the record.
func (m *Master) store(a actions) {
	if a.read {
		m.run.call(func(ctx context.Context) {
			p, err := m.cfg.Progress.Progress(ctx, m.cfg.Guard, m.cfg.Job.ID, m.cfg.Job.Graph)
			m.hear(recordRead{progress: p, err: err})
		})
	}
	if a.readOutputs != nil {
		m.run.call(func(ctx context.Context) {
			outputs, err := m.cfg.Progress.Outputs(ctx, m.cfg.Guard, m.cfg.Job.ID, a.readOutputs)
			m.hear(outputsRead{outputs: outputs, err: err})
		})
	}
	if a.write != nil {
		m.run.call(func(ctx context.Context) {
			err := m.cfg.Progress.PutProgress(ctx, m.cfg.Guard, m.cfg.Job.ID, a.write.progress, a.write.outputs...)
			m.hear(recordWritten{err: err})
		})
	}
}

// manage calls the resource manager.
func (m *Master) manage(a actions) {
	if a.connect {
		m.connect()
	}
	if a.reconnect != nil {
		_ = m.endpoint.Tell(func() { m.link.Reconnect(a.reconnect) }) // it runs
	}
	if d := a.declare; d != nil {
		m.run.call(func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
			defer done()
			err := d.at.DeclareNeeds(ctx, m.cfg.Term, m.cfg.Job.ID, d.needs)
			m.hear(needsDeclared{manager: d.manager, err: err})
		})
	}
	if h := a.holders; h != nil {
		m.run.call(func(ctx context.Context) {
			// The resource manager waits for about a time-out itself.
			ctx, done := context.WithTimeout(ctx, 2*m.cfg.HeartbeatTimeout)
			defer done()
			workers, err := h.at.Holders(ctx, m.cfg.Job.ID)
			m.hear(holdersKnown{manager: h.manager, workers: workers, err: err})
		})
	}
}

// exchange tells a worker what it is to do.
func (m *Master) exchange(ctx context.Context, x exchange) (e exchanged) {
	e.of, e.sent = x, time.Now()
	ctx, done := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
	defer done()
	if len(x.deploy) > 0 {
		if e.refusals, e.deployErr = x.at.Deploy(ctx, m.cfg.Term, x.deploy); e.deployErr != nil {
			return e
		}
	}
	if len(x.cancel) > 0 {
		e.cancelErr = x.at.CancelAttempts(ctx, m.cfg.Term, x.cancel)
	}
	if len(x.free) > 0 {
		e.freeErr = x.at.FreeSlots(ctx, m.cfg.Term, x.free)
	}
	return e
}

// part ends a connection.
func (m *Master) part(ctx context.Context, p parting) {
	defer p.hangUp()
	if p.reason == "" {
		return
	}
	ctx, done := context.WithTimeout(ctx, farewellWait)
	defer done()
	if err := p.at.Disconnect(ctx, m.peer(), p.reason); err != nil {
		m.log.Debug("lost worker could not be told", "error", err)
	}
}
