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
//	             own node deleted by somebody: close the session
//	           ┌──────────────────────────────────────────────────────────┐
//	           ▼                                                          │
//	join ──▶ watchOwn, heed ──▶ list ──not first──▶ wait ─┐               │
//	            ▲                │ ▲                      │               │
//	            │                │ ├─────before fired─────┤               │
//	            │                │ │    (others before)   │               │
//	            ├────────────────┼─┼──own or asked fired──┤               │
//	            │                │ │                      │ before fired  │
//	            │                │ │                      ▼ (it was first)│
//	            │              first └──not first── listAndCheck          │
//	            │                ▼                        │ first         │
//	            │           guarded check ────────────────┴──▶ grant      │
//	            │                                                ▼        │
//	            └────────── rest ◀── release ◀──────────────── tenure ────┘
//
// An event is only a hint. Before every grant the children are listed again after
// it, the node's owner has been compared with the session (after an expiry a list
// can still show the node of the session before), and a guarded check is
// acknowledged. That check is the first renewal of the lease. Whoever was next in
// line asks for list and check at once; all others ask for the check only once a
// list has shown that they are first. List and check are the barrier for everything
// that the new leader reads: what its predecessors wrote was committed before their
// nodes went, the list was read after that, and reads of this session see at least
// what the list did.
//
// # The tenure
//
// A leader renews by a check-only guarded multi every T/8 and reports its loss the
// stop grace before the deadline that zookeeper.Lease computes, at once when the
// session ends or its node is found deleted, and with StepDown when the connection
// is lost. It holds the deadline against the wall clock too, four times between two
// renewals: a machine that wakes up has lost its term. Config.OnRenewed is told how
// much of the lease is left. Leader information is published by a guarded multi and removed together
// with the latch node. The watch on the own node is set again whenever a stray write
// has used it up.
//
// # Transfer
//
// Whoever wants another leader makes one ephemeral node, <latch>-transfer, which names
// the latch node of the leader and the one that shall lead. It stands beside the latch,
// as Curator takes everything below it for a contender; it ends with its session, so
// that no request outlives who asked; and there is one at a time, others wait for it.
// All contenders of ours watch that path:
//
//	leader        waits until the successor is next, then ends its term: ErrResigned
//	in between    queues again behind all others: delete and create in one multi
//	others        do nothing
//
// so that between the former leader and the successor nobody leads. The one who asks
// watches leader and successor, asks again when somebody else came to lead on the way,
// and takes the request back, also when it gives up. A latch node names its kind: the
// UUID of ours is of version 8, Curator's of version 4. Curator's contenders know of no
// requests; a transfer that one of them would have to give way for is refused before
// anything is written. One of them can be the successor.
package zk
