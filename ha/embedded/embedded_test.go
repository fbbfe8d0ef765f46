package embedded_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/retrieval"
	"github.com/coordd/coordd/txn"
)

func TestLeadershipGoesToWhoeverWaitedLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{})
		first := campaign(t, started(t, b, "a"))
		second := contend(t, started(t, b, "b"), "b")
		third := contend(t, started(t, b, "c"), "c")
		waiting(t, second, "b")
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		next := <-second
		waiting(t, third, "c")
		if next.Guard().Epoch() <= first.Guard().Epoch() {
			t.Errorf("epoch %d follows %d, want it to grow", next.Guard().Epoch(), first.Guard().Epoch())
		}
	})
}

func TestACutOffLeaderLosesItsTermBeforeAnotherIsElected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		a, other := started(t, b, "a"), started(t, b, "b")
		tenure := campaign(t, a)
		successor := contend(t, other, "b")
		began := time.Now()
		a.Disconnect()

		<-tenure.Lost()
		if got := time.Since(began); got != lease {
			t.Errorf("the term ended %s after the connection was lost, want %s", got, lease)
		}
		if err := tenure.Err(); !errors.Is(err, election.ErrLeaseExpired) {
			t.Errorf("the term ended with %v, want ErrLeaseExpired", err)
		}
		synctest.Wait()
		waiting(t, successor, "b")
		next := <-successor
		if got := time.Since(began); got != sessionTimeout {
			t.Errorf("another leads %s after the connection was lost, want %s", got, sessionTimeout)
		}
		if err := create(other, next.Guard(), "x"); err != nil {
			t.Errorf("the successor's write failed: %v", err)
		}
		a.Reconnect()
		if err := create(a, tenure.Guard(), "y"); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("the deposed leader's write ended with %v, want ErrFenced", err)
		}
	})
}

func TestAShortOutageCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		p := started(t, b, "a")
		synctest.Wait()
		tenure := campaign(t, p)
		for range 5 {
			p.Disconnect()
			<-time.After(lease - time.Millisecond)
			if h := p.Health(); h.Connected || h.State != "suspended" || h.Detail == "" {
				t.Errorf("health %+v while cut off, want suspended with a detail", h)
			}
			p.Reconnect()
		}
		<-time.After(2 * sessionTimeout)
		if err := lost(t, tenure); err != nil {
			t.Errorf("the term was lost: %v", err)
		}
		if err := create(p, tenure.Guard(), "x"); err != nil {
			t.Errorf("write after the outages: %v", err)
		}
		if h := p.Health(); !h.Connected || h.State != "connected" {
			t.Errorf("health %+v, want connected", h)
		}
	})
}

func TestCallsWaitWhileCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		p := started(t, b, "a")
		tenure := campaign(t, p)
		p.Disconnect()
		done := make(chan error, 1)
		go func() { done <- create(p, tenure.Guard(), "x") }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the write ended while cut off, with %v", err)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Store().Commit(ctx, tenure.Guard(), txn.Op{Kind: txn.Create, Path: "y"})
		if !errors.Is(err, txn.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the write that could not wait ended with %v, want ErrUnknownOutcome and the context's", err)
		}
		p.Reconnect()
		if err := <-done; err != nil {
			t.Errorf("the write that waited ended with %v", err)
		}
	})
}

func TestExpiryAndRemovalEndTheTermAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		disturb func(*embedded.Participant)
		want    error
	}{
		"expired":        {(*embedded.Participant).Expire, election.ErrSessionExpired},
		"removed":        {(*embedded.Participant).RemoveCandidacy, election.ErrNodeDeleted},
		"killed":         {(*embedded.Participant).Kill, election.ErrSessionExpired},
		"cut and killed": {func(p *embedded.Participant) { p.Disconnect(); p.Kill() }, election.ErrSessionExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, embedded.Config{})
				p, other := started(t, b, "a"), started(t, b, "b")
				tenure := campaign(t, p)
				if err := tenure.Publish(t.Context(), info("a", tenure)); err != nil {
					t.Fatal(err)
				}
				successor := contend(t, other, "b")
				c.disturb(p)
				if err := lost(t, tenure); !errors.Is(err, c.want) {
					t.Errorf("the term ended with %v, want %v", err, c.want)
				}
				next := <-successor
				if err := create(p, tenure.Guard(), "x"); err == nil {
					t.Error("the former leader wrote")
				}
				if err := tenure.Publish(t.Context(), info("a", tenure)); !errors.Is(err, leader.ErrFenced) {
					t.Errorf("the former leader's Publish ended with %v, want ErrFenced", err)
				}
				if got := observe(t, other); got.Status != retrieval.StatusNone {
					t.Errorf("retrieval sees %+v, want none: the former leader's went with its session", got)
				}
				if err := create(other, next.Guard(), "x"); err != nil {
					t.Errorf("the successor's write: %v", err)
				}
			})
		})
	}
}

