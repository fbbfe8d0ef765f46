// Package e2e holds the end-to-end tests: the coordd binary as real processes on a
// real ZooKeeper, killed, paused and told to stop. It has no code of its own.
//
// COORDD_E2E_LOGS=DIR keeps the logs of all processes there. COORDD_E2E_STORM=1m has
// leaders be killed for longer.
package e2e
