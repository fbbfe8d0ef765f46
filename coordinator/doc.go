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
//	read dirty and clean results ─▶ read quarantine records ─▶ read graphs ─▶
//	create dispatcher ─▶ start clean-ups, then recovered jobs ─▶ publish ─▶ ready
//
// Order matters. Results are read before graphs, so that the graph of a job whose
// result is recorded is never run (I8). The dispatcher is created after all
// reading, so a term that ends during recovery leaves nothing behind. The gateway
// answers before the leader is published, because whoever reads the publication
// will call at once; it is published only after the gateway exists, because a
// leader that does not serve is worse than none.
//
// A graph that cannot be read is put aside and stops no other (I10, I6): nothing
// of it is written or deleted, Jobs lists it as SUSPENDED with the reason, a record
// beside it says why and since when, and the next leader tries it again. A store
// that cannot be read at all ends the term with an error, so that another
// participant can try. A dispatcher that ends while the process is RUNNING ends the
// term with ErrDispatcherEnded, unless it says ErrJobDone; at any other time its end
// is expected.
//
// # A job
//
//	           Put acknowledged       terminal             result recorded
//	ACCEPTING ──────────────────▶ RUNNING ─────▶ ENDING ─────────────────▶ DIRTY
//	    │                          ▲  │ ▲           ▲                        │ all cleaners
//	    │ Put failed               │  │ │ retried   │ dropped                │ succeeded, one
//	    ▼                recovered ┘  │ │           │                        │ transaction
//	 (unknown)         cannot be read,▼ │           │                        ▼
//	    ▲              initialised    QUARANTINED ──┘                      CLEAN
//	    │              or continued                                          │
//	    └────────────────────────────────────────────────────────────────────┘
//	                                              forgotten: too many, or too old
//
// A job whose result cannot be read is QUARANTINED too; when an operator has it
// retried, the result decides, and it goes on as DIRTY.
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
//     ends. It delays no other cleaner, no other job and no hand-over: what waits
//     ends with the term at once, and the next leader finds the dirty result.
//   - A clean result is forgotten in the store first and here afterwards: until
//     then its ID is taken, also for the next leader (I7, I8).
//   - The quarantine record of a job has one writer at a time, which brings it in
//     line with the job's state. It is gone before the result becomes clean. A
//     record that cannot be written is tried again in the background.
//   - When the term ends, job runners stop locally. Nothing is written: what they
//     return afterwards is ignored, and if it were not, the store would refuse it
//     as fenced.
//
// # One job
//
// A SingleJobFactory makes dispatchers for a program that brings its one job itself. Each
// is a session's dispatcher with three differences: it refuses other submissions, submits
// the job when nothing is stored of it, and ends its term with the job.
//
//	found by recovery              what the term does
//	nothing                        accept, run, record, clean up ─▶ ErrJobDone
//	its graph                             run, record, clean up ─▶ ErrJobDone
//	its dirty result                                   clean up ─▶ ErrJobDone
//	its clean result                                               ErrJobDone
//	its graph or result, unreadable                             ─▶ an error
//	another graph under its ID, or another job's graph          ─▶ a fatal error
//
// The result is known to the factory once it is recorded or found dirty or clean, so
// every participant that leads comes to the same one (I7). ErrJobDone and fatal errors are
// marked by election.Fatal, as a further term would change nothing. A job that is put
// aside ends the term with an error that is not: another participant may read it. Results
// must be retained for as long as participants may come to lead (Retention), or the
// job would be run again.
//
// # Leftovers
//
// What stands in the backend and belongs to no job is found by Leftovers, when an
// operator asks for it. What looks like one is judged while its ID is held: nobody
// can accept a job under it then, in this term because submissions of that ID wait,
// in another because that would fence this one's deletes. Blobs, which no guard
// covers, must also be older than any submission under way, and than an hour.
//
// # Who owns what
//
// One goroutine, Dispatcher.Run, owns the registry of jobs; everything else sends
// it functions. These never block and do no I/O. Each job has a goroutine of its
// own that runs it, records its result and cleans up, and Run waits for all of
// them. The gateway's methods call runners on the caller's goroutine, so a slow
// runner delays only who asks for it. Two goroutines more work for the term: the
// one that forgets results, and one for each quarantine record that is not as it
// should be.
//
// All of this belongs to a term and ends with it. A participant that does not lead
// keeps no job in memory: a Runner holds its current leader process and nothing
// else, so that recovery can trust nothing but the store.
package coordinator
