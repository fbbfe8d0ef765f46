// Package leader holds the values that every part of coordd uses to speak of
// leadership: which term acts (SessionID and Epoch), who leads (Info), how far
// the leader has come (Phase), and the proof that a write belongs to a term
// (Guard).
//
// The package has no behaviour beyond encoding and comparing those values and
// depends on nothing: it is the floor on which election, retrieval and the
// stores meet.
//
// # Epochs
//
// An Epoch grows strictly from one leader to the next and never repeats. On
// ZooKeeper it is the Czxid of the term's latch node: the id of the transaction
// that created the node. It costs no write of its own, and as transaction ids
// only grow, so do epochs, also when the latch's parent was deleted and made
// again. Put the epoch into every write to a system outside ZooKeeper and let
// that system refuse smaller ones: this is what makes a paused leader harmless.
package leader
