// Package job holds the values of a job: its graph, its statuses, and the
// snapshots and results in which they are reported. It does no I/O and imports
// nothing of coordd; its values may be copied freely and read from several
// goroutines at once.
//
// # The job file
//
// Parse reads YAML or JSON, with the same fields in both:
//
//	name: etl                     # for people; needs not be unique
//	tasks:                        # 1 to 10,000
//	  - id: extract               # unique here: letters, digits, '.', '_', '-'
//	    parallelism: 3            # number of subtasks; 1 when absent
//	    command: [sh, -c, "..."]  # program and arguments; no shell is involved
//	    requires: {zone: north}   # labels that a worker must have to run it
//	    env: {REGION: eu}         # added to the worker's environment
//	    dir: /srv/etl             # working folder; the worker's own when absent
//	    timeout: 10m              # of one attempt; none when absent
//	    retry:
//	      attempts: 3             # in all, 1 to 1,000; 1 when absent
//	      delay: 1s               # before each further attempt; none when absent
//	  - id: load
//	    needs: [extract]          # tasks all of whose subtasks must have finished
//	    func: load                # in place of command: a function that the workers
//	                              # of an embedding program know by this name
//
// The fields name and id are required, and one of command and func. A field that
// is there but empty counts as absent. Durations are those of time.ParseDuration and need a unit.
// In YAML a bare number or true and false may stand for text and mean what was
// written ([sleep, 2]); in JSON text must be in quotes. YAML's anchors and
// aliases work; its tags, merge keys and further documents do not.
//
// Unknown fields, fields given twice and wrong types are errors. An error lists
// up to MaxProblems problems with line and field; first those of the fields
// themselves, and only when there are none those of the graph: IDs given twice,
// needs that name no task, cycles, broken limits (MaxFileSize, MaxJSONSize,
// MaxTasks, MaxSubtasks, MaxAttempts, MaxEnv, MaxLabels and the lengths of names).
//
// # Statuses
//
// A job goes through these; Status.CanBecome holds the arrows.
//
//	INITIALIZING ──▶ CREATED ───▶ RUNNING ───▶ FINISHED
//	      │             ▲         ▲ │   ▲
//	      ▼             │         │ ▼   │
//	RECONCILING ────────┴─────────┘ RESTARTING ◀── FAILING ──▶ FAILED
//
//	Not drawn: all of them but SUSPENDED and the terminal ones can become
//	CANCELLING (then CANCELED) and SUSPENDED, and those that have a master
//	FAILING. Without a master INITIALIZING goes to FAILED or CANCELED directly.
//	RESTARTING may go back to CREATED, RECONCILING may find the job FINISHED.
//
// FINISHED, FAILED and CANCELED are terminal everywhere. SUSPENDED ends a job
// for one leader only: the next begins again at INITIALIZING.
//
// An attempt of a subtask goes through these; SubtaskStatus.CanBecome holds the
// arrows. The next attempt begins again at CREATED.
//
//	CREATED ──▶ SCHEDULED ──▶ DEPLOYING ──▶ RUNNING ──▶ FINISHED
//	   │            │            │  │          │ │
//	   │            │            │  └▶ CANCELING ◀┘  (DEPLOYING may be FINISHED
//	   │            │            │        │            too: reports can overtake
//	   └────────────┴────────────┴────────┴─▶ CANCELED each other)
//
//	Not drawn: every status that is not terminal can become FAILED.
package job
