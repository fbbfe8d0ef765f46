// Command torture has real processes suffer: an ensemble of three ZooKeeper servers,
// three agents, two workers, and clients that submit jobs all the time, while agents,
// workers and servers are killed and paused, and connections are cut. It ends with an
// error unless nothing was violated and enough was suffered.
//
//	make torture                 a minute
//	make torture DURATION=10m    ten
//
// # What it believes
//
// Not what clients see, and not what agents log, but the servers' transaction logs:
// the true order of all accepted writes (history.go). They are held against what the
// clients were told (ledger.go), against what each command wrote down when it
// started (runs.go), and against the invariants of ARCHITECTURE.md (oracle.go):
//
//	I1  every write of a leader is guarded by the lowest latch node, and terms never
//	    come back
//	I2  each published epoch is that of its writer, and they grow
//	I5  no node ever names an older leader than before
//	I6  every acknowledged job was accepted, and goes only when its result is clean;
//	    graph and progress come and go together
//	I7  one result for each job, never changed
//	I8  nothing starts in the term that recorded the result, or in a later one, once
//	    that is recorded; no stage that was built upon runs again
//	I9  once the faults stop, every job ends and every dirty result becomes clean
//
// A process that was paused may start a command late, before it finds that its term
// is over, or that its worker was given up: nobody can prevent that, which is why
// commands get COORDD_EPOCH and COORDD_ATTEMPT. Such starts, of an older term than the
// one that recorded the result, or by who was just paused, are counted and no violation.
//
// # Who runs what
//
// The faults are injected on the goroutine of the run, one after the other; each
// ends at a time of its own, so that they overlap. The clients and the observers
// have a goroutine each, and end before the oracle looks. The order of the faults
// follows from --seed; what they meet does not.
package main
