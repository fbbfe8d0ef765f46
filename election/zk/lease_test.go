package zk

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/election"
	"github.com/coordd/coordd/zookeeper/zookeepertest"
)

// How many histories the sweep tries, and the only one that it does. The faults of a
// seed repeat; what the client draws itself (the order of the servers, the pauses
// between dials) does not, so a failure may need some repetitions.
const (
	seedsVariable = "COORDD_LEASE_SEEDS"
	seedVariable  = "COORDD_LEASE_SEED"
	defaultSeeds  = 300
)

// number reads an environment variable.
func number(t *testing.T, name string, otherwise uint64) (n uint64, given bool) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number: %v", name, text, err)
	}
	return n, true
}

// reign is a term as its leader saw it: from the grant until Lead must have
// returned, the stop grace after the loss was reported.
type reign struct {
	id      string
	session int64
	from    time.Time
	until   time.Time
	epoch   int64
	cause   error // why it was lost; nil when it was not
}

// reigns has a member lead again and again, and notes each term.
func (m *member) reigns(ctx context.Context, note func(reign)) {
	for {
		g := <-m.contend(ctx)
		if g.err != nil {
			return
		}
		r := reign{id: m.id, session: g.tenure.session.ID(), from: g.at, epoch: int64(g.tenure.Guard().Epoch())}
		select {
		case <-g.tenure.Lost():
			r.cause = g.tenure.Err()
			elapse(stopGrace) // Lead takes all of its grace
		case <-ctx.Done():
		}
		r.until = time.Now()
		note(r)
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_ = g.tenure.Release(release) // what cannot be removed goes with the session
		cancel()
	}
}

// A leader has stopped before the ensemble can end its session, and so before anybody
// else is granted leadership, whatever the networks between client and servers and
// among the servers do. "make lease" tries many more histories.
func TestALeaseEndsBeforeTheSessionAndTheNextGrant(t *testing.T) {
	n, _ := number(t, seedsVariable, defaultSeeds)
	if seed, single := number(t, seedVariable, 0); single {
		t.Logf("%+v", histories(t, seed, seed+1))
		return
	}
	var mu sync.Mutex
	var sum tally
	t.Run("histories", func(t *testing.T) {
		parts := uint64(runtime.GOMAXPROCS(0))
		for part := range parts {
			t.Run(strconv.FormatUint(part, 10), func(t *testing.T) {
				t.Parallel()
				part := histories(t, n*part/parts, n*(part+1)/parts)
				mu.Lock()
				defer mu.Unlock()
				sum.add(part)
			})
		}
	})
	t.Logf("%+v", sum)
	for what, c := range map[string]struct{ got, atLeast int }{
		"terms": {sum.terms, 3}, "terms that the deadline ended": {sum.deadlines, 1},
		"sessions that expired": {sum.expiries, 1}, "reconnects": {sum.connects, 10},
		"frozen ways": {sum.freezes, 3}, "lost connections": {sum.drops, 3}, "followers cut off": {sum.cuts, 3},
	} {
		if c.got < c.atLeast*int(n) {
			t.Errorf("%d %s in %d histories, want %d in each on average: too little was tried", c.got, what, n, c.atLeast)
		}
	}
}

// histories runs those of the seeds from the first to before the last.
func histories(t *testing.T, first, last uint64) (sum tally) {
	t.Helper()
	for seed := first; seed < last; seed++ {
		synctest.Test(t, func(t *testing.T) {
			sum.add(history(t, seed))
			if t.Failed() {
				t.Logf("to repeat: %s=%d go test -count=10 -run TestALeaseEndsBefore ./election/zk", seedVariable, seed)
			}
		})
	}
	return sum
}

// history lets two contenders lead in turns over networks of their own, and judges all
// their terms.
func history(t *testing.T, seed uint64) tally {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	e := randomEnsemble(random)
	fake := e.fake()
	defer fake.Close()
	ctx, stop := context.WithTimeout(t.Context(), 12*sessionTimeout)
	defer stop()
	cfg := Config{Tick: e.tick(), OnDisconnect: Ride}
	if random.IntN(4) == 0 {
		cfg.OnDisconnect = StepDown
	}
	var mu sync.Mutex
	var all []reign
	var parts sync.WaitGroup
	var networks []*network
	for _, id := range []string{"a", "b"} {
		n := e.network(fake, sessionTimeout, random)
		networks = append(networks, n)
		m := joinOver(t, n, cfg, id)
		parts.Go(func() { n.trouble(ctx) })
		parts.Go(func() {
			m.reigns(ctx, func(r reign) {
				n.enter(0)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, r)
			})
		})
	}
	parts.Wait()
	judge(t, fake, all)
	return summary(fake, networks, all)
}

// judge finds the terms that lasted too long.
func judge(t *testing.T, fake *zookeepertest.Fake, all []reign) {
	t.Helper()
	for _, r := range all {
		if expired, ok := fake.SessionExpiredAt(r.session); ok && !r.until.Before(expired) {
			t.Errorf("%s led %v beyond the expiry of its session, its term was lost because of: %v", r.id, r.until.Sub(expired), r.cause)
		}
		for _, next := range all {
			if next.epoch > r.epoch && next.from.Before(r.until) {
				t.Errorf("%s was granted epoch %d %v before %s had to have left epoch %d",
					next.id, next.epoch, r.until.Sub(next.from), r.id, r.epoch)
			}
		}
	}
}

func summary(fake *zookeepertest.Fake, networks []*network, all []reign) tally {
	sum := tally{histories: 1, terms: len(all)}
	for _, n := range networks {
		sum.add(n.injected())
	}
	for _, s := range fake.Sessions() {
		if s.Expired {
			sum.expiries++
		}
	}
	for _, r := range all {
		switch {
		case errors.Is(r.cause, election.ErrLeaseExpired):
			sum.deadlines++
		case errors.Is(r.cause, election.ErrSessionExpired):
			sum.ends++
		}
	}
	return sum
}
