package resourcemanager

import (
	"context"
	"errors"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/rpc"
)

// Why a link ended, as the cause of its context.
var (
	errLost     = errors.New("peer is lost")
	errReplaced = errors.New("peer registers again, or is another")
	errStopped  = errors.New("peer stopped")
)

// link is a connection to a peer that is registered. Its scope ends with it.
type link struct {
	scope
	// leave tells the peer that the manager goes, or regards it as gone.
	leave  func(ctx context.Context, reason string) error
	hangUp func()
}

// part ends a link: calls are broken off, and the connection is closed when the peer was
// told why, or at once when the reason is empty.
func (m *Manager) part(l *link, cause error, reason string) {
	l.end(cause)
	if reason == "" {
		l.hangUp()
		return
	}
	_ = m.endpoint.Go(func(ctx context.Context) { // it runs
		defer l.hangUp()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(farewell, m.cfg.HeartbeatTimeout/farewellShare))
		defer cancel()
		if err := l.leave(ctx, reason); err != nil {
			m.log.Debug("peer could not be told", "reason", reason, "error", err)
		}
	})
}

// stop is called when the term is over. It takes leave of all peers: a leader that
// resigned says so, one that lost its term says nothing.
func (m *Manager) stop(ctx context.Context) {
	_, _ = rpc.Ask(ctx, m.endpoint, func() (struct{}, error) { // else it has panicked
		cause, reason := m.state.cause(), ""
		if errors.Is(cause, election.ErrResigned) {
			reason = "the leader resigned"
		}
		m.partAll(m.state, cause, reason)
		return struct{}{}, nil
	})
}

// partAll ends all links.
func (m *Manager) partAll(st *state, cause error, reason string) {
	for _, w := range st.workers {
		m.unlinkWorker(st, w, cause, reason)
	}
	for _, gone := range st.masters {
		m.unlinkMaster(st, gone, cause, reason)
	}
}

// ended reports whether an error says that the component that was called has ended, or
// has forgotten the manager.
func ended(err error) bool {
	return errors.Is(err, gateway.ErrStopped) || errors.Is(err, gateway.ErrNotRegistered) ||
		errors.Is(err, gateway.ErrFencingToken) || errors.Is(err, rpc.ErrNoEndpoint)
}
