/*
 * The lease: a term's context ends before the ensemble may expire its session.
 *
 * One contender, one session, one clock. The unit of time is T/8, T being the
 * session time-out. Others do not matter: they can only take the latch after this
 * session has expired, and fence.pml has them.
 *
 * A follower notes which sessions it heard from and hands the list to ZooKeeper's
 * leader every half tick; the session expires T after the last list that named it.
 * So an acknowledged check does not prove that the leader has *counted* it: the
 * follower may be cut off before its next list. It does prove that the follower
 * was still connected, and so that everything it heard half a tick before the check
 * was sent has been counted. The lease therefore runs from the anchor:
 *
 *	anchor   = when the newest request was sent whose reply came at least half a
 *	           tick before the newest acknowledged check was sent, on the same
 *	           connection; or when the connection was asked for, if that is newer
 *	deadline = anchor + T
 *	the term's context ends at deadline - GRACE
 *
 * -DDEAF           the follower may not hear from its leader for a while, and half a
 *                  tick is T/8. Its lists are late then, and an acknowledged check shows
 *                  no more of them. What the check *before* the newest one shows holds:
 *                  the anchor is the newest request whose reply came half a tick before
 *                  that one was sent. A term's first check has none before it, so the
 *                  follower is not deaf until then; after a reconnect the first shows
 *                  the connect alone.
 * -DONE_CHECK      with DEAF: the newest check is trusted all the same
 *
 * -DPING_RENEWS  a cut-off follower's answer renews as well
 * -DGAPS         the deadline is computed from the newest check alone:
 *                sent + T - 2 x max(T/8, largest gap) - largest round trip - tick/2
 * -DUNCOUNTED    the lease runs from when the newest acknowledged check was sent
 */

#define T     8
#define GRACE 1
#ifdef DEAF
#define HALF_TICK 1	/* a tick of T/4 */
#else
#define HALF_TICK 2	/* T >= 2 ticks, so half a tick is at most T/4 */
#endif
#define NEVER 255
#ifdef DEAF
#define OLD   T			/* ages beyond this are all the same */
#else
#define OLD   (2 * T)
#endif

mtype = { IDLE, PING, CHECK };			/* the request under way */
mtype = { NOWHERE, SENT, ARRIVED, COMMITTED, REPLIED };	/* and how far it came */

/* The ensemble. */
byte expires = T;		/* until the leader may expire the session */
byte beat;			/* until the follower's next list */
bit  heard;			/* since its last list */
bit  cut;			/* the follower from the quorum; it still answers */
#ifdef DEAF
bit  deaf;			/* the follower to its leader, which hears it */
#endif

/* The contender. All but lease are ages: they grow with the clock. */
mtype request = IDLE, where = NOWHERE;
byte age;			/* of the request under way */
byte anchor;			/* of the newest request answered half a tick ago or earlier */
byte fresh[2] = NEVER;		/* of those answered in this unit and the one before */
byte base = NEVER;		/* of the anchor as it was when the check was sent */
bit  term;
byte lease;			/* until the deadline */

#define context (term && lease > GRACE)	/* what Lead was given */
#define acting  (term && lease > 0)	/* Lead returns, or the process exits, in GRACE */

#ifdef DEAF
byte before = NEVER;		/* of the anchor when the newest acknowledged check was sent */
byte best;			/* of the newest request that was surely counted */
bit  renewed;
#endif

#ifdef GAPS
byte since, gap, trip;		/* since the newest acknowledged check was sent */
bit  renewed;
#endif

inline forget() { request = IDLE; where = NOWHERE; age = 0; base = NEVER }

/* Sets left to what an acknowledged check leaves until the deadline. */
inline rest() {
#ifdef GAPS
	if
	:: renewed && since - age > gap -> gap = since - age
	:: else
	fi;
	trip = (age > trip -> age : trip);
	since = age; renewed = 1;
	left = age + 2 * (gap > 1 -> gap : 1) + trip + HALF_TICK;
#elif defined(UNCOUNTED)
	left = age;
#elif defined(DEAF) && !defined(ONE_CHECK)
	if
	:: before == NEVER && !renewed -> before = base
	:: else
	fi;
	best = (before < best -> before : best);
	before = base; renewed = 1;
	left = best;
#elif defined(DEAF)
	renewed = 1;
	left = base;
#else
	left = base;
#endif
	left = (left < T -> T - left : 0)
}

