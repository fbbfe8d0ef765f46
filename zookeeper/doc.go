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
// time-out, or by Close. After that nothing of it is ever sent again: the dialer
// refuses, so go-zookeeper, which by itself goes on in a second session and runs
// there what was queued in the first, cannot. A Client opens the next session.
//
// Who asks for an operation asks a Session, so each operation is pinned to it.
// Reads wait while the session is suspended and are asked again. A write whose
// answer was lost is ErrUnknownOutcome, not a failure.
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
// act elsewhere. It is renewed by Guard.Check, a write that a quorum must
// acknowledge, and never by a ping or a read: a server that was cut off from its
// quorum goes on answering those.
//
// # Time
//
// T is the session time-out that the server decided; it stands in the connect
// response only, so the client reads it there. A connection may be silent for
// 5T/12 (pings go out every T/3), a dial with its handshake may take T/3; so one
// frozen server costs a session less than T and the next server still gets it.
package zookeeper
