// Package latch says which children of a latch in ZooKeeper are contenders, and in
// which order they lead. It is the one place that knows the names of Curator's
// LeaderLatch, so that who contends and who only watches agree.
//
// A contender's node is named _c_<uuid>-latch-<sequence>; what stands before
// "latch-" does not matter to the order, and may be missing.
//
// The package holds no state, starts nothing and does no I/O:
//
//	children ──▶ names that end in latch-<sequence> ──▶ by sequence: the first leads
package latch
