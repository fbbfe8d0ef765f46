// Package agent is one member of a coordd cluster: it wires the backend, the
// election, the coordinator, the built-in worker and the HTTP side into one thing
// that a program can run.
//
//	cfg ──New──▶ Agent ──Run──▶ starting ──▶ serving ──▶ stopping ──▶ nil or an error
//	                               │            │
//	       address in use, folder  │            │ ctx ends, or a part fails
//	       not writable: an error  ▼            ▼
//	                             ended       resign, then the rest
//
// # The order of things
//
// Parts start in this order and stop in the reverse one, each having ended
// before the next is told to:
//
//	backend ▸ retrieval ▸ worker ▸ web ▸ election
//
// So HTTP listens before the agent contends: the address that it publishes
// answers. And leadership is resigned while everything still works: the
// successor is ready at once, and need not wait for a session to expire.
//
// A backend that cannot be reached stops nothing: HTTP answers and says so, and
// the parts go on trying. What going on cannot cure ends Run with an error, after
// everything was stopped. One case cannot wait for that: with
// election.ErrStopGrace the work of a lost term is still going on, so Run returns
// and the process must end.
package agent
