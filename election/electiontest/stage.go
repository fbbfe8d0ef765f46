package electiontest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// Stage is where a Contender is tested without a server: a real Elector runs it, and
// the test says when a term begins, how it ends, and whether the participant is told.
// There is no lease and no clock in it, so it works in real time and inside a
// testing/synctest bubble.
type Stage struct {
	t       testing.TB
	backend *stageBackend
	stop    context.CancelFunc
	// ended is closed after err was set, by the goroutine that runs the Elector.
	ended chan struct{}
	err   error
	// stopped belongs to the test's goroutine.
	stopped bool
}

// Rehearse runs c on a Stage with the given configuration, whose Driver is the
// Stage's and whose ID may be empty. It returns at once; the first term begins with
// Grant. At the end of the test it calls Stop, unless the test has, and an error of
// that fails the test.
func Rehearse(t testing.TB, cfg election.Config, c election.Contender) *Stage {
	t.Helper()
	s := &Stage{t: t, backend: newStageBackend(), ended: make(chan struct{})}
	cfg.Driver = s.backend
	if cfg.ID == "" {
		cfg.ID = "contender"
	}
	e, err := election.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	// t's own context ends before clean-ups run, in which a test may still ask.
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s.stop = stop
	go func() {
		defer close(s.ended)
		s.err = e.Run(ctx, s.backend.observed(c))
	}()
	t.Cleanup(func() {
		if s.stopped {
			return
		}
		if err := s.Stop(); err != nil {
			t.Errorf("the Elector ended with: %v", err)
		}
	})
	return s
}

// Grant begins the next term and returns it when Lead has been called. It blocks
// until the participant contends: until Lead of the former term has returned and,
// where that failed, a pause (Config.Backoff) is over. It fails the test when Run has
// ended instead. It is called on the test's goroutine.
func (s *Stage) Grant() *StageTerm {
	s.t.Helper()
	term := s.backend.next()
	select {
	case s.backend.grants <- term:
	case <-s.ended:
		s.t.Fatalf("no further term can begin, Run has ended: %v", s.err)
	}
	<-term.begun
	return &StageTerm{tenure: term}
}

// Stop ends Run as the end of a program does: a term that is going on ends with
// election.ErrResigned. It blocks until Run has returned, and returns what that says
// beyond the end of its context: election.ErrStopGrace, or the error of a Lead that
// was marked by election.Fatal. It may be called again, on the test's goroutine.
func (s *Stage) Stop() error {
	s.stopped = true
	s.stop()
	<-s.ended
	if errors.Is(s.err, context.Canceled) && !errors.Is(s.err, election.ErrStopGrace) {
		return nil
	}
	return s.err
}

// Check answers as a guarded store of the backend would: nil while the guard's term
// leads, and an error that wraps leader.ErrFenced for every other guard. It may be
// called from any goroutine: a test's store calls it before it stores.
func (s *Stage) Check(g leader.Guard) error {
	if term, ok := leader.Token[*stageTenure](g); ok && term.backend == s.backend {
		return term.check()
	}
	return fmt.Errorf("a guard that is not of this stage: %w", leader.ErrFenced)
}

// Published returns what is published for a component, and whether anything is. It
// may be called from any goroutine.
func (s *Stage) Published(component string) (leader.Info, bool) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	info, ok := s.backend.infos[component]
	return info, ok
}

// StageTerm is one term on a Stage. Its methods may be called from any goroutine.
type StageTerm struct{ tenure *stageTenure }

// Epoch returns the term's number, which grows from term to term.
func (t *StageTerm) Epoch() leader.Epoch { return t.tenure.epoch }

// Depose ends the term at the backend and does not tell the participant, as when its
// process is paused while another one is elected: its context lives on, and all that
// it writes is refused. End tells it. Depose does not block.
func (t *StageTerm) Depose() { t.tenure.fall() }

// End ends the context of the term with the cause, for example
// election.ErrSessionExpired, blocks until Lead has returned, and returns Lead's
// error. A term that has ended before keeps its cause.
//
// With election.ErrLeaseExpired and election.ErrDisconnected the backend still takes
// the participant for the leader until Lead has returned, and accepts what it writes;
// with any other cause it does not.
func (t *StageTerm) End(cause error) error {
	if !errors.Is(cause, election.ErrLeaseExpired) && !errors.Is(cause, election.ErrDisconnected) {
		t.tenure.fall()
	}
	t.tenure.lose(cause)
	return t.Wait()
}

// Wait blocks until Lead has returned, and returns its error.
func (t *StageTerm) Wait() error {
	<-t.tenure.returned
	return t.tenure.result
}
