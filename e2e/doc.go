// Package e2e holds the end-to-end tests: the coordd binary as real processes on a
// real ZooKeeper, killed, paused and told to stop. It has no code of its own.
package e2e
