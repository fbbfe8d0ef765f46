package election

import "errors"

// Why a term ended: the cause of the term's context (context.Cause).
var (
	// ErrSessionExpired: the backend ended the session that held the leadership.
	ErrSessionExpired = errors.New("session expired")
	// ErrLeaseExpired: no renewal was acknowledged in time, so another participant
	// might soon be elected.
	ErrLeaseExpired = errors.New("lease expired")
	// ErrDisconnected: the connection was lost, and the driver is set to step down
	// at once rather than to ride on to the end of the lease.
	ErrDisconnected = errors.New("disconnected")
	// ErrNodeDeleted: somebody removed this participant's candidacy.
	ErrNodeDeleted = errors.New("candidacy deleted by somebody else")
	// ErrResigned: this participant gave leadership up, or was stopped.
	ErrResigned = errors.New("resigned")
)

// What Run and Campaign can end with besides its context's error.
var (
	// ErrStopGrace: Lead did not return within the stop grace. It is still
	// running, so the process must exit before somebody else's term is disturbed.
	ErrStopGrace = errors.New("Lead did not return within the stop grace")
	// ErrRunning: Run or Campaign was called while either is active on the same
	// Elector.
	ErrRunning = errors.New("elector is already running")
)

// What a transfer can be refused for.
var (
	// ErrNotContending: nobody contends under that ID or, without one, at all.
	ErrNotContending = errors.New("not contending")
	// ErrForeign: a contender of another implementation leads, or stands between
	// the leader and the one that shall lead. It cannot be asked to give way.
	ErrForeign = errors.New("a foreign contender is in the way")
)
