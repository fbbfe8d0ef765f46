// Package embedded is a backend of coordd in one process, without ZooKeeper: for
// standalone clusters, for development, and for tests, which can disturb it in
// every way in which ZooKeeper fails.
//
// A Backend is the shared space; each Participant of it stands for one process
// and is an ha.Services. Data lives in the memory of the Backend and outlives its
// participants, so that one takes over from another as it would on ZooKeeper.
//
// # The model
//
// A running participant has a session. While it is connected the session lives;
// when it is cut off the backend ends the session after the session time-out.
// With a session go its candidacies and all that was published under them.
//
//	              Run                     Disconnect
//	(not started) ───▶ connected, session ──────────▶ cut off, session ──┐
//	                      ▲  ▲   │                      │                │ session
//	                      │  └───┼──────────────────────┘                │ time-out
//	               Expire,│      │          Reconnect                    ▼
//	      RemoveCandidacy:│      │ Run ends                 cut off, session ended
//	           new session└──────┤                                       │
//	                      ▲      ▼                                       │
//	                      │   stopped: session closed                    │
//	                      └──────────────────────────────────────────────┘
//	                          Reconnect: new session
//
// Kill leads from everywhere to the end: every call fails, and the session, which
// nobody closes, expires.
//
// The latch is a queue of candidacies in the order in which they came. The first
// leads; its epoch is the number of the change that put it into the queue, so
// epochs grow from leader to leader.
//
//	 join           first, and connected            released, or session
//	──────▶ waiting ────────────────────▶ leading ──────────────────────▶ gone
//	           │                             │ cut off for session time-out
//	           │ session ends,               │ - margin - stop grace
//	           │ removed                     ▼
//	           └────▶ gone              leading, term lost ─────────────▶ gone
//
// # The guard
//
// The guard of a term is its candidacy. Every read and every write checks, under
// the one lock of the backend, that this candidacy is first in the queue, and
// takes effect under the same lock. So it takes effect exactly while the term
// leads, as ZooKeeper's guarded multi does, and not while somebody believes that
// it does: a term whose lease ran out still leads until its successor does, and a
// term whose session ended at the backend does not, though its participant may not
// know yet.
//
// # Standalone
//
// With Config.Standalone the cluster has one coordinator, which is granted
// leadership as soon as it contends; a second participant and a second candidacy
// are refused. Addresses are fixed: retrieval answers Config.Leaders without
// asking anybody, until the participant publishes what it leads.
package embedded
