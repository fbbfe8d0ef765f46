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
	// ErrFull: more transactions wait for the backend than a caller that can come
	// again should queue behind. Nothing was sent.
	ErrFull = errors.New("too many transactions wait")
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

// OpError says which operation could not be done. Nothing of its transaction was
// stored. Every backend returns it, found with errors.As, for ErrExists and
// ErrNotFound of a Commit.
type OpError struct {
	Kind Kind
	Path string
	// Err is the reason: ErrExists or ErrNotFound, wrapped by the backend.
	Err error
}

// Error names the operation, its path and the reason.
func (e *OpError) Error() string { return e.Kind.String() + " " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }
