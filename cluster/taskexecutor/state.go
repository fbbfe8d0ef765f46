package taskexecutor

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

// ErrUnregistered: no resource manager has accepted the worker for too long.
var ErrUnregistered = errors.New("not registered at any resource manager")

// reportWait bounds how long a worker that stops waits for masters to settle the ends
// that it has.
const reportWait = 3 * time.Second

// world does what the state decides upon. Nothing of it blocks.
type world struct {
	// launch runs the attempt and tells the state of its end. It sets a.cancelled.
	launch func(a *attempt)
	// follow returns the connection to the master of a job, to none at first.
	follow func(t *tenant) (connection, error)
	// remove removes the folders of a job.
	remove func(id job.ID)
	// end ends Run's context.
	end func()
}

// state is all that the executor knows and has decided. The endpoint owns it; nothing
// here blocks. Every method is one event.
type state struct {
	cfg      Config
	self     gateway.Worker
	folders  *folders
	journals journalLimits
	world    world
	peers    *rpc.HeartbeatReceiver[*link]
	log      hclog.Logger
	now      func() time.Time

	// next is when tick is due, zero for never.
	next  time.Time
	fence fence

	// allocations numbers the slots handed out.
	allocations int
	held        map[gateway.Slot]*holding
	// attempts are those under way, of all jobs, forgotten ones too.
	attempts map[gateway.AttemptID]*attempt
	// waiting are those of them that start when there is room for more ends.
	waiting []*attempt
	tenants map[job.ID]*tenant
	kept    store
	// flights numbers the batches of ends.
	flights int64

	// dispatcher leads the jobs, zero while nobody is known to.
	dispatcher leader.Info
	manager    manager

	draining, stopping bool
	// err is what Run returns, once stopping.
	err error
	// stopBy is when a stopping worker waits no longer for ends to be settled; zero
	// while attempts are under way.
	stopBy time.Time
	counts counts
}

func newState(cfg Config, self gateway.Worker, peers *rpc.HeartbeatReceiver[*link], log hclog.Logger) *state {
	return &state{
		cfg: cfg, self: self, peers: peers, log: log, now: time.Now,
		journals: journalLimits{fileSize: cfg.LogFileSize, files: cfg.LogFiles, tail: cfg.OutputTail},
		held:     map[gateway.Slot]*holding{}, attempts: map[gateway.AttemptID]*attempt{}, tenants: map[job.ID]*tenant{},
		manager: manager{link: newLink()},
	}
}

// begin takes in that the worker runs.
func (s *state) begin() {
	s.manager.since = s.now()
	s.wakeAt(s.manager.since.Add(s.cfg.UnregisteredLimit))
}

// wakeAt has tick called at the time, or before.
func (s *state) wakeAt(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
	}
}

// tick sees to everything whose time is up.
func (s *state) tick() {
	s.next = time.Time{}
	now := s.now()
	for _, t := range s.tenants {
		s.overdue(t)
	}
	if !s.manager.link.registered() && !s.stopping {
		due := s.manager.since.Add(s.cfg.UnregisteredLimit)
		if now.Before(due) {
			s.wakeAt(due)
		} else {
			s.end(s.manager.unregistered(s.cfg.UnregisteredLimit))
		}
	}
	if !s.stopBy.IsZero() && now.Before(s.stopBy) {
		s.wakeAt(s.stopBy)
	}
}

// errTold is the error of a worker that stops because Run's context ends.
var errTold = errors.New("the worker was told to stop")

// stop refuses everything new and cancels what runs. Run will return the error; the
// first one counts.
func (s *state) stop(err error) {
	if s.stopping {
		return
	}
	s.stopping, s.err = true, err
	for _, a := range s.attempts {
		a.cancel("the worker stopped")
	}
}

// end stops the worker by its own decision.
func (s *state) end(err error) {
	s.stop(err)
	s.world.end()
}

// over reports whether Run may return: the worker was stopped, or is drained and
// empty; nothing runs; and what ran is settled, as far as anybody is there to do it.
func (s *state) over() bool {
	if s.draining && !s.stopping && len(s.held) == 0 && len(s.attempts) == 0 && s.kept.ends == 0 {
		s.log.Info("drained: the worker is empty and ends")
		s.end(nil)
	}
	if !s.stopping || len(s.attempts) > 0 {
		return false
	}
	if s.stopBy.IsZero() {
		s.stopBy = s.now().Add(reportWait)
		s.wakeAt(s.stopBy)
	}
	return !s.reporting() || !s.now().Before(s.stopBy)
}

// reporting says whether a master is there for ends that are not settled.
func (s *state) reporting() bool {
	for _, t := range s.tenants {
		if t.link.registered() && len(t.kept) > 0 {
			return true
		}
	}
	return false
}

// leave ends all connections, with a word of farewell, and returns what is closed when
// it was said.
func (s *state) leave() (gone []<-chan struct{}) {
	reason := leaving("the worker stopped")
	if s.err == nil {
		reason = "the worker was drained"
	}
	gone = append(gone, s.manager.link.conn.Close(reason))
	for _, t := range s.tenants {
		gone = append(gone, t.link.conn.Close(reason))
	}
	return gone
}

// linkOf returns the connection that a caller belongs to, or ErrNotRegistered. A caller
// counts also while the worker waits for the answer to its registration, which the
// caller may have given.
func (s *state) linkOf(from gateway.Peer) (*link, *tenant, error) {
	if err := s.fence.admit(from.Term); err != nil {
		return nil, nil, err
	}
	l, t := s.manager.link, (*tenant)(nil)
	if from.Job != "" {
		if t = s.tenants[from.Job]; t == nil {
			return nil, nil, gateway.ErrNotRegistered
		}
		l = t.link
	}
	if l.phase == linkAway || l.conn.Target().Term != from.Term {
		return nil, nil, gateway.ErrNotRegistered
	}
	return l, t, nil
}

// heartbeat takes in that a caller is there.
func (s *state) heartbeat(from gateway.Peer) (gateway.WorkerReport, error) {
	l, t, err := s.linkOf(from)
	if err != nil {
		return gateway.WorkerReport{}, err
	}
	s.peers.Heard(l)
	return s.report(t), nil
}

// disconnect takes in that a caller regards the worker as gone, or goes itself.
func (s *state) disconnect(from gateway.Peer, why string) error {
	l, t, err := s.linkOf(from)
	if errors.Is(err, gateway.ErrNotRegistered) {
		return nil // it is so
	}
	if err != nil {
		return err
	}
	reason := fmt.Errorf("%w: %s", errFarewell, why)
	registering := l.phase == linkRegistering
	l.conn.Reconnect(reason)
	switch { // of an attempt that is given up nobody is told
	case registering && t != nil:
		s.masterLost(t)
	case registering:
		s.managerLost(reason)
	}
	return nil
}

// masterAsked returns the report for a registration at a job's master.
func (s *state) masterAsked(t *tenant) gateway.JobReport {
	t.link.phase = linkRegistering
	return s.jobReport(t)
}

// masterLost takes in that a registration at a job's master has failed or ended.
func (s *state) masterLost(t *tenant) {
	if t.link.registered() {
		s.peers.Unmonitor(t.link)
		t.since = s.now()
	}
	t.link.phase = linkAway
	if !t.busy() {
		t.link.follow(rpc.Target{}) // the master has said that it needs nothing here
		return
	}
	s.review(t)
}
