// Package minicluster runs a whole coordd cluster in one process, for tests and
// the demo: agents and workers on one embedded backend, each with ports of its own on
// loopback, of which any can be disturbed.
//
// # A member
//
//	                       Pause, Disconnect
//	                    ┌─────────────────────┐
//	                    │                     ▼
//	New ─▶ made ─Run─▶ running             disturbed
//	                    │   ▲                 │  │
//	                    │   └─────────────────┘  │
//	                    │    Resume, Reconnect   │
//	                    │ Kill                   │ Kill
//	                    └──────────▶ crashed ◀───┘
//	                                   │ its goroutines and
//	                                   ▼ commands have ended
//	                                  gone
//
// A crash breaks the member's connections, those that it accepted and those that it
// made, closes its listeners, makes every call on the backend fail, and leaves the
// session to expire: to the others it looks like kill -9. Inside, the member is then
// stopped as usual, as goroutines cannot be killed; nothing that it does on its way out
// reaches the others. So commands of a killed worker get TERM, and KILL 5 s later, where
// the kernel would kill them at once; and functions see their context end.
//
// A pause holds bytes back, on all connections and in both directions, and puts the
// backend out of reach. To the others it looks like SIGSTOP, or like a network that
// drops everything. Inside, the member goes on: its tasks run, its time-outs pass, its
// lease ends. What it has said meanwhile arrives when the pause ends, however late.
//
// Members of one process still reach one another over the network only. What they share
// is the embedded backend, which stands for ZooKeeper, and the functions of
// Config.Funcs.
//
// # Who waits for whom
//
// Run waits for every member, and each member for the goroutine that watches for its
// crash. A killed member ends without an error, whatever its agent or worker returns.
// When Run's context ends, pauses end, too, so that calls under way can end.
package minicluster
