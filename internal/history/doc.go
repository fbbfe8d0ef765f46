// Package history holds what happened in a cluster as a list of events in their
// true order, and checks the invariants of the design on it: I1 one writer, I2
// monotone epochs, I5 no stale publication, I6 accepted is kept, I7 one result, I8
// no rerun, I9 dirty ends clean.
//
// It knows no backend. Who records translates what a backend stored into writes of
// things, and adds what clients and workers saw. An event stands behind all commits
// that had taken effect when it happened, and before all others; of events between
// two commits the order among themselves is the recorder's.
//
// The checkers are pure functions of the events. They say what was violated, at
// which event, and of which job; no finding means that the history shows none, not
// that there is none, so a test must see to it that enough happened.
package history
