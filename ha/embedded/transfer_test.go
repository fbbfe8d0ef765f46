package embedded_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/ha/embedded"
)

// queue is a latch at which "a" leads, and "b", "c" and "d" wait in that order.
type queue struct {
	*embedded.Backend
	a, b, c, d *embedded.Participant
	leads      election.Tenure
	// What b, c and d win.
	nextB, nextC, nextD <-chan election.Tenure
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	q := &queue{Backend: newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})}
	q.a, q.b, q.c, q.d = started(t, q.Backend, "a"), started(t, q.Backend, "b"), started(t, q.Backend, "c"), started(t, q.Backend, "d")
	q.leads = campaign(t, q.a)
	q.nextB, q.nextC, q.nextD = contend(t, q.b, "b"), contend(t, q.c, "c"), contend(t, q.d, "d")
	return q
}

// transfer asks over p for a transfer, and returns where its error will arrive.
func transfer(t *testing.T, p *embedded.Participant, to string) (outcome <-chan error, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- p.Election().Transfer(ctx, to) }()
	synctest.Wait()
	return ended, cancel
}

func (q *queue) order(t *testing.T, want ...string) {
	t.Helper()
	if got, _ := q.Candidates(); !slices.Equal(got, want) {
		t.Errorf("the latch holds %q, want %q", got, want)
	}
}

// asked checks that a tenure was ended by a transfer, and releases it.
func asked(t *testing.T, tenure election.Tenure) {
	t.Helper()
	synctest.Wait()
	if err := lost(t, tenure); !errors.Is(err, election.ErrResigned) || !strings.Contains(err.Error(), "a transfer was asked for") {
		t.Fatalf("the leader lost with %v, want that a transfer was asked for", err)
	}
	if err := tenure.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
	synctest.Wait()
}

// not checks that a transfer has neither ended nor reached the leader.
func not(t *testing.T, outcome <-chan error, leads election.Tenure, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-outcome:
		t.Fatalf("the transfer ended with %v while %s", err, why)
	default:
	}
	if err := lost(t, leads); err != nil {
		t.Fatalf("the leader lost with %v while %s", err, why)
	}
}

func TestTransferWaitsForOneInBetweenThatIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(q *queue)
		after []string
	}{
		"until it is back":          {func(q *queue) { q.c.Reconnect() }, []string{"d", "b", "c"}},
		"until its session expired": {func(*queue) { <-time.After(sessionTimeout) }, []string{"d", "b"}},
		"until it is gone":          {func(q *queue) { q.c.RemoveCandidacy() }, []string{"d", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(t)
				q.c.Disconnect()
				outcome, _ := transfer(t, q.b, "d")
				not(t, outcome, q.leads, "one in between is cut off")
				q.order(t, "a", "c", "d", "b")
				c.end(q)
				asked(t, q.leads)
				if err := <-outcome; err != nil {
					t.Errorf("the transfer: %v", err)
				}
				<-q.nextD
				q.order(t, c.after...)
			})
		})
	}
}

func TestTransferWaitsForALeaderThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.a.Disconnect()
		outcome, _ := transfer(t, q.b, "d")
		not(t, outcome, q.leads, "it is cut off")
		q.order(t, "a", "d", "b", "c")
		q.a.Reconnect()
		asked(t, q.leads)
		if err := <-outcome; err != nil {
			t.Errorf("the transfer: %v", err)
		}
		<-q.nextD
	})
}

func TestTransferComesAboutWhenACutOffLeaderExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.a.Disconnect()
		outcome, _ := transfer(t, q.b, "d")
		if err := <-outcome; err != nil {
			t.Errorf("the transfer: %v", err)
		}
		if err := q.leads.Err(); !errors.Is(err, election.ErrLeaseExpired) {
			t.Errorf("the leader lost with %v, want ErrLeaseExpired: it could not be asked", err)
		}
		<-q.nextD
		q.order(t, "d", "b", "c")
	})
}

// The first may not lead yet: then it is asked as soon as it does.
func TestTransferWaitsForTheGrantOfWhoeverIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.b.Disconnect()
		if err := q.leads.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		outcome, _ := transfer(t, q.c, "c")
		q.order(t, "b", "c", "d")
		select {
		case err := <-outcome:
			t.Fatalf("the transfer ended with %v before the first one led", err)
		default:
		}
		q.b.Reconnect()
		asked(t, <-q.nextB)
		if err := <-outcome; err != nil {
			t.Errorf("the transfer: %v", err)
		}
		<-q.nextC
	})
}

