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

// What Run can end with besides its context's error.
var (
	// ErrStopGrace: Lead did not return within the stop grace. It is still
	// running, so the process must exit before somebody else's term is disturbed.
	ErrStopGrace = errors.New("Lead did not return within the stop grace")
	// ErrRunning: Run was called while another Run of the same Elector is active.
	ErrRunning = errors.New("elector is already running")
)
