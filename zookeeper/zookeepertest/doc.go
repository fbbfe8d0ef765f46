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
// keeps both sides alive and silent, as a broken network does.
//
// Programs that are not tests get a TB from Run.
package zookeepertest
