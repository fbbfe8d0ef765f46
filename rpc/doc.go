// Package rpc has what the components of a cluster need to speak to one another while
// processes come and go: an endpoint, which runs a component's code on one goroutine;
// connections that follow a leader and register there; and heartbeats. It knows no
// network: package rpc/remote does, and gives it a Dial.
//
// # Endpoint
//
// An endpoint owns a component's state: whatever only functions touch that it runs. It
// runs them one at a time, in the order in which they came. They must not block; what
// blocks goes into a goroutine of the endpoint (Go), which Tells what came of it.
//
//	          Run                  Run's context ends          OnStop returned
//	created ───────▶ running ────────────────────────▶ stopping ───────────────▶ ended
//	ErrNotStarted    calls are served                  calls are served          ErrStopped
//	                    │                                 │                        ▲
//	                    └───────────── panic ─────────────┴────────────────────────┘
//
// OnStart comes before all calls. What was accepted before the end is run, unless a
// panic comes first: that ends the endpoint at once, as nobody can tell what is left of
// its state. Run returns it, and the process decides what it means; nothing else in the
// process is touched. Run returns when the goroutines of the endpoint have ended too.
// Scheduled calls that are not due by the end never run.
//
// An endpoint with a term is fenced: it admits calls with that term's token only, an
// older or newer one or none is ErrFencingToken. Another term has another endpoint.
//
// # Connection
//
// A connection keeps a component connected to a leader, and registered there. It lives
// on a loop, the component's endpoint: its methods are called there, and its call-backs
// come there.
//
//	           SetTarget                 registered: OnConnected, Serve
//	idle ─────────────────▶ connecting ────────────────────────────────▶ connected
//	  ▲                      │  ▲   ▲                                       │
//	  │   ErrRejected:       │  │   │  Reconnect, SetTarget, Serve: OnLost  │
//	  │   OnRejected         ▼  │   └───────────────────────────────────────┤
//	  │                rejected ┘ Reconnect, SetTarget                      │
//	  └─────────────────────────────────────────────────────────────────────┘
//	                  SetTarget of none: OnLost
//
// A target is an address, a name and a term, so a leader that comes back at the same
// address is another one. A registration that was superseded is cancelled, and its
// answer is ignored, however late it comes; Farewell tells the other side, as it does of
// a connection that is over. While connecting, an attempt that times out is followed by
// one with twice the time (100 ms to 30 s), and an error or a refusal by a delay, which
// may grow: OnFailed. OnConnected and OnLost come in turns, once for each connection, and
// Serve's context ends with it. What Serve did has ended before it is hung up, but the
// next connection does not wait for that.
//
// A Retriever is for callers that need a leader's gateway and do not register: it
// returns the gateway of the newest leader, waits for one, and gives up on one that
// cannot be connected to after a number of attempts.
//
// # Heartbeats
//
// A HeartbeatSender asks peers in an interval, one call at a time each; a
// HeartbeatReceiver watches those that ask. Both give one signal for each monitor and
// forget it then:
//
//	             answer, or heard
//	               ┌────────┐
//	Monitor        ▼        │     time-out; or N failed calls in a row; or a final answer
//	────────▶ monitored ────┴───▶ OnLost, once
//	               │
//	               └─ Unmonitor, Close, Monitor again: no signal
package rpc
