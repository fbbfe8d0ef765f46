package electiontest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/leader"
)

// contest watches over the tenures of one harness, and cleans up after a case.
type contest struct {
	Harness
	// patience is how long something that must happen may take.
	patience time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	holds  []*hold
	newest leader.Epoch
}

// player is a participant with its name.
type player struct {
	Participant
	id string
}

// hold is a tenure that was granted.
type hold struct {
	election.Tenure
	by *player
	// Guarded by contest.mu. released: the suite has begun to release it. excused:
	// it may be succeeded before it knows.
	released, excused bool
}

// candidacy is a campaign under way.
type candidacy struct {
	by      *player
	cancel  context.CancelFunc
	outcome chan result
}

type result struct {
	hold *hold
	err  error
}

func newContest(t *testing.T, h Harness) *contest {
	t.Helper()
	c := &contest{Harness: h, patience: 30*time.Second + 4*h.SessionTimeout()}
	t.Cleanup(func() {
		// The campaigns' contexts ended with t's.
		c.await(t, "the campaigns to end", c.running.Wait)
		for _, h := range c.all() {
			_ = c.giveUp(t, h) // the case is over
		}
	})
	return c
}

func (c *contest) player(t *testing.T, id string) *player {
	t.Helper()
	return &player{Participant: c.Participant(t, id), id: id}
}

func (c *contest) players(t *testing.T, ids ...string) []*player {
	t.Helper()
	all := make([]*player, len(ids))
	for i, id := range ids {
		all[i] = c.player(t, id)
	}
	return all
}

// campaign starts a campaign.
func (c *contest) campaign(t *testing.T, p *player) *candidacy {
	t.Helper()
	return c.campaignInto(t, p, make(chan result, 1))
}

// campaignInto starts a campaign whose outcome goes into a channel, which must
// have room for it.
func (c *contest) campaignInto(t *testing.T, p *player, outcome chan result) *candidacy {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ca := &candidacy{by: p, cancel: cancel, outcome: outcome}
	c.running.Go(func() {
		defer cancel()
		tenure, err := p.Driver().Campaign(ctx, election.Candidate{ID: p.id, StopGrace: c.SessionTimeout() / 8})
		if err != nil {
			ca.outcome <- result{err: err}
			return
		}
		ca.outcome <- result{hold: c.enter(t, p, tenure)}
	})
	return ca
}

// enter records a grant and checks it against all before.
func (c *contest) enter(t *testing.T, p *player, tenure election.Tenure) *hold {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, former := range c.holds {
		if !former.released && !former.excused && !isLost(former) {
			t.Errorf("%s was granted leadership while %s held it", p.id, former.by.id)
		}
	}
	epoch := tenure.Guard().Epoch()
	if epoch <= c.newest {
		t.Errorf("%s was granted epoch %d after epoch %d, want a larger one", p.id, epoch, c.newest)
	}
	c.newest = max(c.newest, epoch)
	h := &hold{Tenure: tenure, by: p}
	c.holds = append(c.holds, h)
	return h
}

// all returns what was granted and not yet released.
func (c *contest) all() []*hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	var holds []*hold
	for _, h := range c.holds {
		if !h.released {
			holds = append(holds, h)
		}
	}
	return holds
}

// leads campaigns until granted.
func (c *contest) leads(t *testing.T, p *player) *hold {
	t.Helper()
	return c.granted(t, c.campaign(t, p))
}

// waits campaigns behind a leader, and returns when n candidacies are present.
func (c *contest) waits(t *testing.T, p *player, n int) *candidacy {
	t.Helper()
	ca := c.campaign(t, p)
	c.AwaitCandidates(t, n)
	return ca
}

// granted waits for a campaign to succeed.
func (c *contest) granted(t *testing.T, ca *candidacy) *hold {
	t.Helper()
	r := c.ended(t, ca)
	if r.err != nil {
		t.Fatalf("the campaign of %s failed: %v", ca.by.id, r.err)
	}
	return r.hold
}

// ended waits for a campaign to end in any way.
func (c *contest) ended(t *testing.T, ca *candidacy) result {
	t.Helper()
	select {
	case r := <-ca.outcome:
		return r
	case <-time.After(c.patience):
		t.Fatalf("the campaign of %s has not ended after %s", ca.by.id, c.patience)
		return result{}
	}
}

// lost waits for the loss of a tenure and returns its reason.
func (c *contest) lost(t *testing.T, h *hold) error {
	t.Helper()
	select {
	case <-h.Lost():
		return h.Err()
	case <-time.After(c.patience):
		t.Fatalf("%s has not lost its tenure after %s", h.by.id, c.patience)
		return nil
	}
}

// expire ends a leader's session at the backend. No lease protects from that, so
// a successor may be granted before the leader knows; the guard protects.
func (c *contest) expire(t *testing.T, h *hold) {
	t.Helper()
	c.excuse(h)
	h.by.Expire(t)
}

// remove deletes a leader's candidacy, with the same consequence.
func (c *contest) remove(t *testing.T, h *hold) {
	t.Helper()
	c.excuse(h)
	h.by.RemoveCandidacy(t)
}

func (c *contest) excuse(h *hold) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.excused = true
}

// release gives a tenure up, which must succeed.
func (c *contest) release(t *testing.T, h *hold) {
	t.Helper()
	if err := c.giveUp(t, h); err != nil {
		t.Errorf("release by %s: %v", h.by.id, err)
	}
}

// giveUp releases a tenure, with little time: it may be lost, or disconnected.
func (c *contest) giveUp(t *testing.T, h *hold) error {
	t.Helper()
	c.mu.Lock()
	h.released = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), max(time.Second, c.SessionTimeout()))
	defer cancel()
	var err error
	c.await(t, "the release by "+h.by.id, func() { err = h.Release(ctx) })
	return err
}

// await calls f and fails the test when it does not return.
func (c *contest) await(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(c.patience):
		t.Fatalf("waited %s for %s", c.patience, what)
	}
}

func isLost(h *hold) bool {
	select {
	case <-h.Lost():
		return true
	default:
		return false
	}
}
