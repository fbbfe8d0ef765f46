package leader

import "fmt"

// TermID names a term, as the fencing token of everything that acts in it. The zero
// value is no term.
type TermID struct {
	SessionID SessionID
	Epoch     Epoch
}

// String returns the term for errors and logs.
func (t TermID) String() string { return fmt.Sprintf("epoch %d (session %s)", t.Epoch, t.SessionID) }
