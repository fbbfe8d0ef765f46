// Package jobstore keeps the graphs that a cluster has accepted, and what of
// each has finished, so that every later leader finds them.
//
// A job is accepted by one transaction that creates its graph and its empty
// progress; it is acknowledged only after that, so an acknowledged job is
// recovered by every later leader until it has a result. Every read and write
// carries the leader.Guard of the term that makes it: once the term has lost
// leadership, each of them fails with leader.ErrFenced and leaves nothing.
//
// # What is stored
//
//	jobgraphs/<bb>/<id>   the graph and its submission, written once; or the name
//	                      of a blob that holds them
//	progress/<bb>/<id>    the finished subtasks and the attempts used, as sets of
//	                      numbers, replaced as a whole
//	quarantine/<bb>/<id>  why the job is kept and not run, and since when; there
//	                      only while something of the job cannot be read
//	outputs/<bb>/<id>/<task>.<subtask>
//	                      the result and the last output of a finished subtask,
//	                      written once, in the transaction that records its success
//
// All are JSON in the envelope of coordd's values, at most 512 KiB once
// compressed. The progress of 10,000 subtasks takes a few KiB at most, in whatever
// order they finish. A graph that is larger goes into Blobs before the node that names it
// is created, and is refused without Blobs. When the job has ended, the node is first
// changed to say that the blob is being deleted: a node that names a blob to be read
// never outlives it. A value that cannot be read never stands in the way of the others:
// IDs does not look into values, and Get fails for that one job alone.
//
// A Store holds no state and starts no goroutine that outlives a call; any number
// of calls may be under way at once. Two writes of the same job must not be: the
// job's master is the only one to write its progress.
package jobstore
