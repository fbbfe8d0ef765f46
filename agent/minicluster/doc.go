// Package minicluster runs a whole coordd cluster in one process, for tests and
// the demo: several agents on one embedded backend, each with its own HTTP port
// and worker, of which any can be made to crash.
//
// # A member
//
//	New ──▶ made ──Run──▶ running ──────────────▶ gone
//	                         │                      ▲
//	                         │ Kill                 │ its goroutines and
//	                         ▼                      │ commands have ended
//	                      crashed ──────────────────┘
//
// A crash breaks the member's connections and closes its listener, makes every
// call on the backend fail, and leaves the session to expire: to the others it
// looks like kill -9. Inside, the agent is then stopped as usual, as goroutines
// cannot be killed; nothing that it does on its way out has any effect.
//
// Run waits for every member, and each member for the goroutine that watches for
// its crash. A killed member ends without an error, whatever its agent returns.
package minicluster