// Should the leader go before those in between queued again, one of them leads, and
// is asked in its turn.
func TestTransferAsksWhoeverLeadsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.b.Disconnect()
		outcome, _ := transfer(t, q.c, "d")
		if err := q.leads.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		q.order(t, "b", "d", "c")
		q.b.Reconnect()
		asked(t, <-q.nextB)
		if err := <-outcome; err != nil {
			t.Errorf("the transfer: %v", err)
		}
		<-q.nextD
	})
}

func TestTransferToOneThatLeavesIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, embedded.Config{SessionTimeout: sessionTimeout})
		first, between, last := started(t, b, "a"), started(t, b, "b"), started(t, b, "c")
		leads := campaign(t, first)
		contend(t, between, "b")
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := last.Election().Campaign(ctx, election.Candidate{ID: "c", StopGrace: grace})
			left <- err
		}()
		synctest.Wait()
		between.Disconnect()
		outcome, _ := transfer(t, first, "c")
		not(t, outcome, leads, "one in between is cut off")
		leave()
		<-left
		if err := <-outcome; !errors.Is(err, election.ErrNotContending) || !strings.Contains(err.Error(), `transfer to "c"`) {
			t.Errorf("the transfer to a participant that left: %v, want ErrNotContending that names it", err)
		}
		between.Reconnect()
		synctest.Wait()
		if err := lost(t, leads); err != nil {
			t.Errorf("the leader lost with %v although the transfer was refused", err)
		}
	})
}

func TestTransferThatIsTakenBackSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.b.Disconnect()
		held, cancelHeld := transfer(t, q.a, "d")
		behind, cancelBehind := transfer(t, q.c, "c")
		not(t, behind, q.leads, "another transfer is made")
		cancelBehind()
		if err := <-behind; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `participant "a" makes another transfer`) {
			t.Errorf("the cancelled transfer: %v, want its context's error and who is before it", err)
		}
		cancelHeld()
		if err := <-held; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `"b", who stands between, is out of reach`) {
			t.Errorf("the cancelled transfer: %v, want its context's error and who is in between", err)
		}
		q.b.Reconnect()
		synctest.Wait()
		if err := lost(t, q.leads); err != nil {
			t.Errorf("the leader lost with %v although the transfers were taken back", err)
		}
		late, cancelLate := transfer(t, q.a, "b")
		synctest.Wait()
		cancelLate()
		if err := <-late; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `has not given way`) {
			t.Errorf("the cancelled transfer: %v, want its context's error and who has not given way", err)
		}
	})
}

func TestTransferOfOneThatIsCutOffHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.c.Disconnect()
		onlooker := started(t, q.Backend, "onlooker")
		held, _ := transfer(t, onlooker, "d")
		not(t, held, q.leads, "one in between is cut off")
		onlooker.Disconnect()
		other, _ := transfer(t, q.a, "c")
		asked(t, q.leads)
		q.c.Reconnect()
		if err := <-other; err != nil {
			t.Errorf("the second transfer: %v", err)
		}
		leads := <-q.nextC
		// Back again, the first one goes on from how things are now.
		onlooker.Reconnect()
		asked(t, leads)
		if err := <-held; err != nil {
			t.Errorf("the first transfer: %v", err)
		}
		<-q.nextD
	})
}

func TestTransferEndsWithItsParticipant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t)
		q.c.Disconnect()
		killed := started(t, q.Backend, "killed")
		outcome, _ := transfer(t, killed, "d")
		killed.Kill()
		if err := <-outcome; !errors.Is(err, embedded.ErrKilled) {
			t.Errorf("the transfer of a killed participant: %v, want ErrKilled", err)
		}
		q.c.Reconnect()
		synctest.Wait()
		if err := lost(t, q.leads); err != nil {
			t.Errorf("the leader lost with %v although nobody asks any more", err)
		}
		if _, err := killed.Election().Participants(t.Context()); !errors.Is(err, embedded.ErrKilled) {
			t.Errorf("the participants, for a killed one: %v, want ErrKilled", err)
		}
	})
}
