package retrieval

import "context"

// Listener is told of changes of a leader.
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
func (r *Retriever) Listen(ctx context.Context, l Listener) error {
	var told *State
	for ctx.Err() == nil {
		s, changed := r.snapshot()
		if told == nil || !s.tells(*told) {
			told = &s
			l.LeaderChanged(s)
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
		s, changed := r.snapshot()
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
