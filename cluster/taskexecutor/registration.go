package taskexecutor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// managerConnection returns the connection to the resource manager, to none at first.
func (e *Executor) managerConnection() (connection, error) {
	type connected = rpc.Connected[gateway.ResourceManager, gateway.WorkerReply]
	s := e.state
	return rpc.NewConnection(e.endpoint, rpc.ConnectionConfig[gateway.ResourceManager, gateway.WorkerReply]{
		Name: "resource manager", Logger: e.log,
		Retry: rpc.Retry{Delay: retryFixed, Pause: retryFirst, Pace: &e.managers},
		Dial: func(ctx context.Context, at rpc.Target) (gateway.ResourceManager, func(), error) {
			return e.cfg.Network.ResourceManager(ctx, leaderAt(at))
		},
		Register: e.registerAtManager,
		OnConnected: func(c connected) {
			s.managerReplied(c.Reply)
			e.log.Info("registered at the resource manager", "address", c.Target.Address, "epoch", int64(c.Target.Term.Epoch))
		},
		Serve: func(ctx context.Context, c connected) error {
			return pump(ctx, s.manager.link.work, e.cfg.Failures, func(ctx context.Context) error { return e.tellFreed(ctx, c.Gateway) })
		},
		OnLost: func(c connected, reason error) {
			missed(e.log, hclog.Warn, "not registered at the resource manager", c.Target, reason)
			s.managerLost(reason)
		},
		OnFailed:   func(_ rpc.Target, err error) { s.managerLost(err) },
		OnRejected: func(_ rpc.Target, err error) { s.end(err) },
		Farewell: func(ctx context.Context, m gateway.ResourceManager, reason error) {
			farewell(ctx, reason, func(ctx context.Context, why string) error { return m.DisconnectWorker(ctx, e.self, why, true) })
		},
	})
}

func (e *Executor) registerAtManager(ctx context.Context, m gateway.ResourceManager, _ rpc.Target) (gateway.WorkerReply, error) {
	report, err := ask(ctx, e, func(s *state) (gateway.WorkerReport, error) { return s.managerAsked(), nil })
	if err != nil {
		return gateway.WorkerReply{}, err
	}
	return m.RegisterWorker(ctx, gateway.WorkerRegistration{
		Worker: e.self, Labels: e.cfg.Labels, Release: e.cfg.Release, Report: report,
	})
}

// tellFreed tells the manager of slots that became free. All that come while a call is
// under way go together in the next one.
func (e *Executor) tellFreed(ctx context.Context, m gateway.ResourceManager) error {
	freed, err := ask(ctx, e, func(s *state) ([]gateway.Slot, error) { return s.takeFreed(), nil })
	if err != nil || len(freed) == 0 {
		return err
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := m.SlotsFreed(calling, e.self, freed); err != nil {
		e.whileConnected(ctx, func(s *state) { s.giveFreed(freed) })
		return fmt.Errorf("tell of %d free slots: %w", len(freed), err)
	}
	return nil
}

// whileConnected is tell for calls that mean nothing when a connection is over, with
// which ctx ends: the report at the next registration covers them.
func (e *Executor) whileConnected(ctx context.Context, call func(*state)) {
	e.tell(func(s *state) {
		if ctx.Err() == nil {
			call(s)
		}
	})
}

// manager is what is known of the resource manager.
type manager struct {
	link *link
	// since is when the worker was last not registered; it counts while it is not.
	since time.Time
	// failure is why the last registration failed or ended.
	failure error
	// freed are slots of which the manager was not told.
	freed []gateway.Slot
}

func (m *manager) unregistered(limit time.Duration) error {
	switch at := m.link.conn.Target(); {
	case m.failure != nil:
		return fmt.Errorf("%w for %s: %w", ErrUnregistered, limit, m.failure)
	case at.Term.Epoch == 0:
		return fmt.Errorf("%w for %s: none is known to lead", ErrUnregistered, limit)
	default:
		return fmt.Errorf("%w for %s: the one at %s has not answered", ErrUnregistered, limit, at.Address)
	}
}

// managerIs takes in who the resource manager is; a zero info says that there is none.
func (s *state) managerIs(info leader.Info) {
	m := &s.manager
	if info.SessionID == m.link.conn.Target().Term.SessionID || s.stopping {
		return
	}
	if info.Epoch > 0 {
		if err := s.fence.admit(termOf(info)); err != nil {
			s.log.Debug("a deposed resource manager is not followed", "error", err)
			return
		}
	}
	m.link.follow(targetOf(info))
	m.failure = nil
}

// managerAsked returns the report for a registration. It says which slots are free.
func (s *state) managerAsked() gateway.WorkerReport {
	s.manager.link.phase = linkRegistering
	s.manager.freed = nil
	return s.report(nil)
}

// managerReplied takes in that the resource manager has accepted the worker.
func (s *state) managerReplied(reply gateway.WorkerReply) {
	l := s.manager.link
	l.phase = linkRegistered
	s.peers.Monitor(l, cmp.Or(reply.HeartbeatTimeout, s.cfg.HeartbeatTimeout))
	s.manager.failure = nil
	if reply.Drain {
		s.drain()
	}
	l.wake()
}

// managerLost takes in that a registration has failed or ended.
func (s *state) managerLost(reason error) {
	l := s.manager.link
	if l.registered() {
		s.peers.Unmonitor(l)
		s.manager.since = s.now()
		s.wakeAt(s.manager.since.Add(s.cfg.UnregisteredLimit))
	}
	l.phase = linkAway
	s.manager.failure = reason
}

// takeFreed returns the slots to be told to the manager.
func (s *state) takeFreed() []gateway.Slot {
	freed := s.manager.freed
	s.manager.freed = nil
	return freed
}

// giveFreed takes back what could not be told.
func (s *state) giveFreed(freed []gateway.Slot) {
	s.manager.freed = append(freed, s.manager.freed...)
}
