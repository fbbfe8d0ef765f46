// Package contest measures an election of any product in one way: contenders that
// wait for leadership and give it up, a leader that is killed, and the requests of
// contenders that do nothing.
//
// A program names its Peer and calls Main, which prints what was measured and, as its
// last line, one JSON object. The same program is the leader that is killed, in
// another process. Contenders belong to the round that makes them and are closed in
// it; what Serve starts ends with Main.
package contest
