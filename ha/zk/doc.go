// Package zk is the ZooKeeper backend: election, retrieval and the guarded store
// of one cluster through one session.
//
// The cluster lives below one root: latch/ holds the contenders, leader/ what they
// publish, and everything else belongs to the store.
//
// # A transaction
//
//	make missing folders ─▶ guarded multi ─┬─▶ stored
//	          ▲                  ▲         ├─▶ fenced, or another operation cannot be done
//	          │ a folder is gone │         │
//	          └──────────────────┼─────────┤
//	       without the removes   │         │ something to remove is not there
//	       of what is not there ─┴─ read ◀─┘
//
// A failed multi was ordered by the ensemble, so what is read after it is at least as
// new. The guard's own Commit resolves lost replies.
//
// # Who owns what
//
// Services owns the client, whose Run is Services.Run; a term owns its session. The
// store remembers which folders it has seen, and nothing else. Folders are made, and
// absent paths looked for, by several goroutines at once, which Commit waits for.
package zk