func TestACandidacyThatWasRemovedWhileCutOffEndsTheTermAtReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{})
		p := started(t, b, "a")
		tenure := campaign(t, p)
		p.Disconnect()
		p.RemoveCandidacy()
		if err := lost(t, tenure); err != nil {
			t.Errorf("the cut-off leader knows that it lost: %v", err)
		}
		p.Reconnect()
		if err := lost(t, tenure); !errors.Is(err, election.ErrNodeDeleted) {
			t.Errorf("the term ended with %v, want ErrNodeDeleted", err)
		}
	})
}

func TestAKilledParticipantFailsAtOnceAndItsSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		p := b.Participant("a")
		ran := make(chan error, 1)
		go func() { ran <- p.Run(t.Context()) }()
		tenure := campaign(t, p)
		successor := contend(t, started(t, b, "b"), "b")
		began := time.Now()
		p.Kill()
		for call, err := range map[string]error{
			"Run":      <-ran,
			"Commit":   create(p, tenure.Guard(), "x"),
			"Follow":   p.Retrieval().Follow(t.Context(), leader.Dispatcher, func(retrieval.Observation) {}),
			"Release":  tenure.Release(t.Context()),
			"Campaign": failed(p.Election().Campaign(t.Context(), election.Candidate{ID: "a"})),
		} {
			if !errors.Is(err, embedded.ErrKilled) {
				t.Errorf("%s ended with %v, want ErrKilled", call, err)
			}
		}
		<-successor
		if got := time.Since(began); got != sessionTimeout {
			t.Errorf("another leads %s after the kill, want %s", got, sessionTimeout)
		}
	})
}

func failed(_ election.Tenure, err error) error { return err }

func TestStoppingHandsOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{})
		p := b.Participant("a")
		stop := run(t, p)
		tenure := campaign(t, p)
		if err := create(p, tenure.Guard(), "x"); err != nil {
			t.Fatal(err)
		}
		other := started(t, b, "b")
		successor := contend(t, other, "b")
		began := time.Now()
		stop()
		next := <-successor
		if got := time.Since(began); got != 0 {
			t.Errorf("the hand-over took %s", got)
		}
		if err := create(p, tenure.Guard(), "y"); !errors.Is(err, leader.ErrFenced) {
			t.Errorf("a write after Run ended with %v, want ErrFenced", err)
		}
		if data, err := other.Store().Get(t.Context(), next.Guard(), "x"); err != nil || string(data) != "x" {
			t.Errorf("the successor reads %q, %v; want what its predecessor wrote", data, err)
		}
	})
}

func TestAReleaseThatCannotReachTheBackendEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		p := started(t, b, "a")
		tenure := campaign(t, p)
		successor := contend(t, started(t, b, "b"), "b")
		p.Disconnect()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tenure.Release(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Release ended with %v, want its context's error", err)
		}
		waiting(t, successor, "b")
		p.Reconnect()
		<-successor
	})
}

func TestCampaignLeavesNothingBehindWhenItsContextEnds(t *testing.T) {
	for name, away := range map[string]bool{"connected": false, "cut off": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, embedded.Config{})
				first := campaign(t, started(t, b, "a"))
				p := started(t, b, "b")
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- failed(p.Election().Campaign(ctx, election.Candidate{ID: "b"})) }()
				synctest.Wait()
				third := contend(t, started(t, b, "c"), "c")
				if away {
					p.Disconnect()
				}
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("Campaign ended with %v, want its context's error", err)
				}
				p.Reconnect()
				if err := first.Release(t.Context()); err != nil {
					t.Fatal(err)
				}
				<-third
			})
		})
	}
}

func TestACutOffCandidateIsNotGrantedBeforeItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		first := campaign(t, started(t, b, "a"))
		p := started(t, b, "b")
		second := contend(t, p, "b")
		p.Disconnect()
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		waiting(t, second, "b")
		p.Reconnect()
		if err := create(p, (<-second).Guard(), "x"); err != nil {
			t.Errorf("write: %v", err)
		}
	})
}

func TestASessionLeftBehindExpiresThoughItsParticipantIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		p := b.Participant("a")
		stop := run(t, p)
		campaign(t, p)
		successor := contend(t, started(t, b, "b"), "b")
		began := time.Now()
		p.Disconnect()
		stop()
		run(t, p)
		p.Reconnect()
		<-successor
		if got := time.Since(began); got != sessionTimeout {
			t.Errorf("another leads %s after the connection was lost, want %s", got, sessionTimeout)
		}
	})
}

func TestAStopGraceThatLeavesNoLeaseIsRefused(t *testing.T) {
	b := newBackend(t, embedded.Config{SessionTimeout: time.Second})
	p := started(t, b, "a")
	if _, err := p.Election().Campaign(t.Context(), election.Candidate{ID: "a", StopGrace: time.Second}); err == nil {
		t.Error("contending succeeded, want an error that names the stop grace")
	}
}
