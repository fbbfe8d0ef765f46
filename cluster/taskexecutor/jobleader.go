package taskexecutor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/rpc"
)

const (
	// maxCalls is how many AttemptsEnded of a job are under way at once.
	maxCalls = 4
	// gather is how old the youngest of them is when the next one leaves.
	gather = 5 * time.Millisecond
	// settleTimeout is how long the master's store may take.
	settleTimeout = 30 * time.Second
)

// masterConnection returns the connection to a job's master, to none at first.
func (e *Executor) masterConnection(t *tenant) (connection, error) {
	type connected = rpc.Connected[gateway.JobMaster, gateway.JobReply]
	s, log := e.state, e.log.With("job", t.id)
	return rpc.NewConnection(e.endpoint, rpc.ConnectionConfig[gateway.JobMaster, gateway.JobReply]{
		Name: "job master", Logger: log, FailureLevel: hclog.Info,
		// The master may only just be starting.
		Retry: rpc.Retry{Delay: retryFirst, MaxDelay: retryFixed, Pause: retryFirst, Pace: &e.masters},
		Dial: func(ctx context.Context, at rpc.Target) (gateway.JobMaster, func(), error) {
			return e.cfg.Network.JobMaster(ctx, leaderAt(at), t.id)
		},
		Register: func(ctx context.Context, m gateway.JobMaster, _ rpc.Target) (gateway.JobReply, error) {
			report, err := ask(ctx, e, func(s *state) (gateway.JobReport, error) { return s.masterAsked(t), nil })
			if err != nil {
				return gateway.JobReply{}, err
			}
			return m.RegisterWorker(ctx, e.self, report)
		},
		OnConnected: func(c connected) {
			log.Info("registered at the job's master", "address", c.Target.Address, "epoch", int64(c.Target.Term.Epoch),
				"slots", len(t.slots), "running", len(t.running), "ended", len(t.kept))
			s.masterReplied(t, c.Reply)
		},
		Serve: func(ctx context.Context, c connected) error {
			return (&masterSession{e: e, tenant: t, master: c.Gateway}).serve(ctx)
		},
		OnLost: func(c connected, reason error) {
			missed(log, hclog.Info, "not registered at the job's master", c.Target, reason)
			s.masterLost(t)
		},
		OnFailed:   func(rpc.Target, error) { s.masterLost(t) },
		OnRejected: func(rpc.Target, error) { s.masterLost(t) },
		Farewell: func(ctx context.Context, m gateway.JobMaster, reason error) {
			farewell(ctx, reason, func(ctx context.Context, why string) error { return m.DisconnectWorker(ctx, e.self, why) })
		},
	})
}

// masterSession is what the worker does while a job's master knows it.
type masterSession struct {
	e      *Executor
	tenant *tenant
	master gateway.JobMaster
}

// serve offers slots and reports ends. Neither waits for the other.
func (m *masterSession) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	offering := make(chan struct{})
	go func() {
		defer m.e.endpoint.Recover(nil)
		defer close(offering)
		cancel(pump(ctx, m.tenant.link.offers, m.e.cfg.Failures, m.offer))
	}()
	cancel(m.reportEnds(ctx))
	<-offering
	return context.Cause(ctx)
}

// offer offers the slots of which the master does not know, and frees those that it
// refuses.
func (m *masterSession) offer(ctx context.Context) error {
	slots, err := ask(ctx, m.e, func(*state) ([]gateway.Slot, error) { return m.tenant.takeOffers(), nil })
	if err != nil || len(slots) == 0 {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	taken, err := m.master.OfferSlots(calling, m.e.self, slots)
	if err != nil {
		m.e.whileConnected(ctx, func(*state) { m.tenant.giveOffers(slots) })
		return fmt.Errorf("offer %d slots: %w", len(slots), err)
	}
	var refused []gateway.Slot // another list: the master may have kept the first
	for _, slot := range slots {
		if !slices.Contains(taken, slot) {
			refused = append(refused, slot)
		}
	}
	m.e.tell(func(s *state) { s.freeNamed(refused) })
	return nil
}

// reportEnds reports ends in batches. One leaves at once when none is under way, and
// otherwise when the youngest has been so for a moment: many ends share a call, and a
// slow call holds up nobody.
func (m *masterSession) reportEnds(ctx context.Context) error {
	calling, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	results := make(chan error, maxCalls)
	timer := time.NewTimer(gather)
	defer timer.Stop()
	p := departures{limit: m.e.cfg.Failures}
	for queued := true; ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		case <-m.tenant.link.work:
			if ctx.Err() != nil {
				m.tenant.link.wake() // it is the next connection's
				return context.Cause(ctx)
			}
			queued = true
		case err := <-results:
			queued = queued || err != nil
			if err := p.arrived(time.Now(), err); err != nil {
				return err
			}
		}
		for queued {
			wait, ok := p.next(time.Now())
			if !ok {
				break // until one of those under way has arrived
			}
			if wait > 0 {
				timer.Reset(wait)
				break
			}
			b, err := ask(ctx, m.e, func(s *state) (batch, error) { return s.takeEnds(m.tenant), nil })
			if err != nil {
				return err
			}
			if queued = len(b.kept) > 0; queued {
				p.departed(time.Now())
				calls.Go(func() { results <- m.deliver(calling, b) })
			}
		}
	}
}

// deliver makes one call, and tells the state what became of it.
func (m *masterSession) deliver(ctx context.Context, b batch) error {
	defer m.e.endpoint.Recover(nil)
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	err := m.master.AttemptsEnded(ctx, m.e.self, b.ends())
	m.e.tell(func(s *state) { s.delivered(m.tenant, b, err == nil) })
	if err != nil && ctx.Err() != nil {
		return errSlow // the master may be there, and its store not
	}
	return err
}

var errSlow = errors.New("the job's master has not settled the ends of attempts in time")

// departures says when the next call may leave.
type departures struct {
	// limit is how many failures in a row say that the other side is gone.
	limit int

	under, failures int
	// latest is when the youngest call left, hold until when none may.
	latest, hold time.Time
}

// next returns how long to wait before the next call. ok is false when that depends
// on those under way.
func (d *departures) next(now time.Time) (wait time.Duration, ok bool) {
	if d.under >= maxCalls {
		return 0, false
	}
	wait = d.hold.Sub(now)
	if d.under > 0 {
		wait = max(wait, d.latest.Add(gather).Sub(now))
	}
	return max(0, wait), true
}

func (d *departures) departed(now time.Time) {
	d.under++
	d.latest = now
}

// arrived takes in the result of a call, and returns an error when the registration
// is to be regarded as lost.
func (d *departures) arrived(now time.Time, err error) error {
	d.under--
	switch {
	case err == nil:
		d.failures = 0
		return nil
	case errors.Is(err, errSlow):
	default:
		if d.failures++; d.failures >= d.limit || over(err) {
			return fmt.Errorf("report ends of attempts: %w", err)
		}
	}
	d.hold = now.Add(retryFirst)
	return nil
}
