package jobmaster

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/job"
)

func TestRegistrationIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err error
		// pauses are between the registrations.
		pauses []time.Duration
	}{
		"after a delay when it is refused": {gateway.ErrNotLeaderYet, []time.Duration{time.Second, time.Second, time.Second}},
		"with more patience when it is not answered": {context.DeadlineExceeded, []time.Duration{
			100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond,
			3200 * time.Millisecond, 6400 * time.Millisecond, 12800 * time.Millisecond, 25600 * time.Millisecond, 30 * time.Second, 30 * time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 1)), with(func(r *rig) { r.cluster.registerErr = failTimes(len(c.pauses), c.err) }))
				pass(5 * time.Minute)
				r.expect("at last", "a/0#1")
				for i, want := range c.pauses {
					r.set(func() {
						if got := r.cluster.registered[i+1].Sub(r.cluster.registered[i]); got != want {
							t.Errorf("registration %d came %v after the one before, want %v", i+2, got, want)
						}
					})
				}
				r.finish("a", 0, 1)
				r.finishes(job.StatusFinished)
			})
		})
	}
}

func TestALostResourceManagerIsRegisteredAtAgain(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(r *rig)
		wait time.Duration
	}{
		"it says so": {lose: func(r *rig) {
			if err := r.master.DisconnectResourceManager(r.t.Context(), "stops"); err != nil {
				r.t.Error(err)
			}
		}, wait: reconnectPause},
		"it sends no heartbeat": {lose: func(r *rig) { r.set(func() { r.cluster.silent = true }) }, wait: DefaultHeartbeatTimeout + reconnectPause},
		"it does not know the job any more": {lose: func(r *rig) {
			r.cluster.declareErr = failTimes(1, gateway.ErrNotRegistered)
			r.finish("a", 1, 1) // so that the need changes
		}, wait: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, graph(node("a", 2)))
				r.expect("first", "a/0#1", "a/1#1")
				pass(time.Minute)
				if n := len(r.cluster.registered); n != 1 {
					t.Fatalf("%d registrations while the resource manager is there, want 1", n)
				}
				declared := len(r.cluster.declared)
				c.lose(r)
				pass(c.wait)
				synctest.Wait()
				r.set(func() {
					if n := len(r.cluster.registered); n != 2 {
						t.Errorf("%d registrations, want 2", n)
					}
				})
				r.set(func() {
					if len(r.cluster.declared) == declared {
						t.Error("the needs were not declared again")
					}
				})
				r.expect("nothing runs again")
				r.cancel()
			})
		})
	}
}

func TestAHeartbeatOfAnotherTermIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), with(func(r *rig) { r.cluster.registerErr = failTimes(1, errors.New("any")) }))
		synctest.Wait()
		if err := r.master.Heartbeat(t.Context(), gateway.Peer{Term: term(6)}); !errors.Is(err, gateway.ErrFencingToken) {
			t.Errorf("heartbeat of another term: %v, want ErrFencingToken", err)
		}
		if err := r.master.Heartbeat(t.Context(), gateway.Peer{Term: term(7)}); !errors.Is(err, gateway.ErrNotRegistered) {
			t.Errorf("heartbeat of a manager at which the master is not registered: %v, want ErrNotRegistered", err)
		}
		pass(time.Second)
		synctest.Wait()
		if err := r.master.Heartbeat(t.Context(), gateway.Peer{Term: term(7)}); err != nil {
			t.Errorf("heartbeat: %v", err)
		}
		r.cancel()
	})
}

func TestNeedsAreDeclaredAtOnceWhenTheyGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 4), node("b", 20, "a")))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1", "a/3#1")
		for n := range 3 {
			r.finish("a", n, 1)
		}
		pass(time.Second)
		r.finish("a", 3, 1)
		synctest.Wait()
		// 4 at first; 3 and at most two less as they end; 20 when b may start.
		got := r.cluster.declared
		if got[0] != 4 || got[len(got)-1] != 20 || len(got) > 5 {
			t.Errorf("declared needs are %v, want 4, a few that are less, and 20", got)
		}
		r.cancel()
	})
}

func TestNeedsThatCannotBeDeclaredAreDeclaredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", 1)), with(func(r *rig) { r.cluster.declareErr = failTimes(3, errors.New("busy")) }))
		pass(time.Minute)
		r.expect("at last", "a/0#1")
		r.set(func() {
			if n := len(r.cluster.declared); n != 4 {
				t.Errorf("the needs were declared %d times, want 4", n)
			}
		})
		r.cancel()
	})
}

func TestANeedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(node("a", maxNeed+100)), slots(2))
		r.expect("first", "a/0#1", "a/1#1")
		r.set(func() {
			if got := r.cluster.declared; len(got) != 1 || got[0] != maxNeed {
				t.Errorf("declared needs are %v, want %d once", got, maxNeed)
			}
		})
		r.cancel()
	})
}

func TestMetricsCountWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, graph(retry(node("a", 3), 2, 0), node("b", 1, "a")))
		r.expect("first", "a/0#1", "a/1#1", "a/2#1")
		r.finish("a", 0, 1)
		r.fail("a", 1, 1)
		r.expect("again", "a/1#2")
		metrics, err := r.master.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, m := range metrics {
			name := m.Name
			for value := range maps.Values(m.Labels) {
				name += " " + value
			}
			if _, twice := got[name]; twice {
				t.Errorf("%s stands there twice", name)
			}
			got[name] = m.Value
		}
		for name, want := range map[string]float64{
			"coordd_job_subtasks FINISHED": 1, "coordd_job_subtasks RUNNING": 2, "coordd_job_subtasks CREATED": 1,
			"coordd_job_subtasks SCHEDULED": 0, "coordd_job_deployments_total": 4, "coordd_job_attempts_lost_total": 0,
			"coordd_job_attempts_ended_total finished": 1, "coordd_job_attempts_ended_total failed": 1,
			"coordd_job_record_writes_total": 2, "coordd_job_workers": 1, "coordd_job_slots": 3,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		r.cancel()
	})
}
