// Package zookeepertest holds what tests need of ZooKeeper servers: real ones
// with everything that can go wrong with them, and a fake one for virtual time.
// It is for tests, benchmarks and demonstrations only.
//
// # Real servers
//
// StartServer and StartEnsemble start servers from Debian's zookeeper package
// (apt-get install zookeeper) on loopback ports, and fail the test, rather than
// skip it, where that is missing. A server alone serves after a third of a
// second, an ensemble of three after one to two. Servers are killed, stopped,
// paused and restarted; StartProxy puts a network between a client and a server
// that can be cut, frozen and slowed. Server.Txns reads the transaction log: the
// true order of all accepted writes, against which a test judges what clients
// believe. Everything ends with the test; on Linux the servers die also with a
// test that is killed.
//
// Pause keeps connections and answers nothing, as a machine does that hangs;
// Kill closes connections at once, as a process does that dies; a proxy's Freeze
// keeps both sides alive and silent, as a broken network does. Ensemble.CutOff
// parts a member from the others while its clients still reach it: for a while it goes
// on answering pings and reads.
//
// A server that is just starting accepts connections for some 20 ms whose
// handshake it never answers and never refuses. A client that reconnects through
// a Restart needs a deadline of its own there; go-zookeeper waits for nearly seven
// session time-outs.
//
// Programs that are not tests get a TB from Run.
//
// # The fake server
//
// NewFake returns a server that speaks ZooKeeper's wire protocol over net.Pipe,
// so that the real go-zookeeper client runs inside a testing/synctest bubble,
// where minutes of sessions, freezes and expiries cost milliseconds. A test holds
// its answers and its transactions against a real server's. It has one state: what
// depends on reads from a server that is behind needs an Ensemble.
//
// A client dials through a Link, and each Link has its own faults; those of the
// Fake itself strike all clients. A Follower is a Link to a follower, which tells its
// leader only now and then who was active, and can be cut off. A session is in one of these states:
//
//	            handshake                 connection lost
//	(none) ------------------> connected <----------------> silent
//	                            |     |      reconnected       |
//	              closeSession  |     | ExpireSession, or no   | T to T + tick
//	                            v     v request for as long    v after the last
//	                          closed  +------> expired <-------+ request
//
// Its ephemerals go in the transaction that ends it, at an instant that no
// client's timer shares.
//
// In a bubble, make the Fake and close it inside (its clients first), give clients
// a numeric address such as "127.0.0.1:2181" (go-zookeeper looks names up on the
// real network), and expect nothing of the order of two things that happen at the
// same instant.
package zookeepertest
