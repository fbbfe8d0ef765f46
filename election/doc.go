// Package election lets a process contend for leadership and act as the leader
// for one term at a time.
//
// A participant gives an Elector a Contender and calls Run, to lead whenever it can,
// or Campaign, to lead for one term. Each call of
// Contender.Lead is one term: it gets a context that ends with the term, a Term
// that proves leadership to the stores, and must return when the context ends.
//
// # Who is authoritative
//
// The backend is, and nobody's clock. A Driver grants a Tenure only after the
// backend confirmed that this participant leads. Whether a write is accepted is
// decided by the backend too: every write of a term carries the term's
// leader.Guard, and a write of a term that no longer leads fails with
// leader.ErrFenced, however late it arrives.
//
// # What is promised
//
//   - Monotone epochs. Each term's epoch is larger than every earlier one's. An
//     Elector that is granted a smaller epoch than it had before, in this Run or
//     Campaign or in an earlier one, refuses to lead and returns an error: the
//     backend's data went back in time.
//   - Lease before expiry. The term's context ends at the latest Config.StopGrace
//     before another participant could be elected, provided that the process
//     runs. A process that was paused for longer finds its context ended when it
//     wakes up, and until it notices its writes are fenced.
//   - No overlap. Lead is never called again before the former call returned,
//     whatever happens to the backend. Across processes two calls of Lead may
//     overlap only when one process was paused or overran its grace; then the
//     older one is fenced.
//   - Release after return. Leadership is given up only after Lead returned, so
//     a successor that was elected by a release never meets its predecessor.
//
// What is not promised: that a leader learns of its loss at once. Between the
// loss at the backend and the end of the context only the guard protects. Acts
// that do not go through a guarded store should carry Term.Epoch, and their
// receiver should refuse smaller ones.
//
// # States
//
// Run is a loop of four states, each a method of that name:
//
//	 Run, Campaign
//	  │
//	  v         granted           Lead returned
//	contend ─────────────> lead ─────────────────> release ───┐
//	 │    ^                 │                         │       │ failed, or lost
//	 │    │                 │ Lead overran            │       v too early
//	 │    ├─────────────────┼─────────────────────────┘      rest
//	 │    └─────────────────┼─────────────────────────────────┤
//	 │ ctx ended, or        v                                 │ ctx ended, or
//	 │ cannot contend    ErrStopGrace                         │ Fatal
//	 └────────────────────> Run returns <─────────────────────┘
//
// Campaign goes the same way once, and returns after release: with what Lead
// returned, or with the cause for which its term ended.
//
// Within lead, the context of Lead ends when the tenure is lost, on Resign, or when
// the context of Run or Campaign ends; the state is left when Lead returned, or
// failed to.
//
// # Trust and the stop grace
//
// The trust window of a tenure belongs to its driver: it counts from before the
// newest acknowledged renewal was sent, and the driver reports the loss
// StopGrace before the window closes. In that time Lead must return. A Lead that
// does not is still acting when somebody else may lead, which nothing inside the
// process can undo; so Run or Campaign returns ErrStopGrace without releasing, the
// Elector refuses to run again, and the process should exit.
//
// # Causes
//
// context.Cause of the term's context says why the term ended: ErrSessionExpired,
// ErrLeaseExpired, ErrDisconnected or ErrNodeDeleted when leadership was lost,
// ErrResigned when it was given up: by Resign, by a Transfer that anybody asked for,
// by the end of the context of Run or Campaign, or because Lead (or a member of a
// Group) returned.
//
// # Rest
//
// After a term that failed (Lead returned an error, or leadership was lost before
// the term became ready) Run waits before it contends again, so that another
// participant can try and a broken one does not spin. The pauses double from
// Backoff.Min to Backoff.Max, with jitter, until a term became ready or lasted
// longer than Backoff.Max.
//
// After a term that was given up in good order it stands back for 10 ms, so that its
// successor has the backend for itself while its leadership is confirmed.
//
// # Goroutines
//
// Run and Campaign start one goroutine for each term, which calls the Contender and
// the Hooks, and wait for it. A Driver's Campaign, the term and Release of one Elector
// never overlap, nor do the Publish calls of one tenure.
package election
