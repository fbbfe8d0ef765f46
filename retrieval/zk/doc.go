// Package zk holds the ZooKeeper drivers of package retrieval. A Driver follows the
// node that the leader of a component publishes below one path; a Latch follows the
// first contender of any latch, ours or Curator's, where nothing is published.
//
//	              ┌──────────────── watch fired ───────────────────────┐
//	     reached  ▼                                                    │
//	unknown ──▶ look ──▶ unconfirmed until answered ──▶ known, none ───┤
//	   ▲                                                               │
//	   └────────────────── suspended, or session ended ────────────────┘
//
// A look arms a watch before it reads, and all that it reads comes from one
// connection: when that is lost under it, it begins anew on the next one.
//
//	Driver  one watch, on the component's node, be it there or not
//	Latch   one watch: on the first contender's node; on the list while nobody
//	        contends; on the latch's own node while there is no latch
//
// However many follow the same leader through one client, the server keeps one watch
// for all of them, and tells one connection. Each follower has a goroutine and reads
// for itself when the watch has fired. Share a retrieval.Retriever where many want to
// know of one leader: then one reads for all.
package zk
