/*
 * Latch and guard: who may write, and what a new leader reads.
 *
 * There is no clock here. The ensemble may end any session at any moment and any
 * process may stop for any time between two steps, so nothing that this model
 * shows depends on a lease, a time-out or a pause being short. lease.pml has the
 * clocks.
 *
 * -DUNGUARDED    writes are not checked against the writer's latch node
 * -DTRUST_EVENT  the predecessor's deletion event is taken for a grant
 */

#ifndef CANDIDACIES
#define CANDIDACIES 3
#endif
#ifndef WRITES
#define WRITES 1	/* by each term */
#endif

/* The properties; -DPROPERTIES=I1 looks for violations of that one only. */
#define I1       1	/* one writer: after a write of a term, none of an older one */
#define I2       2	/* grants take effect in the order of their epochs */
#define RECOVERY 4	/* a new leader reads all that older terms ever get written */
#ifndef PROPERTIES
#define PROPERTIES (I1 | I2 | RECOVERY)
#endif
#define claim(p, holds) assert(((PROPERTIES) & (p)) == 0 || (holds))

mtype = { IDLE, SENT, PASSED, FENCED };

/*
 * ZooKeeper is one order of transactions. A server that is behind shows some
 * prefix of it, so each node carries when it came and went, and a read at
 * transaction v finds it if created <= v and not deleted <= v.
 */
byte zxid;			/* newest committed transaction */
byte created[CANDIDACIES];	/* the latch node's Czxid: the epoch */
byte deleted[CANDIDACIES];	/* 0 while it exists */
byte lastWrite[CANDIDACIES];	/* zxid of the term's newest accepted write */
byte joined;

/* Between a candidacy and the ensemble. */
byte  seen[CANDIDACIES];	/* highest zxid in a reply; no server shows less */
byte  inflight[CANDIDACIES];	/* writes sent that may still arrive */
mtype check[CANDIDACIES] = IDLE;
byte  checkedAt[CANDIDACIES];	/* zxid in the check's reply */

/* For the properties only. */
byte lastEpoch, lastWriter, lastReader;

#define exists(s)     (created[s] && !deleted[s])
#define goneAt(s, v)  (deleted[s] && deleted[s] <= v)

/* A read is served by any server that this client may be connected to. */
inline anyView() {
	view = seen[s];
	do
	:: view < zxid -> view++
	:: break
	od;
	seen[s] = view
}

inline remove() {
	zxid++; deleted[s] = zxid;
	printf("%d: node %d is gone\n", zxid, s)
}

inline granted() {
	printf("%d: node %d passes for the lowest\n", zxid, s);
	claim(I2, created[s] >= lastEpoch);	/* equal: a check is repeated */
	lastEpoch = created[s]
}

/*
 * One contender in one session, with one latch node and at most one term. A
 * contender's next session is another candidacy; that they may all act at once is
 * more than reality allows. Candidacies are numbered in the order of their nodes,
 * which loses nothing: before they join they are all alike.
 */
proctype Candidacy(byte s) {
	byte view, before, writes;

	atomic {
		joined == s -> joined++; zxid++; created[s] = zxid; seen[s] = zxid;
		printf("%d: node %d is made\n", zxid, s)
	}
list:
	atomic {
		anyView();
		if
		:: goneAt(s, view) -> goto over
		:: else
		fi;
		/* The predecessor is the nearest lower node in this view. */
		before = s;
		do
		:: before > 0 && goneAt(before - 1, view) -> before--
		:: else -> break
		od;
		view = 0
	}
	if
	:: before > 0 ->
		/* The event says that it is gone, and raises nothing that was seen. */
		atomic {
			deleted[before - 1] -> before = 0;
#ifdef TRUST_EVENT
			granted(); goto lead
#else
			goto list
#endif
		}
	:: before == 0 -> check[s] = SENT
	:: goto over
	fi;
	if
	:: atomic {
		check[s] == PASSED -> check[s] = IDLE;
		seen[s] = (checkedAt[s] > seen[s] -> checkedAt[s] : seen[s]);
		checkedAt[s] = 0
	   }
	:: atomic { check[s] == PASSED -> check[s] = IDLE; checkedAt[s] = 0; goto list } /* reply lost */
	:: check[s] == FENCED -> goto over
	:: goto over
	fi;
lead:
	atomic {			/* recover: one read, on whatever server */
		anyView();
		printf("%d: leader %d recovers from what was there at %d\n", zxid, s, view);
		do
		:: before < s -> claim(RECOVERY, lastWrite[before] <= view); before++
		:: else -> break
		od;
		view = 0; before = 0;
		lastReader = (created[s] > lastReader -> created[s] : lastReader)
	}
	/* It never asks whether it still leads: a paused process cannot know. */
	do
	:: atomic { writes < WRITES -> writes++; inflight[s]++ }
	:: break
	od;
over:
	atomic { view = 0; before = 0; writes = 0; seen[s] = 0; check[s] = IDLE; checkedAt[s] = 0 }
}

/* What the ensemble commits for one session, in any order and at any time. */
proctype Ensemble(byte s) {
	do
	:: atomic { check[s] == SENT ->
		if
		:: exists(s) -> granted(); check[s] = PASSED; checkedAt[s] = zxid
		:: else      -> check[s] = FENCED
		fi
	   }
	:: atomic { inflight[s] > 0 ->	/* whether the sender is alive or not */
		inflight[s]--;
		if
#ifdef UNGUARDED
		/*
		 * The node may be gone while the session lives (resigned, deleted by an
		 * operator), and go-zookeeper runs what was queued in a dead session in
		 * the next one: so the session is not looked at.
		 */
		:: true ->
#else
		:: !exists(s)
		:: exists(s) ->
#endif
			printf("%d: a write of leader %d is accepted\n", zxid + 1, s);
			claim(I1, created[s] >= lastWriter);
			claim(RECOVERY, created[s] >= lastReader);	/* or that read missed it */
			lastWriter = created[s];
			zxid++; lastWrite[s] = zxid
		fi
	   }
	/* Expired, closed, resigned, or deleted by an operator: at any time. */
	:: atomic { exists(s) -> remove() }
	od
}

init {
	byte s;
	atomic {
		for (s : 0 .. CANDIDACIES - 1) { run Ensemble(s); run Candidacy(s) }
	}
}
