// Package taskexecutor is a worker: it runs the attempts of jobs' subtasks, commands
// or functions, in a fixed number of slots, and keeps them running through the loss of
// whoever gave them.
//
// An Executor knows the other components as gateways (package cluster/gateway). The
// resource manager gives its slots to jobs, a job's master deploys attempts into them,
// and the executor reports each end until the master has settled it.
//
// # Who owns what
//
// An rpc.Endpoint owns the state, a value whose methods are the events; all else asks or
// tells it. What must wait runs on goroutines of the endpoint: each attempt, what follows
// the two leaders, and what connections do. Run returns when all of them have ended. A
// panic of the worker's own code there ends Run with an *rpc.PanicError; that of a
// function only fails its attempt.
//
// # Connections
//
// An rpc.Connection keeps the worker registered at the resource manager, and one at the
// master of each job that has something here (the job-leader service); package rpc has
// their states. A job's master lives where the dispatcher leads, so all of them follow
// the dispatcher's leader. What counts is the session ID: the same one again changes
// nothing, another one at the same address is another leader. That it is unknown who
// leads, because the backend cannot be reached, changes nothing either: who led probably
// still does.
//
// A connection is made again when heartbeats of that component stay away for their
// time-out, when it sends Disconnect, or when calls fail: after 100 ms, so that one which
// is accepted and given up in turns does no harm. Heartbeats come over the component's
// own connection to the worker; that the worker's to it is dead shows in its calls, which
// the transport fails then. A registration may take 100 ms, or twice what the newest at
// such a component took, up to 2 s; and twice as long after each one that took longer,
// up to 30 s. After an error the manager is tried again in 1 s; a master, which may only
// just be starting, in 100 ms, doubling to 1 s. A manager that rejects the worker ends
// Run with ErrRejected; a master that does is left alone until another one leads.
//
// While it is connected, the worker tells the manager of slots that became free, and a
// master of slots and ends. What is heard of a connection that is over is ignored, except
// that a master has settled ends: what is recorded is recorded. A connection ends
// silently, but for Run's end, which is told by DisconnectWorker, for 2 s at most.
//
// # A job
//
//	         slots given                    registered
//	IDLE ───────────────▶ WITHOUT MASTER ──────────────▶ WITH MASTER
//	 ▲  ▲                   │        ▲                       │  │
//	 │  └── Grace is over ──┘        └── connection lost ────┘  │
//	 │      (attempts end, ends are                             │
//	 │      dropped, slots freed)                               │
//	 └──────── no slots, nothing runs, all ends settled ────────┘
//
// An idle job keeps its folders, its output and, for as long as Grace, its connection;
// ReleaseJob removes all of it. Of more than 1,000 idle jobs the oldest are removed.
//
// # A slot
//
//	vacant ──RequestSlots──▶ allocated ──reported or offered──▶ the job's
//	  ▲                          │                               │   │ ▲
//	  │  refused by the master   │     FreeSlots, drain, grace   │   │ │ attempt after
//	  ├──────────────────────────┘                               │   └─┘ attempt
//	  └─────────────── when nothing runs in it ──────────────────┘
//
// The manager hears of each slot that becomes vacant: by SlotsFreed, and by the report
// in every heartbeat and registration.
//
// # An attempt
//
//	Deploy ──▶ waiting, while too many ends are kept
//	              │
//	              ▼
//	           starting ──────────────▶ running ─────────────────────────┐
//	              │ did not start          │ cancel, time-out, Run's end  │ exits
//	              │                        ▼                              │
//	              │                    TERM sent ──────────────────────┐  │
//	              │                        │ TermGrace, or job over    │  │
//	              │                        ▼                           │  │
//	              │                    KILL sent ───────────────────┐  │  │
//	              ▼                                                 ▼  ▼  ▼
//	            ended ◀── output read ◀── left-overs of the group killed ◀┘
//
// Signals go to the command's whole process group. Whatever of the group is left
// when its leader has exited is killed before the leader is reaped: until then
// the kernel cannot give the group's number to anybody else. A function runs on the
// attempt's goroutine; the end of its context stands for TERM, and nothing for KILL.
//
// # Ends
//
// An end is kept until the job's master has settled it (AttemptsEnded returned nil, or
// its answer to a registration names it), wants it no more, or the grace is over.
// AttemptsEnded carries what has gathered. A call leaves at once when none is under
// way, and otherwise when the youngest is 5 ms old, with at most four under way: many
// ends share a call, and one that the store holds up holds up nobody. While 10,000 ends
// or 16 MiB are kept, further attempts wait to start, so memory is bounded without that
// anything is lost. The report at a registration has to fit into a message: ends that
// do not are reported as running, and then reported as every end is.
//
// # Fencing
//
// All components of a cluster are led under one latch, so the worker remembers the
// newest term of all that it has heard of, from leaders and callers, and refuses what
// is of an older one. Every command gets COORDD_EPOCH to fence its own writes to other
// systems. An attempt that has been here is never started again, however often it is
// deployed: attempts of a subtask are in order, and the newest of each is remembered.
//
// # Stop and drain
//
// A draining worker takes no slot requests; its empty slots go back at once and the
// others when the attempt in them has ended. When nothing is left, Run returns nil. The
// end of Run's context is harder: attempts get TERM; then masters that are there have
// 3 s to settle what is kept; then manager and masters are told.
//
// When the worker is killed, the kernel kills its commands on Linux. That signal
// follows the thread that forked, not the process, so all commands are started by one
// goroutine that keeps its thread for as long as Run lasts. It reaches the command
// itself; processes that the command has started end with it only if it sees to that.
// Elsewhere nothing ends with a killed worker.
//
// # On disk
//
// Each attempt of a command has a folder, and of a function when it wants one; see
// folders. They stay until ReleaseJob. What a former worker left is removed when Run
// begins, and a lock keeps a second worker out.
package taskexecutor
