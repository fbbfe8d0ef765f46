// Package ha describes a backend as a whole: everything that makes coordd highly
// available, from one choice of technology.
//
// A backend is ha/zk or ha/embedded, never a mix: one session, one latch, one
// fencing token. Leadership, the publication of leaders and the stores come from
// the same Services, so that a write of one is fenced by the leadership of the
// other.
package ha

import (
	"context"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
)

// Services is one participant's access to a backend. All methods may be called
// at any time, also before Run; what needs the backend waits for it.
type Services interface {
	// Run keeps the connection to the backend until ctx ends, then closes it and
	// returns ctx's error when everything it started has ended. A backend that
	// cannot be reached is not an error: Run goes on trying. Any other error is
	// final and says what to do (a wrong address, missing rights).
	Run(ctx context.Context) error
	// Election returns the driver of the cluster's one latch.
	Election() election.Driver
	// Retrieval returns the driver that follows the cluster's published leaders.
	Retrieval() retrieval.Driver
	// Store returns the cluster's guarded store.
	Store() Store
	// Health reports the state of the connection, for people and probes.
	Health() Health
}

// Store is guarded storage: reads and transactions of the term that leads. It
// satisfies jobstore.Driver and resultstore.Driver.
//
// Paths are relative, without a leading slash ("jobgraphs/3f/etl"). Commit returns
// an error that wraps leader.ErrFenced once the guard's term has lost leadership in
// the eyes of the backend, reads do so once this participant knows. Reads of a live
// term see all that any earlier term wrote.
type Store interface {
	// Get returns the data at path. Errors: txn.ErrNotFound, leader.ErrFenced,
	// or ctx's. It blocks while the backend is away.
	Get(ctx context.Context, g leader.Guard, path string) ([]byte, error)
	// List returns the names directly under path in no particular order, none
	// when the path does not exist. Errors: leader.ErrFenced, or ctx's.
	List(ctx context.Context, g leader.Guard, path string) ([]string, error)
	// Commit applies ops all together or not at all, while the guard's term
	// leads. Errors: txn.ErrExists, txn.ErrNotFound (both name the path),
	// txn.ErrTooLarge, leader.ErrFenced, or txn.ErrUnknownOutcome with the reason
	// when ctx or the session ended before the outcome was known. A lost reply is
	// resolved by issuing the same transaction again, never passed on.
	Commit(ctx context.Context, g leader.Guard, ops ...txn.Op) error
}

// Health is the state of a participant's connection to its backend.
type Health struct {
	// Connected says whether the backend answers now.
	Connected bool
	// Detail says in one line what is wrong, empty when Connected.
	Detail string
	// LastContact is when the backend was last heard of, zero when never.
	LastContact time.Time
	// State is the state in one lower-case word: "connected", "suspended",
	// "connecting", "expired", "closed".
	State string
}
