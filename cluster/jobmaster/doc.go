// Package jobmaster runs one job in one term: it asks for slots, schedules the job's
// tasks on the workers that offer them, records what has finished, and after a
// failover goes on from that record and from what the workers still have.
//
// A Master knows the resource manager and workers as gateways, and the record as a
// ProgressStore. All state is in a core that does no I/O: events go in, actions come
// out, and an rpc.Endpoint, which runs while Run does, carries them between the core and
// the world: each event is a call, and what follows from those that came together is
// decided once. An rpc.Connection keeps the job registered at the resource manager, whose
// heartbeats an rpc.HeartbeatReceiver awaits. Those to workers are the core's own, as each
// deployment that succeeds stands for one.
//
// # The job
//
//	INITIALIZING ──Run──▶ CREATED, or RECONCILING when recovered
//	                          │ record read, and every   │ Cancel
//	                          ▼ holder registered        │
//	        ┌───────────── RUNNING ──────────────┐       │
//	        │ all subtasks    │ a subtask is     │       │
//	        │ succeeded       │ out of attempts  │ Cancel│
//	        ▼                 ▼                  ▼       ▼
//	     FINISHED          FAILING ──Cancel──▶ CANCELLING
//	                          │ nothing runs     │ nothing runs
//	                          ▼                  ▼
//	                       FAILED             CANCELED
//
// While it is RECONCILING a job adopts what workers report, and starts nothing:
// what nobody has reported may be running where it is not seen. The resource manager
// names the workers that hold slots of the job. The job goes on when each of them has
// registered, is known to be gone, or has been silent for a heartbeat time-out. A job
// that comes to its end waits for them as well, so that nothing of it runs on after
// its result; but for two time-outs at most.
//
// From every state that is not terminal, the end of Run's context leads to SUSPENDED:
// attempts run on and slots are held, nothing is recorded, and the next leader
// resumes. So does an error that says that this term cannot go on.
//
// # A subtask
//
//	CREATED ──needs recorded──▶ SCHEDULED ──slot──▶ DEPLOYING ──▶ RUNNING
//	                             ▲  ▲  ▲               │             │
//	                             │  │  └─ refused ─────┘             │
//	                             │  └──── worker lost; delay over ───┤
//	                             │                         ┌─────────┴────────┐
//	                             │                     succeeded           failed
//	                             │ delay over              │                  │
//	                             │                      recorded           FAILED
//	                             │                         ▼                  │
//	                             └─────────────────┐   FINISHED            recorded
//	                                               └──────────────────────────┘
//
// An attempt that the worker ended by itself leads back to SCHEDULED, and so does one
// that was lost with its worker, after the rule's delay: neither counts as a failure.
// When the job fails or is canceled, what waits becomes CANCELED, and what runs
// CANCELING and then CANCELED.
//
// An attempt of an earlier term becomes RUNNING when its worker reports it, and is an
// ordinary one from there on. Of two attempts the one with the larger (epoch, number)
// counts; the other is stopped.
//
// # A worker
//
//	          RegisterWorker                2 heartbeats failed, none answered in time,
//	unknown ───────────────────▶ registered ─────────────────────────────────▶ unknown
//	   ▲      (connects back)      │    ▲    DisconnectWorker, another process of its
//	   │                           └────┘    name, or no call succeeds for a time-out
//	   └── ErrNotRegistered        again, after each loss of the connection
//
// Each registration has a serial number, and answers to the calls of an earlier one
// are ignored. A report is compared with what is known: attempts that are missing are
// lost, those whose Deploy was not answered yet are told again. A lost worker that
// comes back is judged by its attempts: one that no newer attempt has replaced is
// taken back.
//
// A worker's slots are kept for the next subtask whose labels match, freed when
// nothing has used them for a moment, and given back as attempts end when the resource
// manager wants them. All that is due for a worker goes in one exchange: Deploy, then
// CancelAttempts, then FreeSlots; one exchange at a time, to different workers at once.
// After an error it is told again: the worker minds that it may know it already.
//
// # What is recorded, and when
//
// The record says which subtasks have succeeded and which attempt of each of the
// others has failed last. It is one value: while one write is under way, all that
// happens waits for the next one and shares it. Results go into the same transaction,
// as many as fit; the others wait with their successes for the next.
//
//   - A task starts only when the success of everything it needs is recorded, so
//     what has been built upon never runs again (I8).
//   - The next attempt of a subtask starts only when the failure of the last one is
//     recorded, so no failover grants an attempt that was used up.
//   - A subtask shows FINISHED only when that is recorded, so nobody sees a success
//     that a failover can take back.
//   - AttemptsEnded is answered only when all its ends are recorded or count no more,
//     and no call is under way that would deploy one of them again. Until then the
//     worker keeps them, and reports them to the next leader.
//   - A worker that keeps an end which is not recorded is left a slot: the next leader
//     waits for the workers that hold slots.
//   - No record follows the last success, a final failure or a cancellation. Then
//     the job's result says it all. It is recorded after Run has returned, so
//     AttemptsEnded fails with gateway.ErrStopped for those ends: their workers keep
//     them until the job is released, or for a leader that takes over in between,
//     which so need not run them again.
//   - An attempt is not recorded when it is deployed. A leader that dies leaves no
//     trace of the attempts that were running, but on their workers. Its successor
//     may give the same number again, under its own epoch, and an attempt is named
//     by both.
//
// An end that is reported twice, late, or of an attempt that was replaced changes
// nothing.
//
// # Results
//
// The result of a subtask is kept in memory while a task that needs it has not
// finished, and goes to each of that task's attempts. Results of tasks that nothing
// needs are part of the snapshot. One that exceeds a limit (job.MaxResult,
// job.MaxResults, job.MaxFinalResults) makes its attempt a failed one.
package jobmaster
