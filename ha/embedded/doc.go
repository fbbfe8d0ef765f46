// Package embedded is a backend of coordd in one process, without ZooKeeper: for
// standalone clusters, for development, and for tests, which can disturb it in
// every way in which ZooKeeper fails.
//
// A Backend is the shared space; each Participant of it stands for one process
// and is an ha.Services. Data lives in the memory of the Backend, or in a file, and
// outlives its participants, so that one takes over from another as it would on
// ZooKeeper.
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
// A transfer has the participants in between queue again, with a new place and epoch,
// and then ends the leader's term. Whoever is cut off can do neither, so it waits for
// them, or for the end of their sessions.
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
// A write to a file takes its time, so it holds a token in place of the lock. It
// begins under the lock, if the candidacy is first then, and takes effect under the
// lock when it is on disk; until that, nobody is granted leadership. So it stands
// before the end of its term, as far as any later term can see.
//
// # The file
//
// With Config.File the stored data is kept in one bbolt file, which the first Run of a
// participant opens and the last one closes; reads are served from memory. Commit
// returns nil when the transaction has been synced, so the process can be killed at
// any moment: what was acknowledged is there when the file is opened again, and each
// transaction is there as a whole or not at all. Sessions, candidacies and published
// leaders end with the process. The index that epochs come from is written with each
// transaction and moved on by more than can have been counted since whenever the file
// is opened, so no epoch comes twice.
//
// While a file is open nobody else can open it. A new one gets its name when it is
// whole. An existing one is checked before it is used, down to each page that bbolt
// will read and a sum over all values: a file that is foreign, truncated or damaged in
// whichever place is refused, with its name and the remedy, and left as it was.
//
// A write that fails, as on a full disk, has stored nothing, and the next may succeed:
// the transaction ends with an error, which is the caller's to deal with, and the term
// goes on. That holds while the file's old header counts, for bbolt writes the header
// last. When it does not, as after a failed sync of the header, nobody can tell what is
// on disk until it is read anew: the outcome is unknown, no more is written, and every
// Run returns with the reason, so that terms end.
//
// # Standalone
//
// With Config.Standalone the cluster has one coordinator, which is granted
// leadership as soon as it contends; a second participant and a second candidacy
// are refused. Addresses are fixed: retrieval answers Config.Leaders without
// asking anybody, until the participant publishes what it leads.
package embedded
