// Package resourcemanager knows the workers of a cluster and gives their slots to jobs.
//
// It has two layers, each with one duty:
//
//	Contender   an election.Contender: one manager a term, never two at once
//	Manager     one term: the workers, the job masters, and who gets which slots
//
// A Manager knows workers and masters as gateways, which it obtains through Network, and
// learns from Leaders whether a master that registers is the leader's. How calls travel
// does not appear in it.
//
// # Who is authoritative
//
// A worker is, about its slots: it names and allocates them. The manager asks for
// slots, and takes over what the worker reports, at registration and with each
// heartbeat. A master is, about its needs. The manager decides only which worker is
// asked to give how many slots to which job.
//
// The store keeps one record of each worker that is registered (workers/<id>: its
// instance, its address, since when and in which term it registered, and whether it
// drains), so that the next leader knows whom to wait for. It is written before the
// worker is told that it is registered, and deleted when the worker stops or is lost.
// A record that cannot be read is logged and dropped; one of a newer release ends the
// term. Slots and needs are not stored: who holds them tells the next leader.
//
// # A worker
//
//	 (unknown) ───── registers: connect back, store, ────┐
//	                 take its report over                │
//	 record of the                                       ▼    is drained, or drains itself
//	 former leader ──▶ EXPECTED ──── registers ───────▶ READY ──────▶ DRAINING
//	                      ▲                               │              │
//	                      └── disconnects, to register again ◀───────────┘
//
//	Not drawn: one that stops is forgotten, and each may be lost, which leads to
//	(unknown) too. An EXPECTED worker that was to drain becomes DRAINING.
//
// A worker is lost when its heartbeats got no answer for the time-out, or several in a
// row failed; when it was EXPECTED for the time-out; at once when it was EXPECTED from
// the manager's start and its address refuses connections; and when another instance of
// the same ID registers. Each loss is signalled once: the masters of the jobs that have
// slots there are told (DisconnectWorker), and the worker, should it hear, so that it
// registers again. What it had counts no more: a worker that comes back, also in the
// same instance, has what its new report says.
//
// A worker that disconnects without having stopped keeps its slots while it is
// EXPECTED, and gets no further ones.
//
// Two processes with one ID: if the former still answers, at another address, the newer
// one is refused for good, with both addresses; else the former is lost.
//
// Whatever concerns one worker's registration or record (register, stop, drain, forget)
// happens one after another. A registration under way is superseded by a newer one, and
// while it waits for the worker also by the end of its caller. What is being stored is
// never broken off, so that no late write can overtake a newer one.
//
// # A job's master
//
//	           its leader is the retrieved one, connect back
//	(unknown) ──────────────────────────────────────────────▶ registered ──▶ needs
//	    ▲                                                         │
//	    └── disconnects, is lost, registers again: its needs end ◀┘
//
// A master that comes before its leader is known waits for it, at most JobLeaderWait. It
// is lost as a worker is, and told so. One that answers that it has ended, or that it is
// not registered, has disconnected without being heard.
// A job's slots stay its own when its master goes: the next one may adopt what runs
// there.
//
// # Recovery
//
// The manager serves as soon as it has read the records. Holders answers when no worker
// of the records is EXPECTED any more, which takes as long as the slowest of them needs
// to register, or a heartbeat time-out if one is gone without a trace. Until then a
// recovered job cannot know what runs already.
//
// # Slots
//
// The slot manager (pool) is a pure core: what happened goes in through its methods, and
// decide says which slots to request and which to ask back. Its rules:
//
//   - A slot goes only to a job that lacks one, from a worker that has all labels which
//     are required. As many of a job's slots as possible count for its needs, whatever
//     they were requested for.
//   - Shares are equal: the next slot goes to the job with the fewest, requested ones
//     included; among equals to the one that has waited longest.
//   - Workers fill evenly, and those with fewer labels first.
//   - When nothing is free, jobs with at least two more than one that lacks slots are
//     asked to give back what would help it. What was asked for is counted as promised
//     for Patience; after that it is asked for anew, should it still be lacking.
//   - With more jobs than slots they take turns: a need for which a job has had nothing
//     for Patience comes first, and gets a slot of a job that has held some as long.
//   - What a worker does not give is tried again after a pause, 100 ms doubling to 5 s,
//     there, and at once elsewhere; a job that returns slots at once waits as well.
//   - A report does not undo what was learnt after the worker was asked for it.
//
// # Who owns what
//
// The registry and the pool belong to an rpc.Endpoint, which Manager.Run runs: everything
// else asks it, or tells it, and what it runs never blocks and does no I/O. When calls come
// faster than it decides, it decides once for many. Heartbeats are those of package rpc;
// calls to peers, and what is stored, have goroutines of their own. Run waits for all of
// them. An answer counts only while the connection on which it came is the peer's.
//
// All of this belongs to a term and ends with it: nothing is taken in from then on. When
// the leader resigned, peers are told, within half a second. When it lost its term it says
// nothing: its successor speaks. Nothing is written at the end in either case. A panic
// ends the term at once, and nothing is said either.
package resourcemanager
