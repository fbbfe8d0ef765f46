// Package command runs a command, in any language, only while this process leads.
// It is what "coordd run" does.
//
// A Runner contends at a latch of ZooKeeper. Each term that it is granted is one
// run of the command:
//
//	            granted                    exits
//	standing by ───────▶ starting ──▶ running ───────────────┐
//	  ▲                     │            │ term's context     │
//	  │                     │ fails      │ ended              ▼
//	  │                     │            └─────────────▶ stopping: TERM to the group
//	  │                     │                                │ 4/5 of StopGrace passed,
//	  │                     │                                │ or no time is left
//	  │                     │                                ▼
//	  │                     │                            KILL to the group
//	  │                     ▼                                │ nobody of it lives
//	  └───────────────── released ◀──────────────────────────┘
//	   leadership was lost,  │ the command ended by itself and Restart is off,
//	   or Restart            ▼ or Run's context ended
//	                    Run returns
//
// # What ends when
//
// The term's context ends StopGrace before another participant could be elected.
// The command's whole process group then gets TERM (and CONT, should it be
// stopped), and KILL after 4/5 of StopGrace. Leadership is released, and the
// elector told that the term is over, only when nobody of the group lives. There
// is no time for TERM, and KILL comes at once, when the session has already
// expired, when this process finds at the end of the term that it was paused for
// longer than StopGrace, and after Kill.
//
// What the command has left running in its group when it ends by itself is stopped
// in the same way before leadership is released. A process that has left the group
// (setsid) is beyond reach.
//
// # What this cannot do
//
// While this process is stopped (SIGSTOP) it stops nobody. The command then goes on
// beside its successor until this process is continued or killed. Every run
// therefore gets COORDD_EPOCH, which grows from each leader to the next: what the
// command writes to should refuse smaller ones than it has seen. When this process
// is killed, the kernel kills the command (on Linux), not the command's children.
//
// # Goroutines
//
// Run starts the ZooKeeper client, the elector, the spawner of commands, and one
// that says when ZooKeeper is away, and waits for all of them; the term waits for
// the one that waits for the command. Run leaves them behind in two cases, after
// which the process must exit: a group survived KILL (election.ErrStopGrace), and
// ZooKeeper does not answer after Kill.
package command
