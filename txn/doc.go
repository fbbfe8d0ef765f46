// Package txn holds the vocabulary of guarded transactions: the operations that
// a leader's write is made of, and the errors that such a write can end with.
//
// A transaction is a list of operations that a backend applies all together or
// not at all, and only while the term whose leader.Guard comes with it leads.
// The stores build transactions; the backends (ha/zk, ha/embedded) apply them.
// Paths are relative to the cluster's root, without a leading slash, for example
// "jobgraphs/3f/etl". Backends make missing parents.
package txn
