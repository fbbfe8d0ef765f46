// Package rig is what the benchmarks have in common: servers to run against,
// contenders that hand leadership over, bare go-zookeeper sessions that measure
// the floor, the servers' own counters, and the form of the result.
//
// # Who waits for what
//
// Options.Run owns the servers: they live while its function runs. WithCrew owns
// its members in the same way. A Member is two goroutines, one for its ZooKeeper
// client and one for its elector; the elector ends first, so that leadership is
// released rather than left to expire:
//
//	starting ──▶ queued ──grant──▶ leading ──Resign──▶ queued (last)
//	                 └──────────────┴── end of WithCrew ──▶ released ──▶ closed
//
// A Bare has go-zookeeper's own goroutines; Close waits for their end.
//
// # Rounds
//
// Machines are shared and drift. A benchmark therefore measures one round of ours
// and one of the floor by turns and prints the ratio; the times alone say little.
package rig
