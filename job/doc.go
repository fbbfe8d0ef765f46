// Package job holds the values of a job: its graph, its statuses, and the
// snapshots and results in which they are reported.
package job
