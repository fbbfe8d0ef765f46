package election

import (
	"context"
	"time"

	"github.com/coordd/coordd/leader"
)

// Driver is one backend's part of an election. Users of this package construct
// one (see election/zk and ha/embedded), give it to New, and never call it.
type Driver interface {
	// Campaign joins the contest as the given candidate and blocks until the
	// candidate leads. It returns a Tenure only after the backend has confirmed,
	// later than anything it learned from an event, that this candidate leads.
	//
	// When ctx ends, Campaign leaves the contest, waits until nothing of its
	// candidacy remains that it can remove, and returns ctx's error. Faults of the
	// backend are not errors: Campaign goes on until it leads or ctx ends. It
	// returns any other error only when contending cannot succeed by waiting (a
	// wrong path, missing rights); the error says what to do.
	//
	// The Elector never runs two campaigns of one Driver at once, and starts one
	// only after the former Tenure was released.
	Campaign(ctx context.Context, c Candidate) (Tenure, error)
	// Participants returns who contends, in order: the first leads, or will as soon
	// as it has had that confirmed. It reads only, and blocks while the backend is
	// away. Its error is ctx's, or one that names what cannot be read.
	Participants(ctx context.Context) ([]Participant, error)
	// Transfer has the leader give leadership up in favour of the participant with
	// the given ID, and blocks until that is first. Those that stand between queue
	// again, behind it. An empty ID stands for whoever is next: then Transfer blocks
	// until the leader's candidacy is gone. It may be called by anybody, whether it
	// contends or not, and also while Campaign runs. It does nothing when the
	// participant is first already.
	//
	// Errors: ErrNotContending, also when the participant leaves on the way; ErrForeign;
	// or ctx's error or cause, wrapped with what is still missing. Then the request was
	// taken back, and may be made again. A participant whose candidacy ends and is
	// followed by another one may be taken for gone, or be followed to its new place.
	Transfer(ctx context.Context, to string) error
}

// Candidate is what a driver needs to know of the participant.
type Candidate struct {
	// ID names the participant to humans and to the other participants.
	ID string
	// StopGrace is how long before the end of the lease a tenure must report its
	// loss, so that Lead has that long to return.
	StopGrace time.Duration
}

// Participant is one contender as everybody can see it.
type Participant struct {
	// ID is the name under which it contends. A foreign one's may be empty.
	ID string
	// Epoch is the epoch of the term that it leads, or would lead with its present
	// candidacy.
	Epoch leader.Epoch
	// Since is when it began to contend, by the backend's clock.
	Since time.Time
	// Foreign says that another implementation contends, which leads by the same
	// order but knows of no requests: it is never asked to give way.
	Foreign bool
}

// Tenure is one term at the backend.
type Tenure interface {
	// Guard returns the proof of leadership for the term's writes. Its epoch is
	// larger than that of every term before.
	Guard() leader.Guard
	// Lost is closed when the tenure has ended or is about to: at once when the
	// backend says so, and at the latest StopGrace before another participant
	// could be elected.
	Lost() <-chan struct{}
	// Err returns the reason after Lost was closed, and nil before: ErrSessionExpired,
	// ErrLeaseExpired, ErrDisconnected, ErrNodeDeleted, or ErrResigned when Transfer
	// asked for it, wrapped with details.
	Err() error
	// Publish makes the infos visible to retrieval, each under its component,
	// replacing any former leader's, in a guarded write. It tries again until the
	// write is confirmed, ctx ends, or the tenure does; then it returns ctx's error
	// or one that wraps leader.ErrFenced. It may be called again.
	Publish(ctx context.Context, infos ...leader.Info) error
	// Release gives leadership up: infos and candidacy are removed together. It
	// is called once, after Lead returned, also when the tenure was lost. When it
	// cannot remove them before ctx ends it makes sure that they vanish with the
	// session, and returns an error that says so.
	Release(ctx context.Context) error
}
