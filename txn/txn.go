package txn

import "errors"

// The outcomes that a store decides upon. A backend returns them wrapped with
// the operation and the path; compare with errors.Is.
var (
	// ErrExists: a Create found its path taken. Nothing was stored.
	ErrExists = errors.New("already exists")
	// ErrNotFound: a Get, Put or Delete found nothing at its path. Nothing was
	// stored.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: the transaction exceeds what the backend can store at once.
	// Nothing was sent.
	ErrTooLarge = errors.New("too large")
	// ErrUnknownOutcome: the caller's context or the session ended while the
	// transaction was on its way; it may or may not have been stored.
	ErrUnknownOutcome = errors.New("outcome unknown")
)

// Kind says what an Op does.
type Kind int

// The kinds of operations.
const (
	// Create stores data at a path that must be free.
	Create Kind = iota + 1
	// Put replaces the data at a path that must exist.
	Put
	// Delete removes a path that must exist.
	Delete
	// Remove removes a path if it exists.
	Remove
)

// String returns the kind as it appears in errors and fault rules.
func (k Kind) String() string {
	switch k {
	case Create:
		return "create"
	case Put:
		return "put"
	case Delete:
		return "delete"
	case Remove:
		return "remove"
	default:
		return "unknown"
	}
}

// Op is one operation of a transaction. A path appears in at most one
// operation of a transaction.
//
// Data written by Create must differ between any two writers and submissions (a
// nonce inside does this): a backend that lost the reply of a Create recognises
// its own write by comparing the data.
type Op struct {
	Kind Kind
	Path string
	Data []byte
}
