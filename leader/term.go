package leader

import (
	"errors"
	"strconv"

	"github.com/google/uuid"
)

// ErrFenced reports that the term which issued an operation no longer leads.
// Nothing of the operation was stored. It is final: the same term can never
// write again, so the caller must stop acting and not retry.
var ErrFenced = errors.New("fenced: this term no longer leads")

// Epoch numbers terms. It grows strictly from each leader to the next; zero
// means "no term".
type Epoch int64

// String returns the epoch in decimal.
func (e Epoch) String() string { return strconv.FormatInt(int64(e), 10) }

// SessionID names one term: a random UUID that is made anew at every grant.
// Two terms never share one, not even at the same process and address.
type SessionID string

// NewSessionID returns a fresh random session ID.
func NewSessionID() SessionID { return SessionID(uuid.NewString()) }

// Guard is the proof of leadership that a term's writes carry. It is opaque:
// only the backend that made it can read what is inside, so the only way to
// write to a store of coordd is to hold the guard of a term of the same
// backend. The zero Guard is refused everywhere.
type Guard struct {
	epoch Epoch
	token any
}

// NewGuard returns a guard for the term with the given epoch. Backends call it;
// token should have a type that only the backend knows, and one that can be compared:
// guards are equal when they come from the same term.
func NewGuard(epoch Epoch, token any) Guard { return Guard{epoch: epoch, token: token} }

// Epoch returns the epoch of the guarded term, zero for the zero Guard.
func (g Guard) Epoch() Epoch { return g.epoch }

// Token returns what the backend put into the guard. It reports false when the
// guard is zero or comes from another backend.
func Token[T any](g Guard) (T, bool) {
	t, ok := g.token.(T)
	return t, ok
}
