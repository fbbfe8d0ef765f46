package coordinator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
	"github.com/coordd/coordd/leader"
)

// The leader is struck at each transaction in turn, with and without its effect; another
// participant takes over and comes to the end.
func TestTheOneJobEndsOnceWhereverItsLeaderIsStruck(t *testing.T) {
	for _, effect := range []bool{true, false} {
		strike := 0
		for struck := true; struck; {
			strike++
			t.Run(fmt.Sprintf("strike %d, effect %v", strike, effect), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { struck = strikeTheOneJob(t, strike, effect) })
			})
		}
		if strike < 4 {
			t.Errorf("the leader made %d transactions, want at least those of the graph, the dirty and the clean result", strike-1)
		}
	}
}

// strikeTheOneJob deposes a leader at its nth transaction, and reports whether there was
// one.
func strikeTheOneJob(t *testing.T, nth int, effect bool) (struck bool) {
	t.Helper()
	w := newWorld(t)
	w.runners.dress = func(r *fakeRunner) { r.end(job.StatusFinished) } // at once
	first := w.brings("own")
	commits := 0
	w.backend.set(func(_ context.Context, op, _ string) error {
		if op != "commit" {
			return nil
		}
		if commits++; commits != nth {
			return nil
		}
		w.backend.elect(2)
		if !effect {
			return leader.ErrFenced
		}
		return nil
	})
	l := w.lead(&fakeTerm{epoch: 1})
	w.backend.set(nil)
	struck = commits >= nth
	isClean := len(w.backend.has("jobresults/clean", "own")) > 0
	recorded := isClean || len(w.backend.has("jobresults/dirty", "own")) > 0
	switch err := l.stop(); {
	case !struck && !errors.Is(err, ErrJobDone):
		t.Errorf("Lead returned %v, want ErrJobDone", err)
	case errors.Is(err, ErrJobDone) && !isClean, err != nil && !errors.Is(err, ErrJobDone) && !errors.Is(err, gateway.ErrNotLeader):
		t.Errorf("Lead of the deposed participant returned %v", err)
	}
	runs := len(w.runners.of("own"))

	second := w.brings("own")
	if err := w.lead(&fakeTerm{epoch: 3}).over(t); !errors.Is(err, ErrJobDone) {
		t.Errorf("Lead of the next participant returned %v, want ErrJobDone", err)
	}
	want := wantResult(t, second, job.StatusFinished)
	if again := len(w.runners.of("own")) - runs; recorded && again != 0 {
		t.Errorf("the job was run %d times after its result was recorded", again)
	}
	stored, isClean, err := w.results.Get(t.Context(), leader.NewGuard(3, "test"), "own")
	if err != nil || !isClean || stored.Snapshot.Epoch != want.Snapshot.Epoch {
		t.Errorf("stored is the result of epoch %d, clean %v, %v; want the one of epoch %d", stored.Snapshot.Epoch, isClean, err, want.Snapshot.Epoch)
	}
	select {
	case <-first.known:
		if r := wantResult(t, first, job.StatusFinished); r.Snapshot.Epoch != want.Snapshot.Epoch {
			t.Errorf("the participants ended with results of epochs %d and %d", r.Snapshot.Epoch, want.Snapshot.Epoch)
		}
	default: // it was struck before it knew
	}
	return struck
}
