package embedded_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/election/electiontest"
	"github.com/coordd/coordd/ha/embedded"
	"github.com/coordd/coordd/leader"
	"github.com/coordd/coordd/txn"
)

func TestElectionDriver(t *testing.T) {
	onBoth(t, func(t *testing.T, config func(testing.TB) embedded.Config) {
		t.Helper()
		electiontest.Run(t, func(t *testing.T) electiontest.Harness {
			t.Helper()
			cfg := config(t)
			cfg.SessionTimeout = 400 * time.Millisecond
			return &contest{backend: newBackend(t, cfg), timeout: cfg.SessionTimeout}
		})
	})
}

// contest is the latch of one backend.
type contest struct {
	backend *embedded.Backend
	timeout time.Duration
	writes  atomic.Int64
}

var _ electiontest.Harness = (*contest)(nil)

func (c *contest) Participant(t *testing.T, id string) electiontest.Participant {
	t.Helper()
	p := started(t, c.backend, id)
	return &contestant{contest: c, p: p, driver: p.Election()}
}

func (c *contest) AwaitCandidates(t *testing.T, n int) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		ids, changed := c.backend.Candidates()
		if len(ids) == n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("candidates %q, want %d", ids, n)
		}
	}
}

func (c *contest) Published(_ *testing.T, component string) (leader.Info, bool) {
	return c.backend.Published(component)
}

func (c *contest) SessionTimeout() time.Duration { return c.timeout }

type contestant struct {
	contest *contest
	p       *embedded.Participant
	driver  election.Driver
}

func (c *contestant) Driver() election.Driver { return c.driver }

func (c *contestant) TryWrite(t *testing.T, g leader.Guard) error {
	t.Helper()
	path := fmt.Sprintf("writes/%d", c.contest.writes.Add(1))
	err := c.p.Store().Commit(t.Context(), g, txn.Op{Kind: txn.Create, Path: path, Data: []byte(path)})
	if err != nil && !errors.Is(err, leader.ErrFenced) {
		t.Fatalf("write: %v", err)
	}
	return err
}

func (c *contestant) Expire(*testing.T)          { c.p.Expire() }
func (c *contestant) Disconnect(*testing.T)      { c.p.Disconnect() }
func (c *contestant) Reconnect(*testing.T)       { c.p.Reconnect() }
func (c *contestant) RemoveCandidacy(*testing.T) { c.p.RemoveCandidacy() }
