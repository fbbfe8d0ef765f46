// Package zk is the ZooKeeper driver of package retrieval: it follows the node
// that the leader of a component publishes below one path.
//
//	              ┌──────────── watch fired, or reconnected ───────────┐
//	              ▼                                                    │
//	unknown ──▶ watch ──▶ node there? ──yes──▶ read ──▶ known ─────────┤
//	   ▲                      └───────no────────────▶ none ────────────┤
//	   └────────────────── suspended, or session ended ────────────────┘
package zk
