// Package jobmaster runs one job in one term: it schedules the job's tasks on a
// worker, records what has finished, and resumes from that record after a
// failover.
//
// A Master knows its worker as a gateway.TaskExecutor and the record as a
// ProgressStore. All state is in a core that does no I/O: events go in, actions
// come out, and the goroutine of Run carries them between the core and the world.
//
// # The job
//
//	INITIALIZING ──Run──▶ CREATED, or RECONCILING when recovered
//	                          │ record read          │ Cancel
//	                          ▼                      │
//	        ┌───────────── RUNNING ──────────────┐   │
//	        │ all subtasks    │ a subtask is     │   │
//	        │ succeeded       │ out of attempts  │ Cancel
//	        ▼                 ▼                  ▼   ▼
//	     FINISHED          FAILING ──Cancel──▶ CANCELLING
//	                          │ nothing runs     │ nothing runs
//	                          ▼                  ▼
//	                       FAILED             CANCELED
//
// From every state that is not terminal, the end of Run's context leads to
// SUSPENDED: the job's attempts are told to end, nothing is recorded, and the next
// leader resumes. So does an error that says that this term cannot go on.
//
// # A subtask
//
//	CREATED ──needs recorded──▶ SCHEDULED ──slot──▶ DEPLOYING ──▶ RUNNING
//	                                ▲                                │
//	                                │                      ┌─────────┴────────┐
//	                                │                  succeeded           failed
//	                                │ delay over           │                  │
//	                                │                   recorded           FAILED
//	                                │                      ▼                  │
//	                                └──────────────┐   FINISHED            recorded
//	                                               └──────────────────────────┘
//
// An attempt that the worker ended by itself leads back to SCHEDULED and counts as
// no failure. When the job fails or is canceled, what waits becomes CANCELED, and
// what runs CANCELING and then CANCELED.
//
// # What is recorded, and when
//
// The record says which subtasks have succeeded and how many attempts of the
// others have failed. It is one value: while one write is under way, all that
// happens waits for the next one and shares it.
//
//   - A task starts only when the success of everything it needs is recorded, so
//     what has been built upon never runs again (I8).
//   - The next attempt of a subtask starts only when the failure of the last one is
//     recorded, so no failover grants an attempt that was used up.
//   - A subtask shows FINISHED only when that is recorded, so nobody sees a success
//     that a failover can take back.
//   - No record follows the last success, a final failure or a cancellation. Then
//     the job's result says it all, and until that is stored nothing has been
//     built upon what the record lacks: a leader that takes over in between runs
//     those subtasks once more.
//   - An attempt is not recorded when it is deployed. A leader that dies leaves no
//     trace of the attempts that were running; they are no failures. Its successor
//     may give the same number again, under its own epoch, and an attempt is named
//     by both.
//
// An end that is reported twice, late, or of another term's attempt changes
// nothing.
package jobmaster
