package taskexecutor

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/rpc"
)

const (
	// retryFirst is waited before a lost connection is made again, and before a failed
	// call is.
	retryFirst = 100 * time.Millisecond
	// retryFixed is waited after an error or a refusal.
	retryFixed = time.Second
	// callTimeout bounds a call that changes little at the other side.
	callTimeout = 10 * time.Second
	// farewellTimeout bounds the last call of a worker that stops.
	farewellTimeout = 2 * time.Second
)

// errFarewell: the other side has ended the registration.
var errFarewell = errors.New("the other side has disconnected")

// leaving is why the worker goes. Of no other end of a connection the other side is told.
type leaving string

func (l leaving) Error() string { return string(l) }

// linkPhase says whether the component at the other end may know the worker.
type linkPhase int

const (
	linkAway linkPhase = iota
	linkRegistering
	linkRegistered
)

// connection is what the state does with an rpc.Connection.
type connection interface {
	SetTarget(t rpc.Target)
	Reconnect(reason error)
	Close(reason error) (gone <-chan struct{})
	Target() rpc.Target
}

var (
	_ connection = (*rpc.Connection[gateway.ResourceManager, gateway.WorkerReply])(nil)
	_ connection = (*rpc.Connection[gateway.JobMaster, gateway.JobReply])(nil)
)

// link is a connection, as the state sees it. Who serves it is told things through its
// channels, without waiting.
type link struct {
	conn  connection
	phase linkPhase
	// work and offers say that there may be something to call for.
	work, offers chan struct{}
}

func newLink() *link {
	return &link{work: make(chan struct{}, 1), offers: make(chan struct{}, 1)}
}

func (l *link) registered() bool { return l.phase == linkRegistered }

// poke leaves a note, unless one is there.
func poke(note chan<- struct{}) {
	select {
	case note <- struct{}{}:
	default:
	}
}

// wake says that there may be ends or freed slots to report.
func (l *link) wake() { poke(l.work) }

// offer says that there may be slots to offer.
func (l *link) offer() { poke(l.offers) }

// follow connects to another leader, or to none, silently.
func (l *link) follow(t rpc.Target) {
	if t == l.conn.Target() {
		return
	}
	if l.phase == linkRegistering {
		l.phase = linkAway // of an attempt that is given up nobody is told
	}
	l.conn.SetTarget(t)
}

// targetOf returns a leader as a connection follows it; leaderAt returns what Network
// needs of it.
func targetOf(info leader.Info) rpc.Target {
	if info.Epoch == 0 {
		return rpc.Target{}
	}
	return rpc.Target{Address: info.RPCAddress, Endpoint: info.Component, Term: termOf(info)}
}

func leaderAt(t rpc.Target) leader.Info {
	return leader.Info{Component: t.Endpoint, RPCAddress: t.Address, SessionID: t.Term.SessionID, Epoch: t.Term.Epoch}
}

// missed logs that a registration is over, unless the worker wants it so. That the other
// side does is no trouble.
func missed(log hclog.Logger, trouble hclog.Level, what string, at rpc.Target, reason error) {
	if _, going := errors.AsType[leaving](reason); going || errors.Is(reason, rpc.ErrSuperseded) {
		return
	}
	if errors.Is(reason, errFarewell) {
		trouble = hclog.Info
	}
	log.Log(trouble, what, "address", at.Address, "epoch", int64(at.Term.Epoch), "reason", reason)
}

// farewell calls when the worker goes, within its bound.
func farewell(ctx context.Context, reason error, call func(ctx context.Context, reason string) error) {
	if why, going := errors.AsType[leaving](reason); going {
		ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
		defer cancel()
		_ = call(ctx, string(why)) // else heartbeats tell
	}
}

// pump calls send whenever there is work, one call at a time, and again while that
// fails. It returns when as many calls in a row have failed as say that the other
// side is gone, or when one says so itself.
func pump(ctx context.Context, work chan struct{}, limit int, send func(context.Context) error) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-work:
		}
		if ctx.Err() != nil {
			poke(work) // it is the next connection's
			return context.Cause(ctx)
		}
		for failures := 1; ; failures++ {
			err := send(ctx)
			if err == nil {
				break
			}
			if failures >= limit || over(err) {
				return err
			}
			if !pause(ctx, retryFirst) {
				return context.Cause(ctx)
			}
		}
	}
}

// over reports whether an error says by itself that the registration is no more.
func over(err error) bool {
	return errors.Is(err, gateway.ErrNotRegistered) || errors.Is(err, gateway.ErrFencingToken) ||
		errors.Is(err, gateway.ErrStopped)
}

// pause waits; it reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
