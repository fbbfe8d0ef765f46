// Package zk is the ZooKeeper driver of package election.
//
// # The latch
//
// Contenders are ephemeral sequential children of one path, named
// _c_<uuid>-latch-<10 digits>; the lowest sequence leads. These are the names of
// Curator's LeaderLatch, so Java and Go contenders can share a path. A node's data
// is the participant's ID, written once and never set again: setting it would use
// up the watch of the next contender. Other children of the path are ignored.
//
//	            own node deleted by somebody: close the session
//	          ┌────────────────────────────────────────────────────┐
//	          ▼                                                    │
//	join ──▶ list ──▶ first? ──no──▶ watch predecessor and own ────┤
//	          ▲         │ yes              │ either fired          │
//	          │         ▼                  │                       │
//	          └─────────┼──────────────────┘                       │
//	                    ▼                                          │
//	            own session's node? ──▶ guarded check ──▶ tenure ──┴──▶ release
//
// An event is only a hint. Before every grant the children are listed again, the
// node's owner is compared with the session (after an expiry a list can still show
// the node of the session before), and a guarded check is acknowledged. That check
// is the first renewal of the lease, and the barrier for everything that the new
// leader reads: what its predecessors wrote was committed before their nodes went,
// the check after that, and reads of this session see at least the check.
//
// # The tenure
//
// A leader renews by a check-only guarded multi every T/8 and reports its loss the
// stop grace before the deadline that zookeeper.Lease computes, at once when the
// session ends or its node is found deleted, and with StepDown when the connection
// is lost. Leader information is published by a guarded multi and removed together
// with the latch node.
package zk
