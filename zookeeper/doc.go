// Package zookeeper is a ZooKeeper client for programs that must know where they
// stand: whether their session lives, whether a write was applied, and whether
// they may still act as a leader. It wraps github.com/go-zookeeper/zk, whose wire
// protocol it uses and whose traps it keeps from its callers.
//
// # Sessions
//
// A Session is one ZooKeeper session on one go-zookeeper Conn, and ends once:
//
//	Connecting ──▶ Connected ◀──▶ Suspended
//	    │              │              │
//	    └──────────────┴──────────────┴──▶ Ended (ErrExpired, ErrClosed)
//
// Connected and Suspended follow the connection. A session ends when a server says
// that it has expired, when it has been without a connection for twice its
// time-out, or by Close, which says whether a server confirmed it. After that nothing of it is ever sent again: the dialer
// refuses, so go-zookeeper, which by itself goes on in a second session and runs
// there what was queued in the first, cannot. A Client opens the next session.
//
// Who asks for an operation asks a Session, so each operation is pinned to it.
// Reads wait while the session is suspended and are asked again. A write whose
// answer was lost is ErrUnknownOutcome, not a failure.
//
// # Security
//
// Config.Security holds the client's identities, who may do what to the nodes that it
// creates, and TLS. Identities are presented within the handshake of every connection,
// before go-zookeeper knows of it: no request goes out without them. go-zookeeper's own
// way of presenting them again is not used; when a write fails there, the Conn locks
// itself up for ever. The files of TLS are read again at every connection.
//
// ZooKeeper refuses no password: a wrong one is another identity, which ErrNoAuth says.
// The right to delete a node is a right on its parent, so a client whose nodes belong to
// it alone (CreatorAll) warns of nodes above them that are open to everybody.
//
// # What servers send
//
// A session reads only frames that are as long as they may be, and only replies that
// hold what their requests asked for: go-zookeeper would otherwise allocate whatever
// a reply claims, or panic. Anything else costs a server the connection, and one that
// goes on so is asked ever less. Nothing that exceeds a server's limits leaves.
//
// # Guards
//
// A Guard makes every write a multi whose first operation checks that a node of
// this session exists; see Guard.Commit for what happens to lost replies. It is
// the fence of package election: a write of a deposed leader is refused by the
// ensemble itself, at any time and whatever the leader believes.
//
// # Leases
//
// A fence protects what is in ZooKeeper. A Lease tells a leader until when it may
// act elsewhere: until an instant before which the ensemble cannot have ended its
// session, and so cannot have let anybody else lead. It is renewed by Guard.Check, a
// write that a quorum must acknowledge, every T/8, and never by a ping or a read.
//
// What ZooKeeper does (3.8; classes of org.apache.zookeeper.server and .quorum):
//
//   - Its leader alone ends sessions: T after it last counted one as active, rounded
//     up to a multiple of the tick, so from T to T + tick later (SessionTrackerImpl;
//     ExpiryQueue.roundToNextInterval). The lease takes the T and leaves the rest.
//   - A follower notes the sessions that it hears from, before it answers
//     (ZooKeeperServer.submitRequestNow; LearnerSessionTracker.touchTable), and tells
//     nobody until the leader pings it: then it returns the list and starts another
//     (Learner.ping). The leader counts who is on it when it arrives
//     (LearnerHandler.run, case PING).
//   - The leader pings its followers every tickTime/2 (the loop at the end of
//     Leader.lead). This is the half tick.
//   - A write that a follower passes on is not counted by itself: the leader checks
//     that its session exists (PrepRequestProcessor, checkSession), no more. But it
//     travels on the connection on which the lists travel, behind those before it.
//   - A connect and a reconnect are counted before they are answered (createSession;
//     LearnerHandler, case REVALIDATE, and LeaderZooKeeperServer's
//     checkIfValidGlobalSession).
//   - A new leader of the ensemble counts all sessions anew (SessionTrackerImpl's
//     constructor), which makes them end later.
//   - A follower that was cut off notices after syncLimit ticks without a word from
//     its leader (Learner sets that as its socket's time-out), and goes on answering
//     pings and reads until then. Only a write shows that it is cut off: it is not
//     answered, nor is what the session sends behind it.
//
// Hence the rule. Be r the newest acknowledged renewal and q the one acknowledged before
// it on the same connection. The leader's commits travel to the follower behind its
// pings (LearnerHandler.queuedPackets). So when q was answered, the follower had answered a ping that the leader sent
// at most half a tick before it committed q, and had put on a list whom it had answered
// by q.Sent less half a tick, at least. It passed r on behind that list, on the same
// connection; so the leader had the list when it committed r. What was answered until
// then has been counted, not earlier than it was sent. Of those requests (pings,
// renewals, the connect) the newest is the anchor: the session cannot end before
// anchor + T.
//
//	deadline = anchor + T - margin
//	anchor   = when the newest request was sent that was answered, on r's connection, by
//	           min(r.Sent - half a tick, q.Sent - min(half a tick, T/8)) - margin,
//	           or when that connection was asked for, if that is newer
//
// Up to a tick of T/4 that is what was just proven, however late pings, lists and
// commits are. With a longer tick r.Sent - half a tick is a claim that needs the newest
// list to be on time: the network between follower and leader, and the leader's loop,
// may delay it by the margin, no more. So does the first renewal of a term, before which
// there is no q; after a reconnect the first counts from the connect, and nothing else.
// That a follower had lost its leader for long shows in q in any case.
//
// The figures:
//
//   - T is what the server decided; see Time. Should another server decide for less when
//     the session comes to it, the deadline counts with that from then on.
//   - Half a tick is tick/2 where the tick is known. Otherwise it is T/4: by default a
//     server grants no T below two ticks (ZooKeeperServer.setMinSessionTimeout). Where
//     minSessionTimeout is configured to less than two ticks, the tick must be given.
//   - The margin is 2 % of T, once for the time until the deadline and once for the half
//     tick. It stands for what has no bound in the protocol: clocks that run at
//     different rates (200 ms in 10 s; a clock that NTP disciplines is off by less than
//     5 ms), timers that fire late, and the leader's loop, which waits for half a tick
//     and then takes its time.
//   - T/8, the period of renewals: with T/4 for half a tick, the anchor is a renewal of
//     3T/8 before, so a steady lease has 5T/8 less the margin to go when a renewal was
//     just sent. Twice as many renewals would gain T/16.
//   - T/3, the period of pings (go-zookeeper), bounds the first lease of a term: the
//     anchor can be a ping of T/3 + T/4 before. What is left, 5T/12 less the margins,
//     is why a stop grace is at most T/4: T/8 remains, which is the first renewal's.
//   - 5T/12, how long a connection may be silent: T/3 until the next ping goes out and
//     T/12 for its answer; T/3 more for a dial with its handshake makes 3T/4, so the
//     session survives one frozen server, and T/4 is left.
//
// An example of why the newest renewal is not the anchor. T = 10 s, the tick is 5 s;
// renewals are 2.3 s apart and take 2.3 s, some of it on the way to the follower and
// some on the way back. One is sent at 0.0 s and arrives at once, just before a list
// goes out: counted. The next, of 2.3 s, arrives after the list of 2.5 s. The third, of
// 4.6 s, arrives at once and is acknowledged at 6.9 s; but the follower was cut off
// before its list of 5.0 s. The session can end from 10.0 s. T from the newest renewal
// would be 14.6 s; less half a tick for the list, 12.1 s; less another T/8 for the gap
// between renewals, and the margin, still 10.65 s. By the rule, what was answered by
// 2.3 - 1.25 - 0.2 = 0.85 s counts. The renewal of 0.0 s was not (2.3 s), so the anchor
// is the one before, of -2.3 s, and the deadline 7.5 s. Subtracting twice the largest
// gap and the largest round trip instead saves this example, and fails at the start of
// a term, before any gap was measured: see docs/model.
//
// The lease rests on clocks: on one that does not stop, against which the wall clock
// is compared because a suspended machine stops the monotonic one, and on a process
// that runs. A process that is paused past its deadline learns of it when it wakes
// up, and no sooner; what it sends then only a fence refuses.
//
// # Time
//
// T is the session time-out that the server decided; it stands in the connect
// response only, so the client reads it there. A connection may be silent for
// 5T/12 (pings go out every T/3), a dial with its handshake may take T/3; so one
// frozen server costs a session less than T and the next server still gets it.
package zookeeper
