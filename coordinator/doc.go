// Package coordinator is the leading side of coordd: it takes over at each term,
// recovers the jobs of its predecessors, accepts new ones, runs them, and carries
// every one of them to exactly one recorded result.
//
// It has three layers, each with one duty:
//
//	Runner          an election.Contender: one leader process a term, never two
//	                at once
//	leaderProcess   one term: recover, then create the dispatcher, then publish
//	Dispatcher      the jobs: accept, run, finish, clean up
//
// The package sees jobs only through JobRunner and JobRunnerFactory, the stores
// through JobStore and ResultStore, and what a job leaves elsewhere through
// Cleaner. ZooKeeper and workers do not appear in it.
//
// # The leader process
//
//	           Lead, the former process has ended
//	CREATED ───────────────────────────────────────▶ RUNNING
//	   │                                                │ the term ends, or
//	   │ the term ends first                            │ recovery fails, or
//	   │                                                │ the dispatcher ends
//	   └──────────────────▶ STOPPED ◀───────────────────┘
//
// RUNNING goes through these steps, and the process looks at its term after each:
//
//	read dirty and clean results ─▶ read graphs ─▶ create dispatcher ─▶
//	start clean-ups, then recovered jobs ─▶ publish ─▶ ready
//
// Order matters. Results are read before graphs, so that the graph of a job whose
// result is recorded is never run (I8). The dispatcher is created after all
// reading, so a term that ends during recovery leaves nothing behind. The gateway
// answers before the leader is published, because whoever reads the publication
// will call at once; it is published only after the gateway exists, because a
// leader that does not serve is worse than none.
//
// A graph that cannot be read is put aside and stops no other (I10, I6): nothing
// of it is written or deleted, Jobs lists it as SUSPENDED with the reason, and
// the next leader tries it again. A store that cannot be read at all ends the
// term with an error, so that another participant can try. A dispatcher that
// ends while the process is RUNNING ends the term with ErrDispatcherEnded; at any
// other time its end is expected.
//
// # A job
//
//	           Put acknowledged       terminal             result recorded
//	ACCEPTING ──────────────────▶ RUNNING ─────▶ ENDING ─────────────────▶ DIRTY
//	    │                          ▲  │ cannot be                            │ all cleaners
//	    │ Put failed               │  │ initialised                          │ succeeded, one
//	    ▼                recovered ┘  │ or continued                         │ transaction
//	 (unknown)                        ▼                                      ▼
//	                             QUARANTINED                               CLEAN
//
// The rules of order, each held by a test:
//
//   - A submission is acknowledged, and run, only after its graph is durable.
//   - An ID that is known in any state is never run again. The same content is
//     answered with the job that is there, other content with ErrConflict.
//   - A job shows a terminal status only after its result is recorded: until
//     then a crash could still change what it will be (I7).
//   - First the dirty result, then the cleaners, then one transaction that
//     deletes the graph and the dirty result and creates the clean one. A crash
//     between any two of them is repaired by the next leader, which finds the
//     dirty result and goes on cleaning (I9).
//   - A cleaner that fails is tried again, 1 s doubling to 1 h, until the term
//     ends. It delays no other cleaner and no other job.
//   - When the term ends, job runners stop locally. Nothing is written: what they
//     return afterwards is ignored, and if it were not, the store would refuse it
//     as fenced.
//
// # Who owns what
//
// One goroutine, Dispatcher.Run, owns the registry of jobs; everything else sends
// it functions. These never block and do no I/O. Each job has a goroutine of its
// own that runs it, records its result and cleans up, and Run waits for all of
// them. The gateway's methods call runners on the caller's goroutine, so a slow
// runner delays only who asks for it.
package coordinator
