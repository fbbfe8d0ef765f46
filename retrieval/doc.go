// Package retrieval follows the leader of a component and announces its changes.
//
// A Retriever holds what is known about one component's leader. Run follows the
// backend through a Driver; any number of others ask for the newest state
// (Current), wait for one (Wait, WaitIndex) or are called at each change
// (Listen). None of them can delay the Retriever or one another.
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
//     epoch ever is, although a reconnect may lead to a server that is behind.
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
// Three things are kept apart: a leader is known; there is none, says the
// backend; and the backend cannot be asked, so nothing is known.
//
//	          ┌──────────────── backend lost, or Run ended ──────────────┐
//	          │                                                          │
//	          v       answer: nobody                answer: a leader     │
//	Run ──> unknown ────────────────> none ──────────────────────────> known ─┐
//	        │   ^                    │    ^                            ^ │ ^  │ newer
//	        │   └─── backend lost ───┘    └──────── answer: nobody ────┼─┘ └──┘ term
//	        └───────────────────── answer: a leader ───────────────────┘
//
// An answer that names a leader of an older epoch than one seen before changes
// nothing, in any state. While unknown after known, State.Info still is the leader
// that was known last, which probably goes on leading.
//
// # Goroutines
//
// Run starts none beyond those of the driver. Wait, WaitIndex and Listen run on
// their caller's; changes are broadcast by closing a channel, whatever the number
// of callers.
package retrieval
