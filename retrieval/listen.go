package retrieval

import (
	"context"

	"github.com/coordd/coordd/leader"
)

// Listener is told of changes of what is known about a leader.
type Listener interface {
	// LeaderChanged is called with the newest state. Calls come one at a time, in
	// order. One that takes long delays nobody else, and finds the newest state at
	// the next call; what was in between is left out.
	LeaderChanged(s State)
}

// ListenerFunc is a function as a Listener.
type ListenerFunc func(s State)

var _ Listener = ListenerFunc(nil)

// LeaderChanged calls f.
func (f ListenerFunc) LeaderChanged(s State) { f(s) }

// Listen calls l with the current state, and again whenever Status or Info
// changed, on the caller's goroutine. It blocks until ctx ends and returns ctx's
// error. A call under way is not interrupted.
//
// It tells of every loss of the backend, too. Who wants to hear of other leaders
// only calls ListenLeader.
func (r *Retriever) Listen(ctx context.Context, l Listener) error {
	var told State
	for begun := false; ctx.Err() == nil; begun = true {
		s, changed := r.State()
		if !begun || !s.tells(told) {
			told = s
			l.LeaderChanged(s)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// ListenLeader calls announce with the leader, and again whenever the backend has
// confirmed another one: another term, told by session ID and epoch, even at the same
// address; something else that the same term has published, such as an address; or
// that nobody leads, with leads false and a zero info. Losing the backend and finding
// the same leader afterwards announces nothing.
//
// The first call tells what was confirmed last, be it from before a loss of the
// backend; without any answer so far it comes with the first one. Whether what was
// announced is confirmed now is to be seen from Current.
//
// Calls come on the caller's goroutine, one at a time and in order. One that takes
// long delays nobody else, and finds the newest answer at the next call; what was in
// between is left out. ListenLeader blocks until ctx ends and returns ctx's error. A
// call under way is not interrupted.
func (r *Retriever) ListenLeader(ctx context.Context, announce func(info leader.Info, leads bool)) error {
	var told confirmation
	for ctx.Err() == nil {
		last, changed := r.confirmed()
		if last != told {
			told = last
			announce(last.info, last.status == StatusKnown)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// Wait returns the first state for which enough is true, the current one
// included. It blocks until then, or until ctx ends: then it returns the newest
// state with ctx's error. It calls enough on the caller's goroutine, once for the
// current state and once for each later one that it gets to see.
func (r *Retriever) Wait(ctx context.Context, enough func(State) bool) (State, error) {
	for {
		s, changed := r.State()
		if enough(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return r.Current(), ctx.Err()
		}
	}
}

// WaitKnown returns the first state with a known leader, like Wait.
func (r *Retriever) WaitKnown(ctx context.Context) (State, error) {
	return r.Wait(ctx, func(s State) bool { return s.Status == StatusKnown })
}

// WaitIndex returns the first state whose index is larger than the given one, like
// Wait. It is made for long polls: a caller passes the index that it has seen, from
// whichever participant, and gets something newer.
func (r *Retriever) WaitIndex(ctx context.Context, index int64) (State, error) {
	return r.Wait(ctx, func(s State) bool { return s.Index > index })
}
