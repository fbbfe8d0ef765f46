package jobmaster

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

const (
	// reconnectPause is waited before the master registers again at a resource manager
	// that was lost: one that accepts it and gives it up in turns does no harm.
	reconnectPause = 100 * time.Millisecond
	// forever is how long a resource manager is waited for: the term has one.
	forever time.Duration = math.MaxInt64
)

// Why the connection to the resource manager ends for good.
var (
	errEnded     = errors.New("the job has ended")
	errSuspended = errors.New("the leader's part of the job has ended")
)

// link is the connection to the resource manager of the master's term.
type link struct {
	*rpc.Connection[gateway.ResourceManager, none]
	// beats watches its heartbeats while it is connected.
	beats *rpc.HeartbeatReceiver[none]
	// registering says that the resource manager may know of the job, and be connected
	// any moment.
	registering bool
}

// newLink returns the connection, to nobody at first.
func (m *Master) newLink() (l link, err error) {
	type connected = rpc.Connected[gateway.ResourceManager, none]
	l.beats, err = rpc.NewHeartbeatReceiver(m.endpoint, func(none) { m.link.Reconnect(rpc.ErrHeartbeatTimeout) })
	if err != nil {
		return l, err
	}
	l.Connection, err = rpc.NewConnection(m.endpoint, rpc.ConnectionConfig[gateway.ResourceManager, none]{
		Name: "resource manager", Logger: m.log,
		Retry: rpc.Retry{DialTimeout: forever, Pause: reconnectPause},
		Dial: func(ctx context.Context, _ rpc.Target) (gateway.ResourceManager, func(), error) {
			at, err := m.cfg.Resources.ResourceManager(ctx)
			return at, func() {}, err
		},
		Register: m.register,
		OnConnected: func(c connected) {
			m.link.beats.Monitor(none{}, m.cfg.HeartbeatTimeout)
			m.step(managerConnected{at: c.Gateway})
		},
		OnLost: func(_ connected, reason error) {
			m.link.registering = false
			m.link.beats.Unmonitor(none{})
			m.step(managerLost{reason: reason.Error()})
		},
		OnFailed: func(rpc.Target, error) { m.link.registering = false },
		Farewell: m.leaveManager,
	})
	return l, err
}

// connect begins to follow the resource manager.
func (m *Master) connect() {
	m.link.SetTarget(rpc.Target{Endpoint: leader.ResourceManager, Term: m.cfg.Term})
}

// register registers at a resource manager.
func (m *Master) register(ctx context.Context, at gateway.ResourceManager, _ rpc.Target) (none, error) {
	_ = m.endpoint.Tell(func() { m.link.registering = true }) // else it is given up
	return none{}, at.RegisterJobMaster(ctx, gateway.MasterRegistration{Term: m.cfg.Term, MasterLocation: m.cfg.Location})
}

// leaveManager tells a resource manager that the job has ended, if it has.
func (m *Master) leaveManager(ctx context.Context, at gateway.ResourceManager, reason error) {
	if !errors.Is(reason, errEnded) {
		return
	}
	ctx, done := context.WithTimeout(ctx, farewellWait)
	defer done()
	if err := at.DisconnectJobMaster(ctx, m.cfg.Term, m.cfg.Job.ID, reason.Error()); err != nil {
		m.log.Debug("resource manager did not hear of the job's end", "error", err)
	}
}

// heard takes in a heartbeat of the resource manager. It may know of this job before the
// registration is answered. Error: gateway.ErrNotRegistered.
func (m *Master) heard() error {
	if !m.link.beats.Heard(none{}) && !m.link.registering {
		return gateway.ErrNotRegistered
	}
	return nil
}
