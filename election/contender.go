package election

import "context"

// Contender is what acts while this participant leads.
type Contender interface {
	// Lead acts as the leader for one term. It is called by Elector.Run or Campaign
	// when leadership was granted, and never again before it returned.
	//
	// When ctx ends the term is over: Lead stops what it started, waits for it,
	// and returns within the Elector's StopGrace. context.Cause(ctx) says why.
	//
	// Returning nil while leading gives leadership up; so does returning an error,
	// which Run logs and follows by a pause. In both cases Run contends again, unless
	// the error was made by Fatal; Campaign returns the error. One after the term
	// ended that merely reports this (context.Canceled, leader.ErrFenced) is
	// expected and ignored. A panic is not recovered.
	Lead(ctx context.Context, t *Term) error
}

// ContenderFunc is a function as a Contender.
type ContenderFunc func(ctx context.Context, t *Term) error

var _ Contender = ContenderFunc(nil)

// Lead calls f.
func (f ContenderFunc) Lead(ctx context.Context, t *Term) error { return f(ctx, t) }

// Fatal marks an error of Lead as one that contending again cannot cure:
// leadership is released and Elector.Run returns the error. The text stays the
// same, and errors.Is and errors.As see through the mark. Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err: err}
}

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

func (e *fatalError) Unwrap() error { return e.err }
