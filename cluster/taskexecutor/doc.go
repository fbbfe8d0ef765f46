// Package taskexecutor is a worker: it runs the attempts of a job's subtasks as
// child processes and reports how each ended.
//
// An Executor has a fixed number of slots. A job master asks for a slot, deploys
// an attempt into it, hears of the attempt's end exactly once, and gives the slot
// back. The two know each other only as gateways (package cluster/gateway).
//
// # An attempt
//
//	Deploy ──▶ starting ──────────────▶ running ─────────────────────────┐
//	              │ did not start          │ cancel, time-out, Run's end  │ exits
//	              │                        ▼                              │
//	              │                    TERM sent ──────────────────────┐  │
//	              │                        │ TermGrace passed          │  │
//	              │                        ▼                           │  │
//	              │                    KILL sent ───────────────────┐  │  │
//	              ▼                                                 ▼  ▼  ▼
//	            ended ◀── output read ◀── left-overs of the group killed ◀┘
//
// Signals go to the command's whole process group. Whatever of the group is left
// when its leader has exited is killed before the leader is reaped: until then
// the kernel cannot give the group's number to anybody else.
//
// # When the worker itself dies
//
// On Linux the kernel kills a command when the worker is gone, even by kill -9.
// That signal follows the thread that forked, not the process, so all commands
// are started by one goroutine that keeps its thread for as long as Run lasts.
// It reaches the command itself; processes that the command has started end with
// it only if it sees to that. Elsewhere nothing ends with a killed worker.
//
// # Fencing
//
// An executor refuses an attempt whose epoch is older than one that it has seen
// for the job. Every command gets COORDD_JOB_ID, COORDD_TASK, COORDD_SUBTASK,
// COORDD_PARALLELISM, COORDD_ATTEMPT and COORDD_EPOCH, so that it can fence its
// own writes to other systems.
package taskexecutor
