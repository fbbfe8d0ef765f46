// Package retrieval follows the leader of a component and announces its changes.
//
// A Retriever holds what is known about one component's leader. Run follows the
// backend through a Driver; any number of others ask for the newest state
// (Current, State), wait for one (Wait, WaitIndex), are called at each change of it
// (Listen), or at each change of leader only (ListenLeader). None of them can delay
// the Retriever or one another.
//
// # Who is authoritative
//
// The backend is. A State is what this participant last heard, never a proof: by
// the time it is read the leader may have been deposed. That is harmless, since a
// deposed leader's writes are fenced; who is asked by mistake refuses or fails.
//
// # What is promised
//
//   - Never back: once a leader of some epoch was announced, none of an older
//     epoch ever is, although a reconnect or another session may lead to a server
//     that is behind. Nor does such a server bring a leader back that had gone, or
//     make one vanish that came later than what it shows.
//   - Terms, not addresses: a leader is told from another by its session ID and
//     epoch. A new term is announced also when the address is the same.
//   - Convergence: as soon as the driver reports the newest leader, it is the
//     state of Current, and every waiter and listener is woken. A listener that is
//     slow misses what was in between, never what is newest.
//
// What is not promised: that every leader is announced, nor that a leader which
// was announced can be reached.
//
// # States
//
// Four things are kept apart: a leader is known; there is none, says the backend;
// the backend has not answered yet since it could be reached, so nothing is
// confirmed; and it cannot be reached, so nothing can be known.
//
//	         ┌────────────┬───── backend lost, or Run ended ───┐
//	         │            │                                    │
//	         ▼   reached  │             nobody                 │
//	Run ▶ unknown ──▶ unconfirmed ───────────────▶ none ───────┤
//	                      │                        │  ▲        │
//	                      │                        ▼  │        │
//	                      └─────────────────────▶ known ───────┘
//	                              a leader         │  ▲
//	                                               └──┘ newer term
//
// A backend that answers as soon as it is reached skips unconfirmed. One whose answer
// cannot be read, because a newer release wrote it, goes back there.
//
// A state that is neither known nor none says nothing about the leader: Info stays
// what was confirmed last, and a leader that was known probably goes on leading. So
// ListenLeader is silent about them.
//
// An answer that is older than what was confirmed, by epoch or by index, changes
// nothing, in any state: while unconfirmed, a server that is behind confirms nothing.
//
// # Goroutines
//
// Run starts none beyond those of the driver. Wait, WaitIndex, Listen and
// ListenLeader run on their caller's; changes are broadcast by closing a channel,
// whatever the number of callers. A caller that waits costs its goroutine with about
// 5 KB, and no timer (bench/idle measures it); a change wakes all of them, also one of
// the index only. The backend sees one follower for each Run, however many listen.
package retrieval