proctype Contender() {
	byte left;
	do
	/* Any pause between any two steps: the clock never waits for this process. */
	:: d_step { request == IDLE -> request = PING; where = SENT; printf("ping sent\n") }
	:: d_step { request == IDLE ->
		request = CHECK; where = SENT; base = anchor;
		printf("check sent, anchor %d units ago\n", anchor)
	   }
	:: d_step { where == REPLIED ->
		fresh[0] = age;
		if
		:: request == CHECK ->
			rest();
#if !defined(GAPS) && !defined(ONE_CHECK)
			assert(left >= lease);	/* a renewal never shortens a lease */
#endif
			lease = left;
			printf("check acknowledged, deadline in %d\n", lease);
			if
			:: lease > GRACE -> term = 1
			:: else			/* nothing to lead with: check again */
			fi;
			left = 0
		:: else -> printf("ping answered\n")
		fi;
		forget()
	   }
	:: d_step { request != IDLE -> forget() }	/* gave up waiting */
	:: term && !context -> break
	od;
	atomic { term = 0; lease = 0; forget() }
}

/* A list has reached the leader. */
inline count() {
	if
	:: heard -> expires = T; heard = 0; printf("session counted\n")
	:: else
	fi
}

proctype Ensemble() {
	do
	:: d_step { where == SENT -> where = ARRIVED; heard = !cut; printf("request arrives\n") }
#ifdef DEAF
	:: d_step { where == ARRIVED && request == PING -> where = REPLIED }
	:: d_step { where == ARRIVED && request == CHECK && !cut -> where = COMMITTED; printf("check committed\n") }
	:: d_step { where == COMMITTED && !deaf -> where = REPLIED }
	:: d_step { !cut && !deaf && renewed -> deaf = 1; printf("follower deaf\n") }
	/* It hears all that it missed, and so sends a list, which may be lost. */
	:: d_step { deaf && !cut -> deaf = 0; count(); printf("follower hears\n") }
	:: d_step { deaf && !cut -> deaf = 0; cut = 1; heard = 0; printf("follower hears, and is cut off\n") }
#else
	:: d_step { where == ARRIVED && (request == PING || !cut) -> where = REPLIED }
#endif
#ifdef PING_RENEWS
	:: d_step { where == ARRIVED && cut -> where = REPLIED }
#endif
	:: d_step { !cut -> cut = 1; heard = 0; printf("follower cut off\n") }
	/* The client finds another server, at which the leader counts the session
	   at once. What was answered before may not have been counted. */
	:: d_step { cut ->
		printf("reconnected\n");
		cut = 0; expires = T; anchor = 0; fresh[0] = NEVER; fresh[1] = NEVER; forget();
#ifdef DEAF
		deaf = 0; best = 0; before = NEVER
#endif
	   }
	:: atomic { expires == 0 ->
		printf("session expires, deadline in %d\n", lease);
		assert(!context && !acting);	/* I3 */
		break
	   }
	od
}

inline older(a) {
	if
	:: a < OLD -> a++
	:: else
	fi
}

proctype Clock() {
	do
	:: d_step { true ->
		printf("- one unit of time\n");
		expires = (expires > 0 -> expires - 1 : 0);
		lease = (lease > 0 -> lease - 1 : 0);
		older(anchor); older(fresh[0]); older(fresh[1]); older(base);
		if
		:: request != IDLE -> older(age)
		:: else
		fi;
#ifdef GAPS
		older(since);
#endif
#ifdef DEAF
		older(before); older(best);
		fresh[1] = fresh[0]; fresh[0] = NEVER;
#endif
		if
		:: fresh[1] != NEVER -> anchor = fresh[1]	/* half a tick is over */
		:: else
		fi;
		fresh[1] = fresh[0]; fresh[0] = NEVER;
		if
		:: beat > 0 -> beat--
		:: else ->
			beat = HALF_TICK - 1;
#ifdef DEAF
			if
			:: !deaf -> count()
			:: else
			fi
#else
			count()
#endif
		fi
	   }
	od
}

init {
	if
	:: beat = 0
	:: beat = HALF_TICK - 1
	fi;
	atomic { run Ensemble(); run Contender(); run Clock() }
}
