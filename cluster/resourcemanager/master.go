package resourcemanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
)

// master is a job's master that is registered.
type master struct {
	link
	gateway.MasterLocation
	gateway gateway.JobMaster
}

// masterTurn names the turn of a job's master.
func masterTurn(id job.ID) string { return "master/" + string(id) }

// fenced returns an error unless the term is the manager's.
func (m *Manager) fenced(term leader.TermID) error {
	if term != m.term.ID {
		return fmt.Errorf("%w: the call is of %s, the manager of %s", gateway.ErrFencingToken, term, m.term.ID)
	}
	return nil
}

// RegisterJobMaster implements gateway.ResourceManager. The needs of a master that was
// registered before end: it declares them again. Besides the contract's errors there is
// gateway.ErrFencingToken for a leader that is not in the manager's term.
func (m *Manager) RegisterJobMaster(ctx context.Context, r gateway.MasterRegistration) error {
	err := m.awaitLeader(ctx, r.Term)
	if err == nil {
		err = m.fenced(r.Term)
	}
	if err == nil {
		_, err = perform(ctx, m, func(term context.Context) (struct{}, error) {
			dial, cancel := context.WithCancelCause(term)
			defer cancel(nil)
			defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
			return struct{}{}, m.connectMaster(dial, cancel, r.MasterLocation, ctx.Err)
		})
	}
	if err != nil {
		return fmt.Errorf("register master of job %q: %w", r.Job, err)
	}
	return nil
}

// awaitLeader waits until a leader is known, and returns nil if it is of the given term.
// A leader that is older than that is about to be replaced, and is given a moment.
func (m *Manager) awaitLeader(ctx context.Context, term leader.TermID) error {
	if err := m.serving(); err != nil {
		return err
	}
	patience, moment := time.NewTimer(m.cfg.JobLeaderWait), time.NewTimer(m.cfg.interval())
	defer patience.Stop()
	defer moment.Stop()
	for {
		s, changed := m.cfg.Leaders.Latest()
		var older <-chan time.Time
		if s.Status == retrieval.StatusKnown {
			known := leader.TermID{SessionID: s.Info.SessionID, Epoch: s.Info.Epoch}
			if known == term {
				return nil
			}
			if known.Epoch >= term.Epoch {
				return fmt.Errorf("%w: the master is of %s, the leader of %s", gateway.ErrNotLeaderYet, term, known)
			}
			older = moment.C
		}
		select {
		case <-changed:
		case <-older:
			return fmt.Errorf("%w: the master is of %s, the leader still of epoch %d", gateway.ErrNotLeaderYet, term, s.Info.Epoch)
		case <-patience.C:
			return fmt.Errorf("%w: no leader was known for %s", gateway.ErrNotLeaderYet, m.cfg.JobLeaderWait)
		case <-m.endpoint.Done():
			return gateway.ErrNotLeader
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connectMaster connects back to a master and enters it in place of a former one, unless
// the caller has given the call up by then: it may have made another one, and declared
// its needs after that.
func (m *Manager) connectMaster(ctx context.Context, cancel context.CancelCauseFunc, at gateway.MasterLocation, givenUp func() error) error {
	give, err := m.turns.take(ctx, masterTurn(at.Job), true, cancel)
	if err != nil {
		return err
	}
	defer give()
	g, closeIt, err := m.cfg.Network.JobMaster(ctx, at, m.term.ID)
	if err != nil {
		return fmt.Errorf("connect back to %s: %w", at.Address, errors.Join(context.Cause(ctx), err))
	}
	// Whatever becomes of ctx, it must be known whether it was entered.
	err = m.do(context.WithoutCancel(ctx), func(st *state) error {
		err := givenUp()
		if err == nil {
			m.enter(st, at, g, closeIt)
		}
		return err
	})
	if err != nil {
		closeIt()
	}
	return err
}

// enter makes a master known and begins to watch it.
func (m *Manager) enter(st *state, at gateway.MasterLocation, g gateway.JobMaster, closeIt func()) {
	if former := st.masters[at.Job]; former != nil {
		m.leave(st, former, errReplaced, "")
	}
	fresh := &master{
		link:           link{scope: st.sub(), hangUp: closeIt, leave: g.DisconnectResourceManager},
		MasterLocation: at, gateway: g,
	}
	st.masters[at.Job] = fresh
	m.log.Debug("job master registered", "job", at.Job, "address", at.Address)
	st.askMasters.Monitor(fresh, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, g.Heartbeat(ctx, gateway.Peer{Term: m.term.ID, Job: at.Job})
	})
}

// leave forgets a master and its needs, and tells it why unless the reason is empty.
func (m *Manager) leave(st *state, gone *master, cause error, reason string) {
	m.unlinkMaster(st, gone, cause, reason)
	st.pool.dropNeeds(gone.Job)
}

func (m *Manager) unlinkMaster(st *state, gone *master, cause error, reason string) {
	delete(st.masters, gone.Job)
	st.askMasters.Unmonitor(gone)
	m.part(&gone.link, cause, reason)
}

// masterLost forgets a master that does not answer any more, or says itself that it has
// ended: that it disconnected was not heard then.
func (m *Manager) masterLost(st *state, gone *master, err error) {
	switch {
	case st.over():
	case ended(err):
		m.log.Debug("job master has ended", "job", gone.Job, "reason", err)
		m.leave(st, gone, errStopped, "")
	default:
		m.log.Warn("job master is lost", "job", gone.Job, "address", gone.Address, "reason", err)
		m.cfg.Hooks.masterLost()
		m.leave(st, gone, errLost, "no heartbeat: "+err.Error())
	}
}

// DisconnectJobMaster implements gateway.ResourceManager. One that is not registered is
// no error.
func (m *Manager) DisconnectJobMaster(ctx context.Context, term leader.TermID, id job.ID, reason string) error {
	err := m.fenced(term)
	if err == nil {
		err = m.do(ctx, func(st *state) error {
			if gone := st.masters[id]; gone != nil {
				m.log.Debug("job master disconnected", "job", id, "reason", reason)
				m.leave(st, gone, errStopped, "")
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("disconnect master of job %q: %w", id, err)
	}
	return nil
}

// DeclareNeeds implements gateway.ResourceManager. Needs with the same labels are summed.
// It refuses labels that no worker can have, and negative numbers.
func (m *Manager) DeclareNeeds(ctx context.Context, term leader.TermID, id job.ID, needs []gateway.Need) error {
	err := m.fenced(term)
	for _, n := range needs {
		if err == nil && n.Count < 0 {
			err = fmt.Errorf("%d slots are needed", n.Count)
		}
		if err == nil {
			err = job.CheckLabels(n.Requires)
		}
	}
	if err == nil {
		err = m.do(ctx, func(st *state) error {
			if st.masters[id] == nil {
				return gateway.ErrNotRegistered
			}
			st.pool.setNeeds(id, needs)
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("declare needs of job %q: %w", id, err)
	}
	return nil
}

// tellMaster tells a master that a worker is gone. It tries as long as the master is
// there.
func (m *Manager) tellMaster(to *master, w gateway.Worker, reason string) {
	to.begin(func(ctx context.Context) {
		for {
			call, cancel := context.WithTimeout(ctx, m.cfg.HeartbeatTimeout)
			err := to.gateway.DisconnectWorker(call, w, reason)
			cancel()
			if err == nil || ended(err) {
				return
			}
			m.log.Debug("job master could not be told of a lost worker", "job", to.Job, "worker", w.ID, "error", err)
			if !wait(ctx, m.cfg.interval()) {
				return
			}
		}
	})
}
