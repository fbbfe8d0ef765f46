// Package batch makes many small transactions one: group commit over a backend's
// guarded storage.
//
// A durable write costs a round trip of the whole ensemble, whatever its size. So
// while one transaction of a term is in flight, those that come wait, and go
// together in the next flight, as one guarded transaction of the backend. Nobody
// waits for company: a transaction that finds nothing in flight leaves at once.
//
// A Driver has the three methods of what it stands on, so jobstore and resultstore
// need not know of it. What one caller is told of its transaction is what the
// backend would have told it of that transaction alone:
//
//	           takes off with up to MaxOps, MaxBytes
//	QUEUED ───────────────────────────────────▶ ABOARD ──▶ stored, fenced, or unknown
//	  │ ▲                                        │ │ │
//	  │ └── another's operation cannot be done ──┘ │ └─ its own operation cannot be
//	  │     (go again, in halves)                  │    done: *txn.OpError
//	  ▼ its context ends                           ▼ its context ends
//	the context's error: nothing is stored        txn.ErrUnknownOutcome
//
// # What shares a flight
//
// Transactions of the same guard, of which no two touch the same path or a path
// and one below it: those keep the order in which they came. There is one flight
// of a guard at a time; the flights of a term that is over hold up nobody in the
// next one.
//
// The backend stores a flight whole or not at all. When one of its operations
// cannot be done, the transaction that it belongs to gets the error, and the others
// go again, at most half as many together. So a transaction goes again at most once
// for each halving, and in the end alone. When the reply to a flight is lost, the
// backend issues the same flight again and compares what it finds with what it
// wrote: every created value carries a nonce, and nobody else writes to these paths
// before the flight has ended. An outcome that stays unknown is unknown to all
// aboard.
//
// # Who waits for what
//
// Nothing runs while nobody calls. A flight is a goroutine; its waiters are the
// callers aboard. One whose context ends leaves at once and does not disturb the
// others; the last one to leave cancels the flight and waits for its end.
//
// # Bounds
//
// Commit always queues: its callers (a job's master, its clean-up) have one
// transaction under way each, so there are never more than jobs. What comes from
// outside should use Bounded, which refuses with txn.ErrFull when too much waits.
package batch
